"""Many files on Ray: two machines of two CPUs each, both on this one. Minutes, most of them Ray's start."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("ray", reason="the extra `ray` is not installed")

import batches
from test_batch import Quiet, files, job_for, rows, trap_job

from mien.errors import DataError, UsageError
from mien.scale import Expressions
from mien.scale.answers import EngineError
from mien.scale.batch import run

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")]
TESTS = Path(__file__).parent
DEADLINE = 900  # seconds, for what otherwise might hang for ever


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0", "RAY_worker_niceness": "0"})
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])  # of the actors
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": 128 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.add_node(**node)
    ray.init(address=made.address, log_to_driver=False)
    yield
    ray.shutdown()
    made.shutdown()


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"not at an end after {DEADLINE} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE)
    yield
    signal.alarm(0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = batches.draw_photos(tmp_path_factory.mktemp("photos") / "holiday", 70)
    (folder / "000003.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "table"
    run(job_for(photos), out, "local", 1, 10, Quiet())
    return out


class Signals(Quiet):
    """Sends a signal to the first `count` of Ray's actors, at the first answer."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count, self.hit = number, count, list[psutil.Process]()

    def progress(self, pictures: int) -> None:
        if not self.hit:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if process.name().startswith("ray::MapWorker") and len(self.hit) < self.count:
                        process.send_signal(self.number)
                        self.hit.append(process)


def test_the_same_files_as_on_one_machine_though_an_actor_dies(
    cluster: None, photos: Path, whole: Path, tmp_path: Path
) -> None:
    killer = Signals(signal.SIGKILL, 1)
    result = run(job_for(photos), tmp_path / "table", "ray", 2, 10, killer)
    assert killer.hit
    assert result.counts.pictures == 70
    assert files(tmp_path / "table") == files(whole)


def test_actors_that_hang_end_the_job_which_goes_on_later(
    cluster: None, photos: Path, whole: Path, tmp_path: Path
) -> None:
    out, stopper = tmp_path / "table", Signals(signal.SIGSTOP, 2)
    with pytest.raises(EngineError, match="has answered nothing for 1 minutes") as caught:
        run(job_for(photos), out, "ray", 2, 10, stopper, stall_minutes=1)
    written = files(out)
    assert f"{out} holds {10 * len(written)} pictures in {len(written)} files, and the same comm" in str(caught.value)
    assert len(stopper.hit) == 2
    for process in stopper.hit:
        process.send_signal(signal.SIGCONT)
    assert run(job_for(photos), out, "ray", 2, 10, Quiet()).looked_at == 70 - 10 * len(written)
    assert files(out) == files(whole)


def test_more_actors_than_fit_are_refused(cluster: None, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 4 CPUs on 2 machines, enough for 2 --workers"):
        run(job_for(photos), tmp_path / "table", "ray", 3, 10, Quiet())


def test_a_picture_that_kills_costs_itself_alone(cluster: None, tmp_path: Path) -> None:
    folder = batches.draw_photos(tmp_path / "photos", 3)
    (folder / "000001.jpg").rename(folder / "kill.jpg")
    for engine in ("local", "ray"):
        run(trap_job(folder), tmp_path / engine, engine, 1, 10, Quiet())
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert [row["error"] is None for row in rows(tmp_path / "ray")] == [True, True, False]


def test_an_actor_that_cannot_start_ends_the_job(cluster: None, photos: Path, tmp_path: Path) -> None:
    job = replace(job_for(photos), digest="0")
    with pytest.raises(DataError, match="another model than the one"):
        run(job, tmp_path / "table", "ray", 1, 10, Quiet())


def test_expressions_in_ray_data(cluster: None, photos: Path, whole: Path) -> None:
    import ray.data

    faces = Expressions("base", pictures="bytes", names="path")
    pictures = ray.data.read_binary_files(str(photos), include_paths=True)
    found = pictures.map_batches(faces, batch_format="pyarrow").take_all()
    assert sorted(map(str, found)) == sorted(map(str, rows(whole)))


def test_the_command_starts_a_cluster_and_leaves_nothing(photos: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "RAY_ADDRESS")}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": "/tmp"}
    words = ["batch", str(photos), str(tmp_path / "table"), "--engine", "ray", "--per-shard", "10", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mien", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == 70
    assert files(tmp_path / "table") == files(whole)
    assert not list((tmp_path / "home").rglob("*"))
