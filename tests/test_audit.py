"""The audit: what was planted is found, nothing else is, and what it lists can be dropped."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.audit import suspects
from mien.audit.findings import Audit, audit, audit_facts
from mien.audit.near import MOST_BITS, hashes
from mien.audit.record import audit_record
from mien.audit.suspects import FOLDS, FoldProgress, _folds, find_suspects
from mien.audit.tables import audit_text, to_drop, write_tables
from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.data.drawn import write_drawn
from mien.data.drop import drop_text, read_drop, without
from mien.data.manifest import read_manifest
from mien.data.prepare import SplitOptions, plan
from mien.data.sources import open_source
from mien.errors import DataError, MienError, UsageError
from mien.records.audit import AuditRecord
from mien.records.recipe import Recipe
from mien.records.record import plain
from mien.report.page import write_audit_page
from mien.train.trainer import Listener, Progress

Picture = NDArray[np.uint8]


def shifted(face: Picture) -> Picture:
    return np.pad(face, ((1, 0), (0, 2)), "edge")[:48, 2:]


def brightened(face: Picture) -> Picture:
    return np.clip(face * 0.8 + 40, 0, 255).astype(np.uint8)


def compressed(face: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


def mirrored(face: Picture) -> Picture:
    return face[:, ::-1]


def resized(face: Picture) -> Picture:
    return np.asarray(Image.fromarray(face).resize((150, 150)).resize((48, 48)))


WAYS: tuple[Callable[[Picture], Picture], ...] = (shifted, brightened, compressed, mirrored, resized)


def framed(face: Picture) -> Picture:
    return np.pad(np.asarray(Image.fromarray(face).resize((40, 40))), 4)


def text(_: Picture) -> Picture:
    """White with a few dark strokes."""
    picture = np.full((48, 48), 250, np.uint8)
    picture[2:48:6, ::2] = 30
    return picture


def noisy_blank(_: Picture) -> Picture:
    return np.random.default_rng(0).integers(118, 123, (48, 48), np.uint8)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """Drawn faces, each once, in train/ val/ test/."""
    folder = tmp_path_factory.mktemp("clean")
    seen: set[bytes] = set()
    for i, path in enumerate(sorted(drawn.rglob("*.png"))):
        pixels = np.asarray(Image.open(path)).tobytes()
        if pixels not in seen:
            target = folder / ("train", "train", "val", "test")[i % 4] / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        seen.add(pixels)
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, clean: Path) -> Path:
    """`clean` with something of each kind; the file names say what."""
    folder = tmp_path_factory.mktemp("planted") / "faces"
    shutil.copytree(clean, folder)
    happy = sorted((clean / "train/happy").iterdir())

    def plant(name: str, picture: Picture) -> None:
        Image.fromarray(picture).save(folder / f"{name}.png")

    faces = [np.asarray(Image.open(path)) for path in happy]
    plant("train/happy/again", faces[0])
    plant("val/happy/leak", faces[1])
    plant("train/sad/conflict", faces[2])
    for i, way in enumerate(WAYS, start=3):
        plant(f"val/happy/{way.__name__}", way(faces[i]))
    plant("val/fear/near_conflict", compressed(faces[8]))
    for i, make in enumerate((framed, text, noisy_blank), start=9):
        plant(f"train/angry/{make.__name__}", make(faces[i]))
    return folder


@pytest.fixture(scope="module")
def seen(planted: Path) -> Audit:
    return audit(open_source(planted))


def marked(seen: Audit, kind: str) -> set[str]:
    return {Path(seen.names[i]).stem for i in np.flatnonzero(getattr(seen, kind))} - {""}


def first_names(clean: Path, *places: int) -> set[str]:
    happy = sorted((clean / "train/happy").iterdir())
    return {happy[i].stem for i in places}


def test_nothing_is_found_where_nothing_is_wrong(clean: Path) -> None:
    found = audit(open_source(clean))
    assert not found.near
    for kind in ("copy", "conflict", "blank", "plain", "border"):
        assert not marked(found, kind), kind
    assert len(audit_text(found, ()).splitlines()) == 1
    assert to_drop(found, ()) == []


def test_what_was_planted_is_found_and_nothing_else(clean: Path, seen: Audit) -> None:
    assert marked(seen, "copy") == {"again", "leak", "conflict"} | first_names(clean, 0, 1, 2)
    assert marked(seen, "conflict") == {"conflict"} | first_names(clean, 2)
    assert marked(seen, "border") == {"framed"}
    assert marked(seen, "plain") == {"text"}
    assert marked(seen, "blank") == {"noisy_blank"}
    pairs = {frozenset(Path(seen.names[i]).stem for i in (pair.first, pair.second)): pair for pair in seen.near}
    happy = sorted((clean / "train/happy").iterdir())
    expected = {frozenset((way.__name__, happy[i].stem)) for i, way in enumerate(WAYS, start=3)}
    assert set(pairs) == expected | {frozenset(("near_conflict", happy[8].stem))}
    assert [pair.mirrored for names, pair in pairs.items() if "mirrored" in names] == [True]
    assert sum(pair.mirrored for pair in seen.near) == 1


def test_the_counts(seen: Audit) -> None:
    facts = audit_facts(seen)
    assert facts.distinct is not None
    assert facts.images == len(seen.names) == facts.distinct + 3
    assert plain(facts.copies) == {
        "groups": 3,
        "images": 6,
        "by_part": {"train": 5, "val": 1, "test": 0},
        "groups_in_several_parts": 1,
        "groups_with_conflicting_labels": 1,
        "also_in_train": {"val": 1, "test": 0},
    }
    near = facts.near_copies
    assert (near.pairs, near.pairs_in_several_parts, near.pairs_with_different_labels) == (6, 6, 1)
    assert near.nearly_in_train == {"val": 6, "test": 0}
    assert sum(facts.part_sizes().values()) == facts.images


def test_a_source_without_parts_has_one(drawn: Path) -> None:
    """The drawn faces hold copies, now and then under another label, as FER-2013 does."""
    found = audit(open_source(drawn))
    facts = audit_facts(found)
    assert facts.part_sizes() == {"all": 160}
    assert facts.copies.groups and facts.copies.groups_with_conflicting_labels
    assert facts.copies.groups_in_several_parts == 0
    assert facts.copies.also_in_train == {}


def test_the_hash_ignores_brightness_and_contrast() -> None:
    faces = np.random.default_rng(0).integers(60, 200, (20, 48, 48)).astype(np.uint8)
    assert np.bitwise_count(hashes(faces) ^ hashes((faces // 2 + 30).astype(np.uint8))).max() <= 4
    others = np.bitwise_count(hashes(faces)[:, None] ^ hashes(faces)[None])
    assert others[~np.eye(20, dtype=bool)].min() > 10


def test_the_table_has_a_row_an_image(seen: Audit) -> None:
    rows = {Path(row["path"]).stem: row for row in csv.DictReader(io.StringIO(audit_text(seen, ())))}
    assert rows["conflict"]["kinds"] == "copy;conflict"
    assert rows["mirrored"]["kinds"] == "near"
    assert rows["mirrored"]["mirrored"] == "yes"
    assert rows["near_conflict"]["part"] == "val"
    near = rows[Path(rows["mirrored"]["near"]).stem]
    assert Path(near["near"]).stem == "mirrored"
    assert float(near["likeness"]) > 0.94


def test_only_training_images_are_listed_to_be_dropped(clean: Path, seen: Audit) -> None:
    listed = {Path(name).stem: reason for name, reason in to_drop(seen, ())}
    (first,) = first_names(clean, 2)
    assert listed == {"conflict": "conflict", first: "conflict", "noisy_blank": "blank"}


def test_prepare_leaves_out_what_the_audit_lists(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, out = tmp_path / "audit", tmp_path / "data"
    assert main(["audit", str(planted), "--out", str(where), "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["images"]
    prepare = ["prepare", "--input_dir", str(planted), "--output_dir", str(out), "--drop", str(where / "drop.csv")]
    assert main([*prepare, "--split", "official"]) == 0
    assert "listed in --drop: 3" in capsys.readouterr().out
    rows = read_manifest(out)
    assert len(rows) == total - 3
    assert not {row.source for row in rows} & set(read_drop(where / "drop.csv"))
    assert not any("conflict" in row.flags or "blank" in row.flags for row in rows)
    assert audit_facts(audit(open_source(out))).copies.groups_with_conflicting_labels == 0


def test_any_part_of_the_audit_can_be_dropped(planted: Path, seen: Audit, tmp_path: Path) -> None:
    """audit.csv, filtered by whoever likes, is such a list too; but not all of it."""
    with pytest.raises(UsageError, match=r"audit\.csv: lists all that mien audit found; give drop\.csv"):
        read_drop(tmp_path / "audit.csv")
    lines = audit_text(seen, ()).splitlines(keepends=True)
    (tmp_path / "mine.csv").write_text("".join([lines[0], *(line for line in lines[1:] if ",near," in line)]))
    names = read_drop(tmp_path / "mine.csv")
    assert len(names) == 12
    planned = plan(open_source(planted), SplitOptions(drop=names))
    assert len(planned.rows) == len(seen.names) - 12
    assert planned.dropped == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path\ntrain/happy/nobody.png\n", r"has no image 'train/happy/nobody.png' to drop \(1 of 1"),
        ("name\nx\n", "has no column 'path'"),
        ("", "has no column 'path'"),
        (b"path\n\xff\xfe\n", "not a CSV table"),
        (None, r"cannot be read \(No such file"),
    ],
)
def test_lists_that_are_none(planted: Path, tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "drop.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MienError, match=message):
        without(open_source(planted), read_drop(path))


def test_dropping_a_whole_class_leaves_its_name_out(planted: Path) -> None:
    source = open_source(planted)
    angry = [entry.name for entry in source.entries if entry.label == "angry"]
    assert "angry" not in without(source, angry).classes
    with pytest.raises(DataError, match="no faces left"):
        without(source, [entry.name for entry in source.entries])


def test_a_list_survives_odd_names(tmp_path: Path) -> None:
    names = ["train/happy/a,b.png", 'train/happy/"c".png', "# train/happy/d.png", "train/happy/é .png"]
    (tmp_path / "drop.csv").write_text(drop_text((name, "blank") for name in names), encoding="utf-8")
    assert read_drop(tmp_path / "drop.csv") == tuple(names)


def test_an_audit_is_not_overwritten(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tables(audit(open_source(clean)), (), tmp_path)
    before = (tmp_path / "audit.csv").read_bytes()
    assert main(["audit", str(clean), "--out", str(tmp_path)]) == 2
    assert re.fullmatch(r"mien: .*: holds an audit already; choose another folder.*\n", capsys.readouterr().err)
    assert (tmp_path / "audit.csv").read_bytes() == before


def test_the_page_asks_for_nothing_and_escapes_everything(seen: Audit, tmp_path: Path) -> None:
    record = audit_record(seen, (), data="<script>alert(1)</script>", command="mien audit", folder=tmp_path)
    page = write_audit_page(record, tmp_path).read_text(encoding="utf-8")
    assert page.count("<script") == 1, "the page's own"
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "likeness 0.9" in page


@pytest.mark.parametrize("looked", [True, False])
def test_a_report_reads_what_the_audit_found(seen: Audit, tmp_path: Path, looked: bool) -> None:
    found = [suspects.Suspect(3, 1, 0.1)] if looked else None
    record = audit_record(seen, found, data="d", command="mien audit d", folder=tmp_path)
    record.write(tmp_path)
    assert AuditRecord.read(tmp_path) == record


def test_pairs_of_like_hashes_and_unlike_pixels_are_no_near_copies(tmp_path: Path) -> None:
    write_drawn(tmp_path / "faces", count=70)
    found = audit(open_source(tmp_path / "faces"))
    images = found.faces.images
    apart = np.bitwise_count(hashes(images)[:, None] ^ hashes(images[:, :, ::-1])[None])
    assert (apart <= MOST_BITS).any(), "there are pairs to look at"
    assert found.near == ()


def test_folds_keep_copies_and_near_copies_together(seen: Audit) -> None:
    folds = _folds(seen, 0)
    assert set(folds) == set(range(FOLDS))
    for group in np.unique(seen.groups):
        assert len(set(folds[seen.groups == group])) == 1
    assert seen.near and all(folds[pair.first] == folds[pair.second] for pair in seen.near)
    assert (folds != _folds(seen, 1)).any()


def wrongly_labelled(wrong: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """300 faces of three classes, networks that mostly know them, and labels of which the first are wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    probabilities = (np.eye(3)[truth] * 0.95 + rng.dirichlet(np.ones(3), 300) * 0.05).astype(np.float32)
    labels = truth.copy()
    labels[:wrong] = (truth[:wrong] + 1) % 3
    return truth, labels, probabilities / probabilities.sum(1, keepdims=True)


