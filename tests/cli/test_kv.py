"""`rtbridge kv`: key files and rotation, on a file as operators have it."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nacl.public
import pytest

from rtbridge import Kv, KvUnreadable
from rtbridge.config import load_config
from rtbridge.plugins.kv import open_stores
from rtbridge.stores import rotate as rotation
from rtbridge.stores.crypt import read_keypair
from rtbridge.stores.rotate import rotate
from tests.cli.conftest import ROOT

Invoke = Callable[..., Any]


@contextlib.contextmanager
def store(project: Any, name: str = "s") -> Iterator[Kv]:
    """A store of the project, as another process has it."""
    kv = open_stores(load_config(project.folder / ".rr.yaml").config)(name)
    try:
        yield kv
    finally:
        kv.sync.close()


def configure(project: Any, **options: Any) -> None:
    driver = options.pop("driver", "sqlite")
    project.config(f"kv: {{s: {{driver: {driver}}}}}\nrtbridge: {{kv: {options}}}".replace("True", "true"))


def test_keygen_makes_a_key_file(project: Any, invoke: Invoke) -> None:
    found = invoke("kv", "keygen", "new.key")
    path = project.folder / "new.key"
    assert found.exit_code == 0
    assert found.stdout == (
        f"new.key: key {read_keypair(path).id.hex()}. Keep a copy: without it nobody reads what it encrypted.\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 64
    before = path.read_bytes()
    again = invoke("kv", "keygen", "new.key")
    assert again.exit_code == 2
    assert "new.key is there already" in again.stderr
    assert path.read_bytes() == before
    assert invoke("kv", "keygen", "nowhere/new.key").exit_code == 2


def test_rotate_rewrites_every_value(project: Any, invoke: Invoke) -> None:
    invoke("kv", "keygen", "old.key")
    configure(project, keypair_path="old.key")
    with store(project) as kv:
        kv.sync.set_many({f"k{number}": {"n": number} for number in range(700)})
        kv.sync.set("ends", 1, ttl=1000)
        public = nacl.public.PublicKey((project.folder / "old.key").read_bytes()[32:])
        sealed = nacl.public.SealedBox(public).encrypt(kv.codec._dumps("sealed"))
        asyncio.run(kv.store.set("sealed", sealed, None))
    invoke("kv", "keygen", "new.key")
    configure(project, keypair_path="new.key", previous_keypair_paths=["old.key"], accept_sealed=True)
    with store(project) as kv:
        kv.sync.set("fresh", 1)
    found = invoke("kv", "rotate", "s")
    assert (found.exit_code, found.stderr) == (0, "s:\n")
    assert found.stdout == "s: 702 entries rewritten, 1 had the newest key already.\n"
    configure(project, keypair_path="new.key")
    with store(project) as kv:
        assert kv.sync.get_many(["k0", "k699", "sealed", "fresh"]) == {
            "k0": {"n": 0},
            "k699": {"n": 699},
            "sealed": "sealed",
            "fresh": 1,
        }
        assert 900 < (kv.sync.ttl("ends") or 0) <= 1000
    again = invoke("kv", "rotate", "s")
    assert again.stdout == "s: 0 entries rewritten, 703 had the newest key already.\n"


def test_rotate_shows_how_far_it_is(project: Any, invoke: Invoke) -> None:
    """A bar on a terminal; elsewhere only its label."""
    pty = pytest.importorskip("pty", reason="a terminal needs a Unix")
    invoke("kv", "keygen", "old.key")
    invoke("kv", "keygen", "new.key")
    configure(project, keypair_path="old.key")
    with store(project) as kv:
        kv.sync.set_many({f"k{number}": number for number in range(1200)})
    configure(project, keypair_path="new.key", previous_keypair_paths=["old.key"])
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "rtbridge", "kv", "rotate", "s"],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux tells that nobody has the other end any more
            while some := os.read(ours, 4096):
                shown += some
        out, _ = process.communicate(timeout=60)
    finally:
        os.close(ours)
    assert process.returncode == 0, shown
    assert out == b"s: 1,200 entries rewritten, 0 had the newest key already.\n"
    assert b"100%" in shown
    assert b"####" in shown


def test_rotate_leaves_what_it_cannot_read(project: Any, invoke: Invoke) -> None:
    for name in ("lost.key", "old.key", "new.key"):
        invoke("kv", "keygen", name)
    configure(project, keypair_path="lost.key")
    with store(project) as kv:
        kv.sync.set("lost", 1)
    configure(project, keypair_path="old.key")
    with store(project) as kv:
        kv.sync.set("old", 2)
        asyncio.run(kv.store.set("truncated", kv.codec.encode("truncated", 1)[:-1], None))
        asyncio.run(kv.store.set("plain", b"3", None))
    configure(project, keypair_path="new.key", previous_keypair_paths=["old.key"])
    with store(project) as kv:
        before = asyncio.run(kv.store.get_many(["lost", "truncated", "plain"]))
    found = invoke("kv", "rotate", "s")
    assert found.exit_code == 1
    assert found.stdout == "s: 1 entry rewritten, 0 had the newest key already.\n"
    assert "3 entries cannot be read and stay as they are" in found.stderr
    with store(project) as kv:
        assert asyncio.run(kv.store.get_many(["lost", "truncated", "plain"])) == before
        assert kv.sync.get("old") == 2
    found = invoke("kv", "rotate", "s", "--plain")
    assert found.exit_code == 1
    assert found.stdout == "s: 1 entry rewritten, 1 had the newest key already.\n"
    with store(project) as kv:
        assert kv.sync.get("plain") == 3
        with pytest.raises(KvUnreadable):
            kv.sync.get("lost")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"driver": "memory", "keypair_path": "k.key"}, "kv.s is in the memory of the processes that serve"),
        ({}, "kv store s is not encrypted: set rtbridge.kv.keypair_path"),
        (
            {"driver": "'memcached', config: {addr: [\"127.0.0.1:1\"]}", "keypair_path": "k.key"},
            "kv store s: memcached has no iteration",
        ),
        (
            {"keypair_path": "k.key", "previous_keypair_paths": ["open.key"]},
            "can be read or changed by others (mode 0644)",
        ),
    ],
)
def test_what_cannot_be_rotated(project: Any, invoke: Invoke, options: dict[str, Any], text: str) -> None:
    for name in ("k.key", "open.key"):
        invoke("kv", "keygen", name)
    (project.folder / "open.key").chmod(0o644)
    configure(project, **options)
    found = invoke("kv", "rotate", "s")
    assert found.exit_code == 2
    assert found.stderr.startswith("rtbridge: ")
    assert text in found.stderr
    assert "no kv store 't': there are s" in invoke("kv", "rotate", "t").stderr


def test_a_damaged_file_is_told(project: Any, invoke: Invoke) -> None:
    invoke("kv", "keygen", "k.key")
    configure(project, keypair_path="k.key")
    (project.folder / "kv.db").write_bytes(b"bolt" * 1000)
    found = invoke("kv", "rotate", "s")
    assert found.exit_code == 2
    assert "is no SQLite database, and stays as it is" in found.stderr


async def test_entries_that_change_meanwhile(project: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that another process writes with the old key is rewritten as it is then; one that ends is left out."""
    for name in ("old.key", "new.key"):
        invoke("kv", "keygen", name)
    configure(project, keypair_path="old.key")
    old = open_stores(load_config(project.folder / ".rr.yaml").config)("s")
    await old.set_many({"a": 1, "b": 1, "c": 1})
    configure(project, keypair_path="new.key", previous_keypair_paths=["old.key"])
    new = open_stores(load_config(project.folder / ".rr.yaml").config)("s")
    opened = rotation._opened

    def meanwhile(kv: Kv, cipher: Any, key: str, data: bytes, *, plain: bool) -> bytes | None:
        monkeypatch.setattr(rotation, "_opened", opened)
        connection = sqlite3.connect(project.folder / "kv.db")
        connection.execute("UPDATE entries SET value = ? WHERE key = 'a'", (old.codec.encode("a", 2),))
        connection.execute("DELETE FROM entries WHERE key = 'b'")
        connection.commit()
        connection.close()
        return opened(kv, cipher, key, data, plain=plain)

    monkeypatch.setattr(rotation, "_opened", meanwhile)
    looked_at: list[int] = []
    done = await rotate(new, looked_at.append)
    assert (done.rewritten, done.changed, done.current, done.unreadable) == (2, 1, 0, 0)
    assert looked_at == [3]
    assert await new.get_many(["a", "b", "c"]) == {"a": 2, "c": 1}
    await old.close()
    await new.close()


def test_key_files_of_the_reference_product(project: Any, tmp_path: Path) -> None:
    """`sodium_crypto_box_keypair()`: the secret half, then the public one."""
    private = nacl.public.PrivateKey.generate()
    path = tmp_path / "keypair.key"
    path.write_bytes(bytes(private) + bytes(private.public_key))
    path.chmod(0o600)
    assert read_keypair(path)
