"""The folder of results: Parquet files `part-00000.parquet`, ... , each whole or not there.

They are all that is kept: which pictures are done is read from their column `source`, by which job from their metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mien import atomic
from mien.errors import DataError, UsageError
from mien.scale.job import Job, differences

PATTERN = "part-*.parquet"
_KEY = b"mien"
_COUNTS = "mien.counts"
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Counts:
    """Pictures (a video is one), their faces, those pictures without a face, and those that could not be read."""

    pictures: int = 0
    faces: int = 0
    without: int = 0
    errors: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


class Shards:
    """The shards in a folder that were made by `job`; raises UsageError where another job made them."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self._job = folder, job
        self.paths = sorted(folder.glob(PATTERN))
        self.counts = Counts()
        for path in self.paths:
            made, counts = _read_metadata(path)
            if line := next(differences(job.metadata(), made), ""):
                raise UsageError(f"{folder}: begun with {line}; give another folder, or the same options")
            self.counts += counts

    def done(self) -> set[str]:
        """The sources of all rows."""
        found: set[str] = set()
        for path in self.paths:
            found.update(pq.read_table(path, columns=["source"])["source"].unique().to_pylist())
        return found

    def add(self, answers: Iterable[tuple[pa.Table, Counts]]) -> None:
        """Write the next shard, all rows of `answers`; nothing is there of it before it is whole."""
        number = int(self.paths[-1].stem.partition("-")[2]) + 1 if self.paths else 0
        path = self.folder / f"part-{number:05}.parquet"
        made = {_KEY: json.dumps(self._job.metadata()).encode()}
        counts, waiting, rows = Counts(), [], 0
        with (
            atomic.replacing(path) as temporary,
            pq.ParquetWriter(temporary, self._job.schema.with_metadata(made), compression="zstd") as writer,
        ):
            for table, counted in answers:
                waiting.append(table)
                counts, rows = counts + counted, rows + len(table)
                if rows >= _ROWS_AT_ONCE:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting, rows = [], 0
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
            writer.add_key_value_metadata({_COUNTS: json.dumps(asdict(counts))})
        self.paths.append(path)
        self.counts += counts


def _read_metadata(path: Path) -> tuple[dict[str, Any], Counts]:
    """The job that made a shard, and what is in it; raises DataError where it is none."""
    try:
        metadata = pq.read_metadata(path).metadata
        return json.loads(metadata[_KEY]), Counts(**json.loads(metadata[_COUNTS.encode()]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{path}: not a shard that Mien wrote, or a damaged one; delete it, and its pictures are looked at again"
        ) from None
