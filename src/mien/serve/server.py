"""The process: a socket, uvicorn on it, deadlines for slow clients, and an end in good order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.errors import UsageError
from mien.serve.settings import Settings

_TRIED = 20  # ports, from the wanted one on
_LAST_SECONDS = 5  # for requests in flight when the server ends
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)


def bind(settings: Settings) -> tuple[socket.socket, bool]:
    """A listening socket, and whether its port is the wanted one; raises UsageError where none can be had."""
    try:
        family = socket.getaddrinfo(settings.host, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(
            f"--host {settings.host}: no such address ({error.strerror}); give one of this machine"
        ) from None
    ports = [settings.port] if settings.port == 0 else range(settings.port, min(settings.port + _TRIED, 65536))
    reason = ""
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, port))
            listener.listen(1024)
            return listener, port == settings.port
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
    raise UsageError(f"no port from {ports[0]} to {ports[-1]} on {settings.host} can be had ({reason}); give --port")


def serve(app: FastAPI, listener: socket.socket, settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once requests are answered."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)

    class Protocol(_Protocol):
        seconds = settings.head_seconds
        most = settings.max_connections

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    asyncio.run(_Server(config, app.state.drain, ready).serve(sockets=[listener]))


class _Protocol(H11Protocol):
    """HTTP/1.1 with a deadline for the head of each request, and a bound on connections."""

    seconds: float = 10
    most: int = 512
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, but not for ever."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(_FULL)
            transport.close()
        else:
            self._deadline = self.loop.call_later(self.seconds, transport.close)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is complete has met its deadline, one that begins has one."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.seconds, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """uvicorn, ended by a signal as an ordinary program is: what runs is finished, what waits is told so, exit 0."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain, self._ready = drain, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM; a second SIGINT does not wait for anything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._drain()


def url(host: str, listener: socket.socket) -> str:
    """The address of the page, as people type it."""
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/"
