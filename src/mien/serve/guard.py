"""Before every route: who asks, from where, and by which name; after it: headers, metrics, and no traceback.

A server on loopback is within reach of every page that a browser shows. Such a page can send forms without asking
(so `Origin` is checked), and can give its own host name the address 127.0.0.1 (so `Host` is checked).
"""

from __future__ import annotations

import hmac
import logging
import socket
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.metrics import Metrics
from mien.serve.problems import Problem, ProblemResponse
from mien.serve.settings import Settings
from mien.serve.workers import ClientGone

_PRIVATE = ("/v1/", "/metrics")
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOG = logging.getLogger("mien.serve")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger's page is the only one with a script and styles inside.
_DOCS_POLICY = _POLICY.replace("-src 'self';", "-src 'self' 'unsafe-inline';", 2)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._hosts = {"localhost", settings.host.lower(), socket.gethostname().lower()}
        self._hosts |= {urlsplit(origin).hostname or "" for origin in settings.origins}
        self._loopback = is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange = _Exchange(scope, receive, send)
        began = time.monotonic()
        try:
            self._check(scope, Headers(scope=scope))
            await self._app(scope, exchange.receive, exchange.send)
        except Problem as problem:
            self._metrics.refusals.labels(str(problem.status)).inc()
            await ProblemResponse(problem, exchange.unread)(scope, exchange.receive, exchange.send)
        except ClientGone:
            pass
        except Exception as error:  # a bug: the client is told no more than that, and no picture is logged
            _LOG.exception("%s %s: %s", scope["method"], scope["path"], type(error).__name__)
            if not exchange.status:
                problem = Problem(500, "an error in the server itself; its log on stderr says which")
                await ProblemResponse(problem, exchange.unread)(scope, exchange.receive, exchange.send)
        finally:
            self._metrics.count(scope, exchange.status, time.monotonic() - began)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raise Problem 421, 403 or 401."""
        host = headers.get("host", "")
        if not self._is_mine(host):
            raise Problem(421, f"this server is not '{host[:100]}'; ask it by its address, or start it with --host")
        origin = headers.get("origin")
        if origin is not None and origin not in self._settings.origins and urlsplit(origin).netloc != host:
            raise Problem(
                403, "a page of another origin may not ask this server; start it with --allow-origin to let it"
            )
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if origin is None and foreign and scope["method"] not in _SAFE:
            raise Problem(
                403, "a page of another origin may not ask this server; start it with --allow-origin to let it"
            )
        if self._settings.token and scope["path"].startswith(_PRIVATE) and scope["method"] != "OPTIONS":
            self._check_token(headers.get("authorization", ""))

    def _check_token(self, given: str) -> None:
        wanted = f"Bearer {self._settings.token}"
        if not hmac.compare_digest(given.encode(errors="replace"), wanted.encode()):
            raise Problem(
                401,
                "a token is needed: send Authorization: Bearer <token>",
                {"WWW-Authenticate": 'Bearer realm="mien"'},
            )

    def _is_mine(self, host: str) -> bool:
        """Whether a Host header names this server: by a name it knows, or by address, which nobody can rebind."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            return ip_address(name).is_loopback if self._loopback else bool(ip_address(name))
        except ValueError:
            return False


class _Exchange:
    """A request and its response as they pass: how far its body was read, and the status sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.status = 0
        self._path, self._receive, self._send = scope["path"], receive, send
        scope["mien.exchange"] = self

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["Content-Security-Policy"] = _DOCS_POLICY if self._path.startswith("/docs") else _POLICY
            headers.setdefault("Cache-Control", "no-store" if self._path.startswith(_PRIVATE) else "no-cache")
            if "access-control-allow-origin" in headers:
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        await self._send(message)


def unread(scope: Scope) -> bool:
    """Whether the client is still sending the body of a request."""
    return scope["mien.exchange"].unread


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
