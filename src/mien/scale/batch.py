"""All pictures of a source answered into a folder of shards, going on where an earlier run ended."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, Literal, Protocol

from mien import atomic
from mien.folders import hold
from mien.scale import local
from mien.scale.answers import Answer, EngineError
from mien.scale.job import Job
from mien.scale.rows import printable
from mien.scale.shards import PATTERN, Counts, Shards
from mien.scale.sources import Entry, entries_of

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class Result:
    """What a folder holds in the end, how many of its pictures this run looked at, and the seconds it took."""

    out: Path
    shards: int
    counts: Counts
    looked_at: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rate = self.looked_at / self.seconds if self.seconds else 0.0
        return {
            "out": str(self.out),
            "shards": self.shards,
            **asdict(self.counts),
            "looked_at": self.looked_at,
            "seconds": round(self.seconds, 3),
            "pictures_per_second": round(rate, 2),
        }


class ListenerProtocol(Protocol):
    """Is told how the work goes on."""

    def started(self, pictures: int, done: int) -> None:
        """So many pictures are to be looked at, so many were before."""

    def progress(self, pictures: int) -> None:
        """So many more pictures are looked at."""

    def finished(self) -> None:
        """A shard is whole."""


def run(
    job: Job,
    out: Path,
    engine: Engine,
    workers: int | None,
    per_shard: int,
    listener: ListenerProtocol,
    stall_minutes: float | None = None,
) -> Result:
    """Look at all pictures of a source that are not in `out` yet.

    workers: processes or actors; None for one a core, or as many as a Ray cluster has room for. per_shard: pictures of
    which a shard holds the rows. stall_minutes: how long Ray may answer nothing, None for an hour.

    Raises DataError for a source or a folder that cannot be used, UsageError where another job began the folder,
    EngineError where the engine cannot go on.
    """
    start = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with hold(out, "writing"):
        atomic.remove_leftovers(out, PATTERN)
        shards = Shards(out, job)
        done = shards.done()
        entries = [entry for entry in entries_of(job.source) if printable(entry.name) not in done]
        listener.started(len(entries), shards.counts.pictures)
        if entries:
            answers, size = _answers(entries, job, engine, workers, per_shard, stall_minutes)
            try:
                with closing(answers):
                    told = _told(answers, listener)
                    for first in range(0, len(entries), per_shard):
                        pictures = min(per_shard, len(entries) - first)
                        shards.add(islice(told, ceil(pictures / size)))
                        listener.finished()
            except EngineError as error:
                pictures = f"{shards.counts.pictures:,} pictures in {len(shards.paths):,} files"
                raise EngineError(f"{error}; {out} holds {pictures}, and the same command continues") from None
    return Result(out, len(shards.paths), shards.counts, len(entries), time.monotonic() - start)


def _answers(
    entries: list[Entry], job: Job, engine: Engine, workers: int | None, per_shard: int, stall_minutes: float | None
) -> tuple[Generator[Answer, None, None], int]:
    """The answers for all entries, in order, a handful at a time, and the size of a handful."""
    if engine == "ray":
        from mien.scale import cluster

        handfuls = list(_handfuls(entries, per_shard, cluster.HANDFUL))
        return cluster.answers(handfuls, job, workers, stall_minutes or cluster.STALL_MINUTES), cluster.HANDFUL
    size = local.HANDFUL
    processes = min(workers or local.cores(), ceil(len(entries) / size))
    return local.answers(_handfuls(entries, per_shard, size), job, processes, ceil(per_shard / size)), size


def _handfuls(entries: list[Entry], per_shard: int, size: int) -> Iterator[list[Entry]]:
    """The entries, up to `size` at a time, none from two shards."""
    for first in range(0, len(entries), per_shard):
        last = min(first + per_shard, len(entries))
        for start in range(first, last, size):
            yield entries[start : min(start + size, last)]


def _told(answers: Iterable[Answer], listener: ListenerProtocol) -> Iterator[Answer]:
    for answer in answers:
        listener.progress(answer.counts.pictures)
        yield answer
