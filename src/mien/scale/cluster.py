"""The engine of many machines: Ray Data, on the cluster that RAY_ADDRESS names, or on one started here and ended again.

Each machine needs Mien, and the pictures under the same names: a shared folder, or object storage. Actors read the
pictures themselves, so that rotation, limits and errors are those of every engine. The rows come back here.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from secrets import token_hex
from threading import Event, Thread
from typing import Any

from mien.errors import UsageError
from mien.scale import local
from mien.scale.answers import Answer, EngineError
from mien.scale.job import Job
from mien.scale.sources import Entry

HANDFUL = 32  # pictures that an actor is given at once
_END = object()  # after the last row
_OBJECT_STORE = 256 << 20  # bytes: names go out, rows come back
STALL_MINUTES = 60.0
_START_SECONDS = 600  # for all actors to come up


def answers(
    handfuls: Sequence[list[Entry]], job: Job, workers: int | None, stall_minutes: float
) -> Generator[Answer, None, None]:
    """One answer for each handful, in order, by `workers` actors of one CPU; None for all CPUs but one a machine.

    stall_minutes: how long it may take until the next answer. Raises UsageError where the cluster is too small,
    EngineError where it gives up, or answers nothing for so long.
    """
    with _cluster() as ray:
        size = min(_actors(ray, workers), len(handfuls))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        context.wait_for_min_actors_s = _START_SECONDS
        rows = [{"handful": pickle.dumps(handful)} for handful in handfuls]
        work = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Actor,
            fn_constructor_args=(job, str(Path.cwd())),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=1,
        )
        try:
            for row in _timely(work.iter_rows(), stall_minutes):
                yield pickle.loads(row["answer"])  # made by our own actors
        except ray.exceptions.RayError as error:
            raise EngineError(f"the Ray cluster gave up: {_reason(error)}") from None


class _Actor:
    """Answers handfuls, in a process of its own: a picture that kills that costs itself alone, as on one machine.

    Ray would give it to one actor after another, for ever.
    """

    def __init__(self, job: Job, folder: str) -> None:
        with suppress(OSError):  # relative paths are meant as they were where the command was given
            os.chdir(folder)
        self._handful: list[Entry] = []
        self._answers = local.answers(self._handed(), job, workers=1, ahead=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        answers = []
        for handful in batch["handful"]:
            self._handful = pickle.loads(handful)
            answers.append(pickle.dumps(next(self._answers)))
        return {"answer": answers}

    def _handed(self) -> Iterator[list[Entry]]:
        while True:
            yield self._handful


def _ray() -> Any:
    """Ray, imported now: other engines do without it. It sends nothing home, and keeps its progress to itself."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when it starts
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # or a thread that still asks when Ray is ended starts another one
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected: as it is, or for the length of the block."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with tempfile.TemporaryDirectory(prefix="mien-", ignore_cleanup_errors=True) as folder:
        if not os.environ.get("RAY_ADDRESS"):
            os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))  # or Ray leaves one in the user's home
            options |= {"address": "local", "num_cpus": max(2, local.cores()), "include_dashboard": False}
            options |= {"object_store_memory": _OBJECT_STORE, "_temp_dir": folder}
        try:
            ray.init(**options)
        except ConnectionError:
            raise UsageError(f"RAY_ADDRESS {os.environ['RAY_ADDRESS']}: no Ray cluster answers there") from None
        except Exception as error:  # a plain one where its processes start too slowly
            raise EngineError(
                f"Ray cannot start: {' '.join(str(error).split())[:300]}; see whether this machine is too busy, and "
                "whether all machines have the same versions of Ray and Python"
            ) from None
        try:
            yield ray
        finally:
            ray.shutdown()


def _actors(ray: Any, wanted: int | None) -> int:
    """How many actors there are to be; raises UsageError for more than fit, which Ray would wait for for ever."""
    cpus = int(ray.cluster_resources().get("CPU", 0))
    machines = sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())
    most = cpus - machines  # actors on all CPUs leave none for what Ray runs beside them
    if most < 1 or (wanted or 1) > most:
        raise UsageError(
            f"the Ray cluster has {cpus} CPUs on {machines} machines, enough for {max(most, 0)} --workers (one CPU a "
            "machine stays free); add CPUs, or ask for fewer"
        )
    return wanted or most


def _timely(rows: Iterable[Any], minutes: float) -> Iterator[Any]:
    """The rows, fetched by a thread, as Ray itself would wait for an actor that hangs for ever.

    Raises EngineError where one is not there after so many minutes; the first has _START_SECONDS more.
    """
    fetched: Queue[Any] = Queue(1)
    left = Event()

    def fetch() -> None:
        try:
            for row in rows:
                fetched.put(row)
                if left.is_set():
                    return
            fetched.put(_END)
        except Exception as error:
            fetched.put(error)

    Thread(target=fetch, daemon=True).start()
    patience = _START_SECONDS + 60 * minutes
    try:
        while (row := fetched.get(timeout=patience)) is not _END:
            if isinstance(row, Exception):
                raise row
            patience = 60 * minutes
            yield row
    except Empty:
        raise EngineError(
            f"the Ray cluster has answered nothing for {minutes:g} minutes; see `ray status` and its machines, or give "
            "--stall-timeout more minutes, as a long video takes"
        ) from None
    finally:
        left.set()
        with suppress(Empty):
            fetched.get_nowait()  # the thread may be waiting to put one more


def _reason(error: Exception) -> str:
    """The cause in a line: the first error that Ray quotes, as its own follow from it."""
    quoted = re.findall(r"^\s*([\w.]+(?:Error|Exception): .+)", str(error), re.MULTILINE)
    return " ".join(quoted[0].split())[:400] if quoted else type(error).__name__
