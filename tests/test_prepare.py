"""Preparation: byte for byte, nothing lost, the same twice."""

import errno
import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.facts import preparation_facts
from mien.data.manifest import read_manifest
from mien.data.prepare import Plan, SplitOptions, plan, write
from mien.data.sources import open_data, open_source
from mien.errors import DataError, UsageError


def prepared(drawn: Path, out: Path, how: SplitOptions | None = None, *, overwrite: bool = False) -> Plan:
    source = open_source(drawn)
    planned = plan(source, how or SplitOptions())
    write(planned, source, out, overwrite=overwrite)
    return planned


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_images_arrive_byte_for_byte_and_sources_stay(drawn: Path, tmp_path: Path) -> None:
    before = tree(drawn)
    planned = prepared(drawn, tmp_path)
    assert tree(drawn) == before
    after = tree(tmp_path)
    assert len(after) == len(before) + 1
    for row in planned.rows:
        assert after[row.path] == before[row.source] == row.sha256
    assert read_manifest(tmp_path) == list(planned.rows)


def test_archives_and_tables_stay_as_they_are(drawn: Path, tmp_path: Path) -> None:
    images = sorted(drawn.rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for path in images:
            archive.write(path, path.relative_to(drawn))
    lines = [f"{i % 7},{' '.join(map(str, np.asarray(Image.open(path)).ravel()))}" for i, path in enumerate(images)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels", *lines]))
    before = tree(tmp_path)
    for name in before:
        prepared(tmp_path / name, tmp_path / "out" / name)
        assert len(tree(tmp_path / "out" / name)) == len(images) + 1
    assert {name: digest for name, digest in tree(tmp_path).items() if not name.startswith("out/")} == before


def test_skip_bad_goes_on_without_unreadable_images(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "in")
    bad = sorted((tmp_path / "in").rglob("*.png"))[::40]
    for path in bad:
        path.write_bytes(path.read_bytes()[:200])
    names = [path.relative_to(tmp_path / "in").as_posix() for path in bad]
    with pytest.raises(DataError, match=f"{names[0]}: not a readable image"):
        plan(open_source(tmp_path / "in"), SplitOptions())
    planned = prepared(tmp_path / "in", tmp_path / "out", SplitOptions(skip_bad=True))
    assert [problem.split(":")[0] for problem in planned.skipped] == names
    assert not {row.source for row in planned.rows} & set(names)
    assert len(planned.rows) == 160 - len(names)
    assert len(open_data(tmp_path / "out").train)


def test_preparing_a_prepared_folder_anew_in_its_place_loses_nothing(drawn: Path, tmp_path: Path) -> None:
    first = prepared(drawn, tmp_path)
    again = prepared(tmp_path, tmp_path, SplitOptions(seed=1), overwrite=True)
    assert sorted(row.sha256 for row in again.rows) == sorted(row.sha256 for row in first.rows)
    assert sorted(row.sha256 for row in again.rows) == sorted(tree(tmp_path)[row.path] for row in again.rows)


def test_what_fails_half_way_leaves_the_old_division(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(drawn, tmp_path)
    first = tree(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
        prepared(drawn, tmp_path, SplitOptions(seed=1), overwrite=True)
    assert tree(tmp_path) == first


@pytest.mark.parametrize("path", ["../outside.png", "/etc/outside.png", "train/../../outside.png", "C:outside.png"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(drawn: Path, tmp_path: Path, path: str) -> None:
    """With --overwrite, what a manifest lists is removed."""
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"precious")
    planned = prepared(drawn, tmp_path / "data")
    manifest = tmp_path / "data/manifest.csv"
    manifest.write_text(manifest.read_text().replace(planned.rows[3].path, path))
    with pytest.raises(DataError, match="leads out of the folder"):
        open_source(tmp_path / "data")
    with pytest.raises(DataError, match="leads out of the folder"):
        prepared(drawn, tmp_path / "data", SplitOptions(seed=1), overwrite=True)
    assert outside.read_bytes() == b"precious"


HEADER = "path,label,split,source,sha256,group,flags"


@pytest.mark.parametrize(
    "text", ["", HEADER, "path,label\na,b\n", "path\x00", f"{HEADER}\na,b", f"{HEADER}\na,b,c,d,e,1,"]
)
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.csv[:,] .*prepare the data again"):
        open_source(tmp_path)


def test_copies_never_fall_into_two_parts(drawn: Path) -> None:
    planned = plan(open_source(drawn), SplitOptions())
    rows = planned.rows
    assert any("copy" in row.flags for row in rows)
    parts: dict[int, set[str]] = {}
    for row in rows:
        parts.setdefault(row.group, set()).add(row.part)
    assert all(len(where) == 1 for where in parts.values())
    assert preparation_facts(planned).copies.also_in_train == {"val": 0, "test": 0}


def test_leaks_can_be_allowed_for_comparison(drawn: Path) -> None:
    options = [SplitOptions((0.4, 0.3, 0.3), seed, allow_leaks=True) for seed in range(6)]
    facts = [preparation_facts(plan(open_source(drawn), option)) for option in options]
    assert sum(one.copies.also_in_train["test"] for one in facts) > 0


def test_conflicting_labels_and_blanks_are_flagged(drawn: Path) -> None:
    rows = plan(open_source(drawn), SplitOptions()).rows
    labels: dict[int, set[str]] = {}
    for row in rows:
        labels.setdefault(row.group, set()).add(row.label)
    for row in rows:
        assert ("conflict" in row.flags) == (len(labels[row.group]) > 1)


def test_twice_gives_the_same_tree_and_puts_back_what_is_missing(drawn: Path, tmp_path: Path) -> None:
    planned = prepared(drawn, tmp_path)
    first = tree(tmp_path)
    prepared(drawn, tmp_path)
    assert tree(tmp_path) == first
    (tmp_path / planned.rows[5].path).unlink()
    prepared(drawn, tmp_path)
    assert tree(tmp_path) == first


def test_another_division_is_refused_and_changes_nothing(drawn: Path, tmp_path: Path) -> None:
    prepared(drawn, tmp_path)
    first = tree(tmp_path)
    with pytest.raises(UsageError, match="--overwrite"):
        prepared(drawn, tmp_path, SplitOptions((0.8, 0.1, 0.1)))
    assert tree(tmp_path) == first


def test_overwrite_leaves_no_trace_of_the_old_division(drawn: Path, tmp_path: Path) -> None:
    prepared(drawn, tmp_path / "a")
    prepared(drawn, tmp_path / "a", SplitOptions((0.8, 0.1, 0.1)), overwrite=True)
    prepared(drawn, tmp_path / "b", SplitOptions((0.8, 0.1, 0.1)))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_own_files_are_never_touched(drawn: Path, tmp_path: Path, overwrite: bool) -> None:
    own = tmp_path / "train" / "happy" / "mine.png"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        prepared(drawn, tmp_path, overwrite=overwrite)
    assert tree(tmp_path) == {"train/happy/mine.png": hashlib.sha256(b"mine").hexdigest()}


def test_equal_names_in_one_part_get_numbers(tmp_path: Path, make_image) -> None:
    for seed, part in enumerate(["train", "val", "test"]):
        for label in ("a", "b"):
            make_image(tmp_path / "in" / part / label / "1.png", seed * 2 + (label == "b"))
    planned = plan(open_source(tmp_path / "in"), SplitOptions((1.0, 0.0, 0.0)))
    assert sorted(row.path for row in planned.rows if row.label == "a") == [
        "train/a/1.png", "train/a/1_2.png", "train/a/1_3.png",
    ]  # fmt: skip


def test_official_keeps_the_parts_and_needs_some(tmp_path: Path, make_image, drawn: Path) -> None:
    names = [
        "train/fear/Training_1.png", "train/sad/Training_2.png", "test/fear/PublicTest_3.png",
        "test/sad/PrivateTest_4.png",
    ]  # fmt: skip
    for seed, name in enumerate(names):
        make_image(tmp_path / "in" / name, seed)
    facts = preparation_facts(plan(open_source(tmp_path / "in"), SplitOptions(official=True)))
    assert facts.counts == {
        "train": {"fear": 1, "sad": 1}, "val": {"fear": 1, "sad": 0}, "test": {"fear": 0, "sad": 1},
    }  # fmt: skip
    with pytest.raises(UsageError, match="no division of its own"):
        plan(open_source(drawn), SplitOptions(official=True))


def test_a_prepared_folder_opens_by_its_manifest_alone(drawn: Path, tmp_path: Path) -> None:
    planned = prepared(drawn, tmp_path)
    (tmp_path / "archive.zip").write_text("not read")
    (tmp_path / "fer2013_raw" / "odd").mkdir(parents=True)
    (tmp_path / "fer2013_raw" / "odd" / "x.png").write_text("not read")
    split = open_data(tmp_path)
    assert {name: len(part) for name, part in split.parts().items()} == {
        part: sum(row.part == part for row in planned.rows) for part in ("train", "val", "test")
    }


@pytest.mark.parametrize("moment", range(1, 8))
def test_ctrl_c_while_the_divisions_change_places_leaves_the_old_one(
    moment: int, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three folders go, three come, and the manifest takes its place: whichever of the seven renames is the last."""
    prepared(drawn, tmp_path)
    first = tree(tmp_path)
    rename, renamed = Path.replace, []

    def stopped(self: Path, target: Path) -> Path:
        renamed.append(target)
        if len(renamed) == moment:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepared(drawn, tmp_path, SplitOptions(seed=1), overwrite=True)
    assert tree(tmp_path) == first


def test_what_a_killed_process_left_is_swept_away(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / ".prepare-abc/new/train/happy").mkdir(parents=True)
    prepared(drawn, tmp_path)
    assert not list(tmp_path.glob(".prepare-*"))


def test_changed_images_are_named_and_written_again_on_request(drawn: Path, tmp_path: Path) -> None:
    planned = prepared(drawn, tmp_path)
    first = tree(tmp_path)
    (tmp_path / planned.rows[0].path).write_bytes(b"broken")
    with pytest.raises(UsageError, match=r"changed since it was prepared, as 1 of 160 images were; add --overwrite"):
        prepared(drawn, tmp_path)
    prepared(drawn, tmp_path, overwrite=True)
    assert tree(tmp_path) == first