def test_wrong_labels_are_suspected() -> None:
    truth, labels, probabilities = wrongly_labelled(20)
    found = find_suspects(labels, probabilities)
    assert {suspect.index for suspect in found} == set(range(20))
    assert all(suspect.suggested == truth[suspect.index] for suspect in found)
    assert [suspect.score for suspect in found] == sorted(suspect.score for suspect in found)


def test_networks_that_know_nothing_suspect_nothing() -> None:
    labels = np.arange(100) % 4
    known = np.eye(4, dtype=np.float32)[labels]
    assert suspects.check_known(labels, known) == 1
    with pytest.raises(DataError, match="agree with 25 % of the labels, the most frequent class alone with 25 %"):
        suspects.check_known(labels, np.roll(known, 1, axis=0) * 0 + [[1, 0, 0, 0]])


def test_right_labels_are_not_suspected() -> None:
    _, labels, probabilities = wrongly_labelled(0)
    assert find_suspects(labels, probabilities) == ()


def test_a_doubt_weighs_more_against_a_label_that_is_often_wrong() -> None:
    """Equal doubts about two faces: one labelled 1, which half of the faces of truth 0 are, one labelled 2."""
    truth = np.repeat([0, 1, 2], 100)
    labels = truth.copy()
    labels[:50] = 1
    probabilities = (np.eye(3)[truth] * 0.85 + 0.05).astype(np.float32)
    probabilities[[150, 250]] = [[0.8, 0.15, 0.05], [0.8, 0.05, 0.15]]
    assert {suspect.index for suspect in find_suspects(labels, probabilities)} == {*range(50), 150}


