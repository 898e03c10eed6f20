"""Many files into Parquet: the rows of `mien predict`, whatever kills the run, and whichever picture is bad."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

pytest.importorskip("pyarrow")

import batches
import pyarrow.parquet as pq

from mien.cli.app import main
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.folders import hold
from mien.models.files import model_digest
from mien.predict.predictor import Predictor
from mien.predict.sources import Item
from mien.scale import cluster, local
from mien.scale.answers import Answer, EngineError
from mien.scale.batch import ListenerProtocol, run
from mien.scale.job import Job
from mien.scale.sources import Entry, entries_of, item

TESTS = Path(__file__).parent
FEW = ["--workers", "1", "--per-shard", "4"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen and two drawn photos, one picture with a suffix only, and a file that is none."""
    folder = batches.draw_photos(tmp_path_factory.mktemp("photos") / "holiday", 14)
    (folder / "000003.jpg").write_text("no picture")
    (folder / "000008.jpg").write_bytes((folder / "000007.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("not looked at")
    return folder


class Quiet(ListenerProtocol):
    """Listens, and says nothing."""

    def started(self, pictures: int, done: int) -> None:
        pass

    def progress(self, pictures: int) -> None:
        pass

    def finished(self) -> None:
        pass


def job_for(source: Path | str, **options: Any) -> Job:
    return Job(str(source), Path("base"), model_digest(Path("base")), EMOTIONS, **options)


def mien(*words: object) -> subprocess.CompletedProcess[str]:
    """`mien` in a process of its own."""
    command = [sys.executable, "-m", "mien", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nothing interrupted leaves."""
    out = tmp_path_factory.mktemp("whole") / "table"
    assert main(["batch", str(photos), str(out), *FEW]) == 0
    return out


def expected(printed: str) -> list[dict[str, Any]]:
    """The rows that the lines of `mien predict --json` mean."""
    found = []
    for answer in map(json.loads, printed.splitlines()):
        failed = "error" in answer
        picture = {name: answer.get(name) for name in ("source", "frame", "time", "error")} | {
            "turned": None if failed else answer.get("turned", 0),
            "animated": None if failed else answer.get("animated", False),
        }
        for face in answer["faces"] or [None]:
            values = dict.fromkeys(("track", "x", "y", "width", "height", "landmarks", "uncertain", "score", "quality"))
            values |= dict.fromkeys(("emotion", "confidence", *EMOTIONS))
            if face:
                values |= (
                    {"uncertain": False} | face | dict(zip(("x", "y", "width", "height"), face["box"], strict=True))
                )
                values |= values.pop("probabilities")
                del values["box"]
            found.append(picture | values)
    return found


# The same answers as everywhere.


def test_rows_are_what_predict_prints(whole: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["predict", str(photos), "--json"]) == 2  # two cannot be read
    wanted = expected(capsys.readouterr().out)
    assert rows(whole) == wanted
    assert sum(row["error"] is not None for row in wanted) == 2
    assert any(row["emotion"] is None and row["error"] is None for row in wanted)
    assert len({row["source"] for row in wanted}) == 14 < len(wanted)


def test_rows_of_a_video_are_what_predict_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    from mien.predict.video.footage import quiet

    (tmp_path / "a").mkdir()
    batches.draw_photo(0).save(tmp_path / "a/0.jpg")
    (tmp_path / "a/2.mp4").write_bytes(b"no video")
    with quiet():
        writer = cv2.VideoWriter(str(tmp_path / "a/1.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 160))
    for number in (1, 1, 6, 6, 4):
        writer.write(np.asarray(batches.draw_photo(number))[:, :, ::-1].copy())
    writer.release()
    assert main(["batch", str(tmp_path / "a"), str(tmp_path / "b"), "--every", "2"]) == 0
    capsys.readouterr()
    main(["predict", str(tmp_path / "a"), "--json", "--every", "2"])
    assert rows(tmp_path / "b") == sorted(expected(capsys.readouterr().out), key=lambda row: row["source"])
    assert [row["frame"] for row in rows(tmp_path / "b")] == [None, 0, 2, 4, 4, None]


def test_columns_are_typed_and_chosen(photos: Path, whole: Path, tmp_path: Path) -> None:
    kinds = {field.name: str(field.type) for field in pq.read_schema(whole / "part-00000.parquet")}
    assert kinds["x"] == "int32"
    assert kinds["landmarks"] == "list<element: list<element: double>>"
    assert kinds["uncertain"] == "bool"
    assert kinds["happy"] == "double"
    assert kinds["error"] == "string"
    out = tmp_path / "few"
    assert main(["batch", str(photos), str(out), "--columns", "emotion,box,probabilities", "--workers", "1"]) == 0
    names = ["source", "x", "y", "width", "height", "emotion", *EMOTIONS]
    assert list(rows(out)[0]) == names
    assert rows(out) == [{name: row[name] for name in names} for row in rows(whole)]


def test_the_result_is_summed_up(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table"
    assert main(["batch", str(photos), str(out), *FEW, "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    table = rows(out)
    assert result["pictures"] == result["looked_at"] == 14
    assert result["errors"] == 2
    assert result["faces"] == sum(row["emotion"] is not None for row in table)
    assert result["without"] == sum(row["emotion"] is None and row["error"] is None for row in table)
    assert [line.split(" pictures")[0] for line in printed.err.splitlines()] == [f"{n} of 14" for n in (4, 8, 12, 14)]
    assert "a second" in printed.err and "left" in printed.err
    assert main(["batch", str(photos), str(out), *FEW, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["looked_at"] == 0
    assert {**again, **dict.fromkeys(("looked_at", "seconds", "pictures_per_second"))} == {
        **result,
        **dict.fromkeys(("looked_at", "seconds", "pictures_per_second")),
    }


def test_shards_say_what_made_them(whole: Path) -> None:
    made = json.loads(pq.read_metadata(whole / "part-00001.parquet").metadata[b"mien"])
    assert made["model"] == "base"
    assert made["model_digest"] == model_digest(Path("base"))
    assert made["classes"] == list(EMOTIONS)
    assert (made["prior"], made["crop"], made["every"]) == ("natural", "detect", 1)


# Stopped, and begun again.


def killed(place: int, photos: Path, out: Path) -> bool:
    """Let a batch be killed at its `place`-th write; False where it came to its end before."""
    command = [sys.executable, TESTS / "batches.py", str(place), "batch", photos, out, *FEW]
    where = {**os.environ, "TMPDIR": str(out.parent)}  # of what a killed process leaves
    done = subprocess.run(list(map(str, command)), env=where, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("places", [(3, 1, 8, 6)], ids=str)
def test_a_killed_batch_goes_on_as_if_nothing_had_been(
    places: tuple[int, ...], photos: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table"
    for place in places:
        before = files(out) if out.exists() else {}
        assert killed(place, photos, out)
        now = files(out)
        shards = {name for name in now if name.startswith("part-")}
        assert all(now[name] == data for name, data in before.items() if name.startswith("part-"))
        assert all(now[name] == files(whole)[name] for name in shards)
    assert main(["batch", str(photos), str(out), *FEW]) == 0
    assert files(out) == files(whole)


def killed_after(seconds: float, photos: Path, out: Path) -> bool:
    """The same by the clock."""
    where = {**os.environ, "TMPDIR": str(out.parent)}
    command = [sys.executable, "-m", "mien", "batch", str(photos), str(out), *FEW]
    with subprocess.Popen(command, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


@pytest.mark.long
def test_killed_fifty_times(photos: Path, whole: Path, tmp_path: Path) -> None:
    """In one folder after another, each killed at all its writes in turn, or ever later by the clock, to its end."""
    kills = folders = 0
    while kills < 50:
        out, by_clock = tmp_path / f"table{folders}", folders % 2
        folders += 1
        for number in range(1, 60):
            if not (killed_after(0.5 + number / 10, photos, out) if by_clock else killed(number, photos, out)):
                break
            kills += 1
            there = files(out) if out.exists() else {}
            assert all(there[name] == data for name, data in files(whole).items() if name in there)
        assert main(["batch", str(photos), str(out), *FEW]) == 0
        assert files(out) == files(whole)


class Stop(Quiet):
    """Ends the work from within, after the first shard."""

    def finished(self) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_done(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    with pytest.raises(KeyboardInterrupt):
        run(job_for(photos), out, "local", 1, 4, Stop())
    assert list(files(out)) == ["part-00000.parquet"]
    assert run(job_for(photos), out, "local", 1, 4, Quiet()).looked_at == 10
    assert files(out) == files(whole)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_workers_end_with_a_killed_batch(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "batch", str(photos), str(tmp_path / "table"), "--workers", "2"]
    where = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(children := psutil.Process(process.pid).children()) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_new_pictures_are_added(photos: Path, whole: Path, tmp_path: Path) -> None:
    folder, out = shutil.copytree(photos, tmp_path / "holiday"), tmp_path / "table"
    job = job_for(folder)
    (folder / "000005.jpg").rename(tmp_path / "later.jpg")
    run(job, out, "local", 1, 100, Quiet())
    before = files(out)
    (tmp_path / "later.jpg").rename(folder / "000005.jpg")
    assert run(job, out, "local", 1, 100, Quiet()).looked_at == 1
    assert files(out).keys() - before.keys() == {"part-00001.parquet"}
    name = {str(folder): str(photos)}
    assert sorted(row["source"].replace(*next(iter(name.items()))) for row in rows(out)) == sorted(
        row["source"] for row in rows(whole)
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "tiny"], "begun with model_digest '"),
        (["--crop", "none"], "begun with crop 'detect', not 'none'"),
        (["--columns", "emotion"], "begun with columns ["),
        (["--every", "2"], "begun with every 1, not 2"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_other_answers_do_not_go_into_the_same_folder(
    words: list[str], line: str, photos: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(whole)
    assert main(["batch", str(photos), str(whole), *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert said.endswith("give another folder, or the same options")
    assert main(["batch", str(photos / "within"), str(whole)]) == 2
    assert "begun with source" in capsys.readouterr().err
    assert files(whole) == before


def test_one_process_a_folder(photos: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(whole):
        assert main(["batch", str(photos), str(whole)]) == 2
    assert "another process is writing here" in capsys.readouterr().err


def test_a_foreign_shard_is_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    assert main(["batch", str(photos), str(tmp_path)]) == 2
    assert f"{tmp_path / 'part-00000.parquet'}: not a shard that Mien wrote" in capsys.readouterr().err


# Bad pictures, and processes that die.


class Trap(Predictor):
    """Dies at a picture called kill, raises at one called raise, as decoders might."""

    def stream(self, pictures: Any, boxes: Any = None) -> Iterator[Any]:
        def sprung(item: Item) -> Item:
            if Path(item.name).name == "kill.jpg":
                os.kill(os.getpid(), signal.SIGKILL)
            if Path(item.name).name == "raise.jpg":
                raise MemoryError("too large")
            return item

        return super().stream(map(sprung, pictures))


class TrapJob(Job):
    """A job with such a predictor."""

    def predictor(self) -> Predictor:
        return Trap("base")


def rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the last bits, which depend on how many faces go through the network at once."""
    return json.loads(json.dumps(rows), parse_float=lambda text: round(float(text), 4))


def trap_job(source: Path) -> TrapJob:
    return TrapJob(str(source), Path("base"), model_digest(Path("base")), EMOTIONS)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_picture_that_kills_costs_itself_alone(workers: int, photos: Path, whole: Path, tmp_path: Path) -> None:
    names = [entry.name for entry in entries_of(str(photos))]
    names[2:2], names[7:7] = ["kill.jpg"], ["raise.jpg"]
    handfuls = [[Entry(name) for name in names[i : i + 4]] for i in range(0, 16, 4)]
    answers = list(local.answers(handfuls, trap_job(photos), workers, 4))
    found = Answer.joined(answers).rows.to_pylist()
    bad = {row["source"]: row["error"] for row in found if row["source"] in ("kill.jpg", "raise.jpg")}
    assert bad["kill.jpg"] == "kill.jpg: the process that looked at it died (killed by SIGKILL)"
    assert bad["raise.jpg"] == "raise.jpg: not looked at (MemoryError: too large)"
    assert rounded([row for row in found if row["source"] not in bad]) == rounded(rows(whole))
    assert [answer.counts.pictures for answer in answers] == [4] * 4


class DeadJob(Job):
    """A job at whose start a process dies."""

    def predictor(self) -> Predictor:
        os._exit(3)


def test_processes_that_cannot_start_end_the_job() -> None:
    job = DeadJob("x", Path("base"), "", EMOTIONS)
    with pytest.raises(DataError, match=r"a worker process ended as it started \(exit code 3\)"):
        list(local.answers([[Entry("a.jpg")]], job, 2, 4))


# What Ray's engine waits for; tests/test_cluster.py has the rest.


def test_an_answer_that_does_not_come_in_time_ends_the_job() -> None:
    given = Event()

    def rows() -> Iterator[int]:
        yield 1
        yield 2
        given.wait()

    timely = cluster._timely(rows(), 0.01)
    assert [next(timely), next(timely)] == [1, 2]
    with pytest.raises(EngineError, match=r"has answered nothing for 0\.01 minutes; see `ray status`"):
        next(timely)
    given.set()


def test_answers_in_time_are_all_given_and_so_is_what_they_raise() -> None:
    def rows() -> Iterator[int]:
        yield from range(50)
        raise KeyError("gone")

    timely = cluster._timely(rows(), 1)
    assert [next(timely) for _ in range(50)] == list(range(50))
    with pytest.raises(KeyError, match="gone"):
        next(timely)
    assert list(cluster._timely([], 1)) == []


def test_a_cluster_that_cannot_start_ends_the_job(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: Any) -> None:
        raise Exception("The current node timed out\nduring startup.")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setattr(cluster, "_ray", lambda: ray)
    with pytest.raises(
        EngineError, match=r"Ray cannot start: The current node timed out during startup\.; see whether"
    ):
        run(job_for(photos), tmp_path / "table", "ray", 1, 4, Quiet())


def test_an_engine_that_ends_says_what_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: Any) -> Iterator[Answer]:
        yield from islice(answers(*arguments), 1)
        raise EngineError("it ended")

    answers, out = local.answers, tmp_path / "table"
    monkeypatch.setattr(local, "answers", broken)
    assert main(["batch", str(photos), str(out), *FEW]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"mien: it ended; {out} holds 4 pictures in 1 files, and the same command continues"
    assert list(files(out)) == ["part-00000.parquet"]


def test_a_model_that_changed_is_refused() -> None:
    job = replace(job_for("x"), digest="0")
    with pytest.raises(Exception, match="another model than the one"):
        list(local.answers([[Entry("a.jpg")]], job, 1, 4))


# Sources.


def test_a_text_file_of_paths(photos: Path, tmp_path: Path) -> None:
    names = [row["source"] for row in rows_of(photos, tmp_path / "all")]
    wanted = list(dict.fromkeys(names))[:3]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*wanted, "", wanted[0], str(tmp_path / "gone.jpg")]))
    found = rows_of(listed, tmp_path / "listed")
    assert list(dict.fromkeys(row["source"] for row in found)) == [*wanted, str(tmp_path / "gone.jpg")]
    assert found[-1]["error"] == f"{tmp_path / 'gone.jpg'}: no such file"


