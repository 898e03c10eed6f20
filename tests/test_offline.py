"""Nothing leaves the machine: preparing and loading open no socket."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys

def refuse_sockets(event, _):
    if event.startswith("socket."):
        raise SystemExit(f"opened a socket: {event}")

sys.addaudithook(refuse_sockets)
if sys.argv[1] == "check":
    import socket
    socket.socket()

import mien
import mien.data.sources
from mien.cli.app import main

mien.data.sources._MANY = 50  # decode in several processes, which inherit the hook
assert main(["prepare", "--input-dir", sys.argv[1], "--output-dir", sys.argv[2]]) == 0
assert len(mien.open_data(sys.argv[2]).train) > 50
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def test_preparing_and_loading_open_no_socket(drawn: Path, tmp_path: Path) -> None:
    done = run(drawn, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_hook_would_have_seen_one() -> None:
    assert "opened a socket" in run("check").stderr