def test_suspects_from_the_command_line(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suspects, "RECIPE", replace(suspects.RECIPE, epochs=2))
    monkeypatch.setattr(suspects, "_KNOWN", -1)
    command = ["audit", str(drawn), "--out", str(tmp_path), "--suspects", "--device", "cpu", "--json"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "5 networks take about" in printed.err
    number = json.loads(printed.out)["suspects"]
    rows = list(csv.DictReader((tmp_path / "audit.csv").read_text(encoding="utf-8").splitlines()))
    suspected = [row for row in rows if "suspect" in row["kinds"]]
    assert len(suspected) == number > 0
    assert all(row["suggested"] != row["label"] and 0 <= float(row["score"]) < 0.5 for row in suspected)
    assert {row["path"] for row in suspected} <= set(read_drop(tmp_path / "drop.csv"))
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.count("→") == min(number, 96)


def test_the_search_for_suspects_reports_its_whole_progress(seen: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(recipe: Recipe, train: Dataset, val: Dataset, seed: int, device: str, listener: Listener) -> object:
        for epoch in range(1, recipe.epochs + 1):
            listener.on_step(Progress(epoch, recipe.epochs, len(train), len(train), 1.0, 0.5))
            listener.on_epoch(SimpleNamespace(history=(None,) * epoch, last=SimpleNamespace(seconds=2.0)))  # type: ignore[arg-type]
        return SimpleNamespace(model=None)

    monkeypatch.setattr(suspects, "train", fake)
    monkeypatch.setattr(suspects, "predict_proba", lambda model, images: np.full((len(images), 7), 1 / 7, np.float32))
    reported: list[FoldProgress] = []
    forecasts: list[float] = []
    suspects.cross_probabilities(seen, 0, "cpu", reported.append, forecasts.append)
    assert [progress.fold for progress in reported] == sorted(suspects.RECIPE.epochs * [*range(1, FOLDS + 1)])
    done = [progress.done for progress in reported]
    assert done == sorted(set(done)) and done[-1] == reported[-1].total == reported[0].total
    assert forecasts == [pytest.approx(2.0 * reported[0].total / reported[0].done)]


def test_suspects_need_cleanlab_and_say_so_before_anything_else(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    assert main(["audit", str(drawn), "--out", str(tmp_path / "out"), "--suspects"]) == 2
    assert capsys.readouterr().err == "mien audit --suspects needs cleanlab: pip install '.[audit]'\n"
    assert not (tmp_path / "out").exists()


def test_the_real_archive(archive: Path) -> None:
    """Counted where PrivateTest is not in it."""
    source = open_source(archive)
    if any(entry.part == "test" for entry in source.entries):
        pytest.skip("the facts are those of Training and PublicTest")
    facts = audit_facts(audit(source))
    assert facts.part_sizes() == {"train": 28_709, "val": 3_589}
    assert facts.distinct == 30_769
    assert plain(facts.copies) | {"by_part": None} == {
        "groups": 1_271,
        "images": 2_800,
        "by_part": None,
        "groups_in_several_parts": 270,
        "groups_with_conflicting_labels": 46,
        "also_in_train": {"val": 280},
    }
    assert facts.blank == 12
    assert 1_800 < facts.near_copies.pairs < 2_000
