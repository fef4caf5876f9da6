"""Sets a checkout up and does one of two things with it; needs Python 3.11 or newer and nothing else.

    python3 dev.py run   [arguments of `rtbridge serve`]   serve what .rr.yaml says: the chat of samples/chat
    python3 dev.py test  [arguments of pytest]             lint, types, generated files, tests, coverage

With arguments, ``test`` runs pytest alone. Everything that is installed goes into ``.venv`` in this folder. A tool that
is missing leaves something out, which is said in one line; with ``CI=true`` it is an error instead.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "installed"
CHAT = ROOT / "samples" / "chat"
CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

#: Tool → what its absence leaves out.
TOOLS = {
    "go": "the tests with a gRPC client that is not ours (tests/real/test_go_peer.py), and h2spec (tests/transport)",
    "node": "the tests with Centrifugo's JavaScript client (tests/real)",
    "npm": "the tests with Centrifugo's JavaScript client (tests/real)",
    "curl": "calls of the gRPC server with curl (tests/transport)",
    "h2load": "calls of the gRPC server with nghttp2's load generator (tests/transport)",
    "chromium": "the sample chat in a browser (tests/real/browser)",
    "memcached": "the tests of the memcached driver (tests/plugins/kv)",
    "redis-server": "the tests of the redis driver (tests/plugins/kv)",
}

#: Where every branch is tested; the rest of the package has to reach 90 %.
WHOLE = ",".join(
    f"rtbridge/{part}"
    for part in (
        "events/*",
        "hooks/*",
        "codec/*",
        "bridge.py",
        "denial.py",
        "admission.py",
        "eager.py",
    )
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; the result is the process's exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036  # an older Python is what this is about
        return fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    if not arguments or arguments[0] not in ("run", "test"):
        print(__doc__)
        return 2
    command, rest = arguments[0], list(arguments[1:])
    try:
        install()
        if command == "run":
            install_page()
            return serve(rest)
        return test(rest)
    except KeyboardInterrupt:
        return 130
    except subprocess.CalledProcessError as exc:
        return fail(f"{' '.join(map(str, exc.cmd))} failed with exit code {exc.returncode}")


def fail(text: str) -> int:
    print(f"dev.py: {text}", file=sys.stderr)
    return 1


def install() -> None:
    """A virtual environment with rtbridge, editable, and the dev group; skipped while pyproject.toml is the same."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("dev.py: installing into .venv", flush=True)
    if not PYTHON.exists():
        create_environment()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--upgrade", "pip>=25.1"], check=True, cwd=ROOT)
    subprocess.run([*pip, "--editable", ".[fast,pydantic]", "--group", "dev"], check=True, cwd=ROOT)
    STAMP.write_text(wanted)


def create_environment() -> None:
    """``.venv``, with Debian's python3-venv first where Python came without ensurepip and apt may be used."""
    make = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.run(make, check=False, capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print(f"dev.py: installing {package}", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", package], check=True)
    else:
        print(f"dev.py: Python has no venv module here; on Debian: sudo apt-get install {package}", file=sys.stderr)
    subprocess.run(make, check=True)


def install_page() -> None:
    """The JavaScript client beside the chat's page; without npm, or without its registry, the page asks a CDN."""
    lock, vendor = CHAT / "package-lock.json", CHAT / "web" / "vendor"
    wanted, stamp = hashlib.sha256(lock.read_bytes()).hexdigest(), vendor / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        print("dev.py: npm is not installed, so the chat's page takes its client from a CDN", file=sys.stderr)
        return
    print("dev.py: installing the chat's JavaScript client", flush=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, check=False, cwd=CHAT, stdout=subprocess.DEVNULL).returncode:
        print("dev.py: npm ci failed, so the chat's page takes its client from a CDN", file=sys.stderr)
        return
    vendor.mkdir(exist_ok=True)
    shutil.copy(CHAT / "node_modules" / "centrifuge" / "dist" / "centrifuge.js", vendor)
    stamp.write_text(wanted)


def serve(arguments: list[str]) -> int:
    """Become ``rtbridge serve``, so that signals reach it and nothing stands in between."""
    command = [str(PYTHON), "-m", "rtbridge", "serve", *arguments]
    if os.name == "nt":
        return call(*command)
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(command[0], command)


def call(*command: str, **environment: str) -> int:
    """Run a command in the checkout and give back its exit code; an interrupt reaches the command itself."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def test(arguments: list[str]) -> int:
    """Everything that has to pass, in the order in which it is cheap to find out."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    for tool in missing:
        print(f"dev.py: {tool} is not installed, which leaves out {TOOLS[tool]}", file=sys.stderr)
    if missing and CI:
        return fail("under CI every tool has to be there")
    python = str(PYTHON)
    if arguments:
        return call(python, "-m", "pytest", *arguments)
    steps = [
        ("format", [python, "-m", "ruff", "format", "--check", "."]),
        ("lint", [python, "-m", "ruff", "check", "."]),
        ("generated files", [python, "-m", "rtbridge._codegen", "--check"]),
        ("types, mypy", [python, "-m", "mypy"]),
        ("types, pyright", [python, "-m", "pyright", "--pythonpath", python]),
        ("coverage reset", [python, "-m", "coverage", "erase"]),
    ]
    for name, command in steps:
        print(f"dev.py: {name}", flush=True)
        if code := call(*command):
            return code
    print("dev.py: tests", flush=True)
    # One after the other: tests of processes that share two cores with other tests have failed where they did not wait.
    # Whoever is in a hurry takes `dev.py test --numprocesses auto --dist loadfile`.
    code = call(python, "-m", "coverage", "run", "-m", "pytest", "-q")
    if code == 0:
        code = coverage(python)
    return code


def coverage(python: str) -> int:
    """Combine what the processes measured and hold it against the two bars."""
    if code := call(python, "-m", "coverage", "combine", "--quiet"):
        return code
    report = [python, "-m", "coverage", "report", "--format=text"]
    whole = call(*report, f"--include={WHOLE}", "--fail-under=100")
    rest = call(*report, f"--omit={WHOLE}", "--fail-under=90")
    return whole or rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
