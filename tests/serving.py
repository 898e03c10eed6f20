"""Servers to ask, each a process of its own, and how to ask them without a client that helps."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"

# A server as `mien serve` makes it, but with other limits.
_LIMITED = """
import json, sys
from mien.cli.serve import _engine
from mien.serve import server
from mien.serve.app import create_app
from mien.serve.settings import Settings
settings = Settings(port=0, **json.loads(sys.argv[1]))
listener, _ = server.bind(settings)
app = create_app(_engine(("tiny",), settings.max_pixels), settings)
server.serve(app, listener, settings, lambda: print("at", server.url(settings.host, listener), flush=True))
"""


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self) -> str:
        """The detail of a problem; fails unless the reply is one."""
        assert self.headers["content-type"] == "application/problem+json"
        fields = self.json()
        assert fields.keys() == {"type", "title", "status", "detail"} and fields["status"] == self.status
        return fields["detail"]


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def ask(self, path: str, body: Any = None, kind: str = "", method: str = "", **headers: str) -> Reply:
        """One request on a connection of its own; `a_b` in headers means a-b."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            sent["Content-Type"] = kind
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, data: bytes) -> bytes:
        """All that comes back for some bytes."""
        with self.connect() as wire:
            wire.sendall(data)
            return until_closed(wire)


@contextmanager
def serving(*arguments: str, environment: dict[str, str] | None = None, **limits: Any) -> Iterator[Running]:
    """A server: `mien serve` with `arguments`, or one of `tiny` alone with other `limits`."""
    command = ["-c", _LIMITED, json.dumps(limits)] if limits else ["-m", "mien", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **(environment or {})},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + (process.stderr.read() if process.stderr else "")
        yield Running(process, found[0])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def form(parts: list[tuple[str, bytes]], name: str = "file") -> tuple[bytes, str]:
    """A multipart body of files, and its type."""
    pieces = [
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for file, data in parts
    ]
    return b"".join(pieces) + b"--xyz--\r\n", "multipart/form-data; boundary=xyz"


def until_closed(wire: socket.socket) -> bytes:
    """All that comes before the other side closes, which the caller's side then does too."""
    with wire:
        return b"".join(iter(lambda: wire.recv(65536), b""))


def until(condition: Any, seconds: float = 30) -> None:
    """Wait for something to become true; fails if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
