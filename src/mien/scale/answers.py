"""Pictures looked at, and the rows of their answers: what every engine does with a share of the work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from mien.errors import DataError, MienError
from mien.predict.prediction import Prediction
from mien.predict.predictor import Predictor
from mien.scale.job import Job
from mien.scale.rows import table
from mien.scale.shards import Counts
from mien.scale.sources import Entry, item

_AT_ONCE = 1000  # answers that become rows together: those of a long video take less room so


class EngineError(DataError):
    """An engine cannot go on; what it has answered is kept."""


class Answer(NamedTuple):
    """The rows of some pictures, and what is in them."""

    rows: pa.Table
    counts: Counts

    @classmethod
    def joined(cls, answers: Sequence[Answer]) -> Answer:
        """One after the other."""
        return cls(pa.concat_tables([one.rows for one in answers]), sum((one.counts for one in answers), Counts()))


def answer(entries: Iterable[Entry], job: Job, predictor: Predictor) -> Answer:
    """The rows of these pictures and videos, in their order."""
    columns, counts = job.schema, Counts()
    tables, waiting = [columns.empty_table()], list[dict[str, Any]]()
    for picture in _looked_at(entries, job, predictor):
        faces, failed = 0, False
        for one in picture:
            faces, failed = faces + len(one["faces"]), failed or "error" in one
            waiting.append(one)
            if len(waiting) == _AT_ONCE:
                tables.append(table(waiting, columns))
                waiting = []
        counts += Counts(1, faces, not failed and not faces, failed)
    return Answer(pa.concat_tables([*tables, table(waiting, columns)]), counts)


def failure(entry: Entry, reason: str, job: Job) -> Answer:
    """The row of a picture that could not be looked at."""
    row = Prediction(entry.name, None, (), f"{entry.name}: {reason}").to_dict()
    return Answer(table([row], job.schema), Counts(1, errors=1))


def _looked_at(entries: Iterable[Entry], job: Job, predictor: Predictor) -> Iterator[Iterable[dict[str, Any]]]:
    """For each picture or video its answers, as `mien predict --json` prints them."""
    for film, group in groupby(entries, lambda entry: entry.film):
        if film:
            yield from (_frames(entry.name, job.every, predictor) for entry in group)
        else:
            yield from (
                [prediction.to_dict()] for prediction in predictor.stream(item(entry, job.source) for entry in group)
            )


def _frames(name: str, every: int, predictor: Predictor) -> Iterator[dict[str, Any]]:
    try:
        yield from (result.to_dict() for result in predictor.video(name, every) if result.fresh)
    except MienError as error:  # what came before it is kept
        yield Prediction(name, None, (), str(error)).to_dict()