def rows_of(source: Path, out: Path) -> list[dict[str, Any]]:
    run(job_for(source), out, "local", 1, 100, Quiet())
    return rows(out)


def pack(photos: Path, path: Path) -> Path:
    """The photos in an archive, with other files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for number, file in enumerate(sorted(photos.rglob("*.*"))):
                method = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
                archive.write(file, file.relative_to(photos), method)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for file in sorted(photos.rglob("*.*")):
                archive.add(file, file.relative_to(photos))
    return path


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.tgz"])
def test_archives_give_the_rows_of_their_folder(name: str, photos: Path, whole: Path, tmp_path: Path) -> None:
    archive = pack(photos, tmp_path / name)

    def without_places(row: dict[str, Any], place: Path) -> dict[str, Any]:
        return {key: str(value).replace(str(place), "") for key, value in row.items()}

    found = [without_places(row, archive) for row in rows_of(archive, tmp_path / "out")]
    wanted = [without_places(row, photos) for row in rows(whole)]
    assert sorted(found, key=str) == sorted(wanted, key=str)


def test_an_archive_damaged_within_costs_that_picture_alone(photos: Path, tmp_path: Path) -> None:
    archive = pack(photos, tmp_path / "photos.zip")
    with zipfile.ZipFile(archive) as opened:
        second = opened.infolist()[1]
    data = bytearray(archive.read_bytes())
    data[second.header_offset + 200] ^= 255
    archive.write_bytes(data)
    found = rows_of(archive, tmp_path / "out")
    (bad,) = (row for row in found if row["source"] == f"{archive}/{second.filename}")
    assert "damaged in the archive" in bad["error"]
    assert sum(row["error"] is None for row in found) > 10


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, "/etc/passwd", size
    return info


@pytest.mark.parametrize(
    ("hostile", "line"),
    [
        (member("../a.jpg"), "leads out of the archive"),
        (member("/tmp/a.jpg"), "leads out of the archive"),
        (member("a.jpg", tarfile.SYMTYPE), "is a link"),
        (member("a.jpg", tarfile.LNKTYPE), "is a link"),
        (member("a.jpg", tarfile.CHRTYPE), "is not a plain file"),
        (member("a.jpg", size=1 << 40), "would unpack to"),
    ],
    ids=["out", "absolute", "symbolic-link", "link", "device", "bomb"],
)
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_hostile_archives_are_refused(suffix: str, hostile: tarfile.TarInfo, line: str, tmp_path: Path) -> None:
    path = tmp_path / f"photos{suffix}"
    if suffix == ".zip":
        if hostile.size or hostile.type not in (tarfile.REGTYPE, tarfile.SYMTYPE):
            pytest.skip("not in a zip archive; tests/test_archives.py has its bombs")
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo(hostile.name)
            info.external_attr = (0o120777 if hostile.issym() else 0o100644) << 16
            archive.writestr(info, b"/etc/passwd")
    else:
        with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as archive:
            archive.addfile(member("first.jpg"))
            archive.fileobj.write(hostile.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
    with pytest.raises(DataError, match=line):
        entries_of(str(path))


def test_what_gzip_unpacks_is_bounded_and_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, picture = tmp_path / "photos.tgz", io.BytesIO()
    batches.draw_photo(0).save(picture, "JPEG")
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("a.jpg", picture.getvalue()), ("zeros.bin", bytes(64 << 20)), ("b.jpg", b"none")):
            archive.addfile(member(name, size=len(data)), io.BytesIO(data))
    tracemalloc.start()
    entries = entries_of(str(path))
    assert [entry.name for entry in entries] == [f"{path}/a.jpg", f"{path}/b.jpg"]
    with pytest.raises(DataError, match="not a readable image"):
        item(entries[1], str(path)).read()
    assert item(entries[0], str(path)).read().image.size == (160, 160), "back to the start"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    monkeypatch.setattr("mien.data.tars._MOST_BYTES", 32 << 20)
    with pytest.raises(DataError, match="would unpack to more than"):
        entries_of(str(path))


def test_gzip_damaged_after_it_was_listed(photos: Path, tmp_path: Path) -> None:
    archive = pack(photos, tmp_path / "photos.tgz")
    entries = entries_of(str(archive))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    archive.write_bytes(data)
    item(entries[0], str(archive)).read()
    with pytest.raises(DataError, match="damaged in the archive"):
        item(entries[-1], str(archive)).read()


def test_a_video_in_an_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("talk.mp4", b"")
    (row,) = rows_of(path, tmp_path / "out")
    assert row["error"] == f"{path}/talk.mp4: a video in an archive; unpack it, and give its path"


@pytest.fixture
def bucket(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The options of an address in an object storage of this machine, with the photos in its bucket `lab`."""
    moto = pytest.importorskip("moto.server", reason="moto's server is not installed", exc_type=ImportError)
    from pyarrow import fs

    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_EC2_METADATA_DISABLED", "1")):
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    storage, _ = fs.FileSystem.from_uri(f"s3://lab{options}")
    storage.create_dir("lab")
    fs.copy_files(str(photos), "lab/holiday", destination_filesystem=storage)
    yield options
    server.stop()


