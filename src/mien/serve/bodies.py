"""Bodies of requests: read into memory within limits of size and time, and taken apart into pictures."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mien.serve.problems import Busy, Problem
from mien.serve.settings import Settings
from mien.serve.workers import ClientGone

JSON, MULTIPART = "application/json", "multipart/form-data"
_NAME = 255  # letters of a picture's name that are kept
_FRAME = 4096  # bytes around a picture in a form or in JSON


@dataclass(frozen=True)
class Upload:
    """A picture as it was sent: its name, empty where it has none, and its bytes."""

    name: str
    data: bytes


class Bodies:
    """The bodies in memory: all together no larger than they may be, each complete in time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0
        self._deadlines: set[asyncio.Timeout] = set()
        self._closed = False

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, counted until it is done with; raises Problem 413, 415, 408 or 503, or ClientGone."""
        limit = self._limit(request)
        chunks: list[bytes] = []
        held = 0
        try:
            async with self._in_time():
                async for chunk in request.stream():
                    held += len(chunk)
                    self._held += len(chunk)
                    self._check(held, limit)
                    chunks.append(chunk)
            data = b"".join(chunks)
            chunks.clear()
            yield data
        finally:
            self._held -= held

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        seconds = self._settings.body_seconds
        deadline = asyncio.timeout(seconds)
        self._deadlines.add(deadline)
        try:
            async with deadline:
                yield
        except TimeoutError:
            if self._closed:
                raise Busy("the server is ending; try again when it is back") from None
            raise Problem(408, f"the body did not come within {seconds:g} s; send it faster") from None
        except ClientDisconnect:
            raise ClientGone from None
        finally:
            self._deadlines.discard(deadline)

    def _limit(self, request: Request) -> int:
        """The most bytes that the body may have; what its head gives away is refused at once."""
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Problem(
                415, "compressed bodies are not unpacked; pictures are compressed already, send them as they are"
            )
        kind = media_type(request)
        if not kind.startswith("image/") and kind not in (JSON, MULTIPART):
            raise Problem(
                415,
                f"a body of type '{kind or 'none'}'; send the picture's bytes as image/*, "
                f'{{"image": "<base64>"}} as {JSON}, or files as {MULTIPART}',
            )
        limit = self._settings.max_bytes
        if kind == JSON:
            limit = limit * 4 // 3
        if kind == MULTIPART:
            limit *= 2
        if not kind.startswith("image/"):
            limit += _FRAME * self._settings.max_files
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise self._too_large(limit)
        return limit

    def _check(self, held: int, limit: int) -> None:
        if held > limit:
            raise self._too_large(limit)
        if self._held > self._settings.max_buffered:
            raise Busy("enough pictures are on their way already; try again in a second")

    def _too_large(self, limit: int) -> Problem:
        return Problem(413, f"more than {limit / 1e6:.0f} MB; send a smaller picture, or fewer at a time")

    def close(self) -> None:
        """Give up the bodies that are not complete."""
        self._closed = True
        for deadline in self._deadlines:
            deadline.reschedule(asyncio.get_running_loop().time())


def media_type(request: Request) -> str:
    """The type of a request's body, without parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def uploads(kind: str, content_type: str, data: bytes, settings: Settings) -> list[Upload]:
    """The pictures in a body of media type `kind`; raises Problem for what holds none."""
    if kind == JSON:
        found = [Upload("", _from_json(data))]
    elif kind == MULTIPART:
        found = _from_form(content_type, data, settings.max_files)
    else:
        found = [Upload("", data)]
    if any(len(upload.data) > settings.max_bytes for upload in found):
        raise Problem(413, f"a picture of more than {settings.max_bytes / 1e6:.0f} MB; send a smaller one")
    return found


def _from_json(data: bytes) -> bytes:
    """The picture in `{"image": "<base64 or data URI>"}`."""
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise Problem(400, 'the body is not JSON; send {"image": "<base64>"}') from None
    if not isinstance(fields, dict) or set(fields) != {"image"} or not isinstance(fields["image"], str):
        raise Problem(400, 'the body is not {"image": "<base64 or data URI>"}; options belong into the query')
    text = fields["image"]
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise Problem(400, "image: a data URI without base64; write data:image/jpeg;base64,<...>")
    elif "://" in text[:16]:
        raise Problem(400, "image: an address; the server fetches nothing, send the picture's bytes in base64")
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Problem(400, "image: not base64; encode the picture's bytes by RFC 4648, without line breaks") from None


@dataclass
class _Part:
    """A part of a form while it is read."""

    head: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""
    data: list[memoryview] = field(default_factory=list)


def _from_form(content_type: str, data: bytes, most: int) -> list[Upload]:
    """The pictures in the `file` parts of a form; nothing but memory is used."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise Problem(400, "a form without boundary; let your HTTP library write the Content-Type")
    parts: list[_Part] = []
    ended = False

    def begin() -> None:
        if len(parts) == most:
            raise Problem(413, f"more than {most} files; send fewer at a time")
        parts.append(_Part())

    def header_name(chunk: bytes, start: int, end: int) -> None:
        parts[-1].name += chunk[start:end]

    def header_value(chunk: bytes, start: int, end: int) -> None:
        parts[-1].value += chunk[start:end]

    def header_end() -> None:
        part = parts[-1]
        part.head[part.name.lower()], part.name, part.value = part.value, b"", b""

    def content(chunk: bytes, start: int, end: int) -> None:
        parts[-1].data.append(memoryview(chunk)[start:end])

    def end() -> None:
        nonlocal ended
        ended = True

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": header_name,
            "on_header_value": header_value,
            "on_header_end": header_end,
            "on_part_data": content,
            "on_end": end,
        },
    )
    try:
        parser.write(data)
    except MultipartParseError as error:
        raise Problem(400, f"the form cannot be read ({error}); let your HTTP library write it") from None
    if not ended:
        raise Problem(400, "the form is cut short; send it whole")
    return [_upload(part) for part in parts]


def _upload(part: _Part) -> Upload:
    options = parse_options_header(part.head.get(b"content-disposition", b""))[1]
    if options.get(b"name") != b"file":
        name = options.get(b"name", b"").decode(errors="replace")
        raise Problem(400, f"a part called '{name}'; pictures are in parts called 'file', options in the query")
    name = options.get(b"filename", b"").decode(errors="replace").replace("%22", '"')  # so browsers write it in a form
    return Upload(name[:_NAME], b"".join(part.data))
