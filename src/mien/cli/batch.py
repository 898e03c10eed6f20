"""The command for many files: batch."""

from __future__ import annotations

import time
from contextlib import closing
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.cli.console import as_json, say
from mien.cli.options import BASE, Json, ModelOptions, Prior, Switch, option
from mien.errors import UsageError
from mien.extras import require

if TYPE_CHECKING:
    from mien.scale.batch import Result


def batch(
    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SRC", help_behavior_hint="")]],
    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT", help_behavior_hint="")]],
    model: ModelOptions = BASE,
    engine: Literal["local", "ray"] = "local",
    workers: Annotated[int | None, option("INT", "one a core, less one a machine on Ray")] = None,
    columns: Annotated[str, option("NAMES", "all")] = "",
    per_shard: int = 2000,
    crop: Literal["detect", "none"] = "detect",
    prior: Prior = "natural",
    min_confidence: float = 0.0,
    min_face: int = 96,
    upright: Switch = False,
    every: int = 1,
    stall_timeout: Annotated[float | None, option("MINUTES", "60")] = None,
    json: Json = False,
) -> None:
    """Name the expressions in many files, into Parquet files.

    The same command continues a run that was stopped.

    Args:
        source: a folder (with all folders within), a .zip, .tar or .tar.gz, a text file with a path a line,
            s3://bucket/folder, gs://bucket/folder, a video.
        out: folder for the results, part-00000.parquet and so on: a row for each face, and for each photo or frame
            without one. What is there already is not done again.
        engine: "local" uses the cores of this machine; "ray" a Ray cluster, that of RAY_ADDRESS or one of its own.
        workers: processes, or actors of Ray, that look at pictures.
        columns: those wanted besides source, as emotion,confidence,box.
        per_shard: photos and videos a file holds the rows of; as many are lost at most when the command is killed.
        crop: "detect" finds the faces; "none" takes each picture as one ready-made crop.
        prior: "natural" expects expressions as often as training showed them, "uniform" each as often as any other.
        min_confidence: mark faces whose confidence or quality is below it as uncertain.
        min_face: look for faces from so many pixels on.
        upright: take every picture to be upright.
        every: in a video, look at every n-th frame only.
        stall_timeout: with --engine ray, end with an error when nothing was answered for so long.
    """
    require("mien batch", "pyarrow", *(["ray"] if engine == "ray" else []))
    from mien.models.files import model_digest
    from mien.scale.batch import run
    from mien.scale.job import Job

    for name, value in (("--workers", workers), ("--per-shard", per_shard), ("--every", every)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: give 1 or more")
    if stall_timeout is not None and (engine != "ray" or not 0 < stall_timeout < inf):
        raise UsageError(f"--stall-timeout {stall_timeout:g}: give minutes, more than 0, and --engine ray")
    path, wanted = model.model, tuple(columns.split(",")) if columns else ()
    job = Job(
        source, path, model_digest(path), model.read().classes, prior, crop, min_confidence, min_face,
        upright, every, wanted, model.labels,
    )  # fmt: skip
    job.predictor()  # what cannot be used is said before any work
    try:
        with closing(Progress()) as progress:
            result = run(job, out, engine, workers, per_shard, progress, stall_timeout)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("; the same command continues") from None
    print(as_json(result.to_dict()) if json else _summary(result))


class Progress:
    """Pictures, rate and time left on stderr: a live line on a terminal, elsewhere a line a shard."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(None, "pictures", 0, unit=" pictures", disable=None, leave=False, smoothing=0.05)
        self._start, self._total, self._done = 0.0, 0, 0

    def started(self, pictures: int, done: int) -> None:
        """See ListenerProtocol."""
        if done:
            say(f"{done:,} pictures were done before; {pictures:,} are left")
        self._start, self._total = time.monotonic(), pictures
        self._bar.reset(pictures)

    def progress(self, pictures: int) -> None:
        """See ListenerProtocol."""
        self._done += pictures
        self._bar.update(pictures)

    def finished(self) -> None:
        """See ListenerProtocol."""
        if self._bar.disable:
            rate = self._done / max(time.monotonic() - self._start, 1e-9)
            left = self._bar.format_interval((self._total - self._done) / rate)
            say(f"{self._done:,} of {self._total:,} pictures, {rate:,.1f} a second, {left} left")

    def close(self) -> None:
        """Leave the line to others."""
        self._bar.close()


def _summary(result: Result) -> str:
    counts, rate = result.counts, result.looked_at / max(result.seconds, 1e-9)
    return (
        f"{counts.pictures:,} pictures: {counts.faces:,} faces; {counts.without:,} without a face, "
        f"{counts.errors:,} could not be read{', as their column error says' if counts.errors else ''}\n"
        f"{result.out}: {result.shards:,} files; {result.looked_at:,} pictures now, {rate:,.1f} a second"
    )
