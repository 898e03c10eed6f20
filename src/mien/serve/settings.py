"""What a server is told at its start, and what it bears of its clients."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Who may ask, and how much.

    host, port: what the server listens on; 0 takes any free port. token: what clients must present; none if empty.
    origins: foreign pages that may ask, as `https://example.org`. workers: pictures looked at at the same time; queue:
    requests that may wait for that. Bytes are those of a picture (`max_bytes`) and of all bodies in memory at once
    (`max_buffered`). Times are in seconds: until a request's head, then its body, is complete, and until its answer.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    origins: tuple[str, ...] = ()
    workers: int = max(1, os.cpu_count() or 1)
    queue: int = 32
    max_bytes: int = 20_000_000
    max_pixels: int = 40_000_000
    max_files: int = 16
    max_buffered: int = 256_000_000
    max_connections: int = 512
    head_seconds: float = 10
    body_seconds: float = 30
    answer_seconds: float = 30
