"""The way of a new user: install the wheel into an empty environment, paste the README's files, serve, call."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def readme_file(name: str) -> str:
    """The fenced block that follows the README's mention of a file."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found, f"the README no longer shows {name}"
    return found.group(1)


def readme_calls() -> list[str]:
    """The `rtbridge call` lines of the README."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^\$ rtbridge (call .*)$", text, re.MULTILINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.timeout(240)
def test_readme_works_from_a_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    """Every file and command of the README's first example does what the README says."""
    wheels, folder, environment = tmp_path / "wheels", tmp_path / "mine", tmp_path / "env"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(ROOT)],
        check=True,
        capture_output=True,
    )
    venv.create(environment, with_pip=True)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = wheels.iterdir()
    subprocess.run([scripts / "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True)
    for name in ("hooks.py", ".rr.yaml"):
        (folder / name).write_text(readme_file(name))
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ports = [
        "-o",
        f"centrifuge.proxy_address=tcp://127.0.0.1:{free_port()}",
        "-o",
        f"rtbridge.http_proxy.address=127.0.0.1:{free_port()}",
    ]
    rtbridge = str(scripts / "rtbridge")
    server = subprocess.Popen(
        [rtbridge, "serve", *ports], cwd=folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert server.stdout is not None
        seen = []
        for line in server.stdout:
            seen.append(line)
            if "ready" in line:
                break
        assert any("nobody answers rpc" in line for line in seen), "".join(seen)
        answers = []
        for call in readme_calls():
            words = [rtbridge, *shlex.split(call), *ports]
            for wire in ([], ["--http"]):
                done = subprocess.run(
                    [*words, *wire], cwd=folder, env=clean, capture_output=True, text=True, timeout=30
                )
                answers.append((done.returncode, done.stdout))
        codes = [code for code, _ in answers]
        assert codes == [0, 0, 0, 0, 1, 1, 1, 1], answers
        assert "ann" in answers[0][1]
        assert '"hi"' in answers[2][1]
        assert "107" in answers[4][1]
        assert "4500" in answers[6][1]
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
        assert server.stdout is not None
        server.stdout.close()
    assert code == 0