def test_object_storage_gives_the_rows_of_its_folder(bucket: str, photos: Path, whole: Path, tmp_path: Path) -> None:
    job = job_for(f"s3://lab/holiday{bucket}")
    assert run(job, tmp_path / "out", "local", 1, 100, Quiet()).counts.pictures == 14
    found = {str(row).replace("s3://lab/holiday", "") for row in rows(tmp_path / "out")}
    assert found == {str(row).replace(str(photos), "") for row in rows(whole)}
    assert rows(tmp_path / "out")[0]["source"].startswith("s3://lab/holiday/0")


def test_object_storage_that_is_not_there(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", f"s3://gone/holiday{bucket}", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mien: s3://gone/holiday")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8")
def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    batches.draw_photo(0).save(folder / os.fsdecode(b"caf\xe9.png"))
    (found,) = rows_of(folder, tmp_path / "out")
    assert found["source"] == rf"{folder}/caf\xe9.png"
    assert run(job_for(folder), tmp_path / "out", "local", 1, 100, Quiet()).looked_at == 0


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("gone", "gone: cannot be read (No such file or directory)"),
        ("empty", "empty: holds no pictures"),
        ("bytes.bin", "no list of paths"),
        ("https://example.org/a.jpg", "an address, and nothing is downloaded"),
    ],
)
def test_sources_that_hold_nothing(
    source: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bytes.bin").write_bytes(bytes(100))
    assert main(["batch", source, "out"]) == 2
    assert line in capsys.readouterr().err
    assert not list(Path("out").iterdir())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--columns", "emotion,smile"], "--columns smile: no such column; there are source, frame"),
        (["--workers", "0"], "--workers 0: give 1 or more"),
        (["--per-shard", "0"], "--per-shard 0: give 1 or more"),
        (["--stall-timeout", "5"], "--stall-timeout 5: give minutes, more than 0, and --engine ray"),
        (["--model", "gone.onnx"], "gone.onnx: no such model file"),
    ],
)
def test_options_are_looked_at_first(
    words: list[str], line: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", str(photos), str(tmp_path / "out"), *words]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
