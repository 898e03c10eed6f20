"""What a client is told when there is no answer: problem+json (RFC 9457)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from json import dumps

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CONTENT_TYPE = "application/problem+json"
_DISCARDED = 32 << 20  # bytes of an unwanted body that are read and dropped, so that its sender comes to read why


class Problem(Exception):
    """Ends a request with a status and a sentence that names cause and remedy."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


class Busy(Problem):
    """Ends a request that may be tried again in a moment."""

    def __init__(self, detail: str) -> None:
        super().__init__(503, detail, {"Retry-After": "1"})


class ProblemResponse(Response):
    """A problem as a response; where the request's body was not read to its end, the connection closes."""

    media_type = CONTENT_TYPE

    def __init__(self, problem: Problem, unread: bool = False) -> None:
        title = HTTPStatus(problem.status).phrase
        content = dumps({"type": "about:blank", "title": title, "status": problem.status, "detail": problem.detail})
        headers = {**problem.headers, **({"Connection": "close"} if unread else {})}
        super().__init__(content + "\n", problem.status, headers)
        self._discards = unread and problem.status != HTTPStatus.REQUEST_TIMEOUT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; a client in the midst of sending reads nothing until it has done so, or is cut off."""
        if not self._discards:
            return await super().__call__(scope, receive, send)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def discard(receive: Receive, seconds: float = 2) -> None:
    """Read and drop what is left of a body, for so long at most."""
    dropped = 0
    try:
        async with asyncio.timeout(seconds):
            while dropped < _DISCARDED:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
