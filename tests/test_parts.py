"""Parts and classes as their author meant them: nobody's division is dissolved, nobody's names are guessed."""

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import lively
from PIL import Image

from mien.audit.findings import audit
from mien.cli.app import main
from mien.data.classes import emotion, read_names
from mien.data.copies import copy_groups
from mien.data.dataset import Dataset
from mien.data.manifest import read_manifest
from mien.data.prepare import SplitOptions, plan
from mien.data.sources import open_data, open_source
from mien.data.votes import join, read_votes
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError, UsageError
from mien.models.files import read_model, write_model

Make = Callable[..., Path]


def fill(folder: Path, make_image: Make, parts: dict[str, int], classes: tuple[str, ...] = ("no", "yes")) -> Path:
    """`<part>/<class>/<part>_<number>.png`, so many of each class, all different."""
    seed = 0
    for part, count in parts.items():
        for label in classes:
            for i in range(count):
                make_image(folder / part / label / f"{part or 'face'}_{i}.png".lower(), seed)
                seed += 1
    return folder


def packed(folder: Path, kind: str) -> Path:
    return Path(shutil.make_archive(str(folder), kind, folder))


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "gztar"])
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"train": 20, "test": 4}, {"train": 34, "val": 6, "test": 8}),
        ({"Training": 20, "Testing": 4}, {"train": 34, "val": 6, "test": 8}),
        ({"TRAIN": 20, "VALIDATION": 4}, {"train": 40, "val": 8}),
        ({"train": 20, "dev": 4}, {"train": 40, "val": 8}),
        ({"train": 4, "Valid": 3, "test": 2}, {"train": 8, "val": 6, "test": 4}),
        ({"val": 3, "test": 2}, {"val": 6, "test": 4}),
        ({"train": 20}, {"train": 34, "val": 6}),
        ({"test": 2}, {"test": 4}),
        ({"": 20}, {"train": 28, "val": 6, "test": 6}),
    ],
)
def test_the_parts_that_are_there_are_kept(
    tmp_path: Path, make_image: Make, kind: str, parts: dict[str, int], expected: dict[str, int]
) -> None:
    folder = fill(tmp_path / "faces", make_image, parts)
    split = open_data(folder if kind == "folder" else packed(folder, kind))
    assert {name: len(part) for name, part in split.parts().items()} == expected
    assert ("val is 15 % of train" in split.origin) == (
        len(parts) < 3
        and "val" in expected
        and "train" in expected
        and not {"validation", "dev", "val", ""} & {part.lower() for part in parts}
    )
    assert not {path for path in split.test.paths if "train" in path} or "" in parts
    for part in (split.train, split.val) if "" not in parts else ():
        assert not any("test" in path for path in part.paths)


def test_a_val_drawn_from_train_shares_no_face_with_it(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, {"train": 30, "test": 5})
    for label in ("no", "yes"):
        for i in range(12):
            shutil.copy(folder / f"train/{label}/train_{i}.png", folder / f"train/{label}/copy_{i}.png")
    split = open_data(folder)
    groups = copy_groups(np.concatenate([split.train.images, split.val.images]))
    assert not set(groups[: len(split.train)]) & set(groups[len(split.train) :])
    assert len(split.val) == 12


def test_a_score_on_the_authors_test_is_of_exactly_its_files(
    tmp_path: Path, make_image: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "faces", make_image, {"train": 10, "test": 3}, EMOTIONS)
    write_model(lively(), tmp_path / "m.safetensors")
    command = ["evaluate", "--model", str(tmp_path / "m.safetensors"), "--out", str(tmp_path / "e")]
    assert main([*command, "--data", str(folder)]) == 0, capsys.readouterr().err
    with open(tmp_path / "e/predictions.csv", newline="") as file:
        scored = {row["path"] for row in csv.DictReader(file)}
    assert scored == {path.relative_to(folder / "test").as_posix() for path in (folder / "test").rglob("*.png")}


def test_the_whole_of_any_source_is_a_part(tmp_path: Path, make_image: Make) -> None:
    for name, parts in (("test", {"test": 4}), ("plain", {"": 4}), ("both", {"train": 2, "test": 2})):
        whole = open_data(fill(tmp_path / name, make_image, parts)).part("all")
        assert (len(whole), len(set(whole.paths))) == (8, 8)
        assert whole.counts().tolist() == [4, 4]


def test_what_is_not_there_is_said(tmp_path: Path, make_image: Make) -> None:
    split = open_data(fill(tmp_path, make_image, {"train": 9, "validation": 3}))
    with pytest.raises(DataError, match=r"no test faces in this data \(the source's own train and val folders\)"):
        split.part("test")


def test_prepare_pools_and_says_so_and_official_keeps(
    tmp_path: Path, make_image: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "faces", make_image, {"train": 16, "test": 4})
    command = ["prepare", "--input-dir", str(folder), "--output-dir"]
    assert main([*command, str(tmp_path / "pooled")]) == 0
    said = capsys.readouterr().err
    assert "this gives up the source's own train and test folders, which --split official keeps" in said
    assert main([*command, str(tmp_path / "kept"), "--split", "official"]) == 0
    assert "the source's own train and test folders; val is 15 % of train, seed 0" in capsys.readouterr().err
    own = open_data(folder)
    kept = open_data(tmp_path / "kept")
    assert {name: part.digest() for name, part in kept.parts().items()} == {
        name: part.digest() for name, part in own.parts().items()
    }
    pooled = {row.part for row in read_manifest(tmp_path / "pooled") if row.source.startswith("test")}
    assert len(pooled) > 1
    with pytest.raises(UsageError, match="no division of its own"):
        plan(open_source(folder / "train"), SplitOptions(official=True))


def test_an_audit_sees_the_sources_own_parts(tmp_path: Path, make_image: Make) -> None:
    assert set(audit(open_source(fill(tmp_path, make_image, {"train": 4, "test": 2}))).parts) == {"train", "test"}


@pytest.mark.parametrize(
    "names",
    [
        ["happy/train/1.png", "happy/test/2.png", "sad/train/3.png"],
        ["train/1.png", "test/2.png"],
    ],
)
def test_parts_are_no_classes(tmp_path: Path, make_image: Make, names: list[str]) -> None:
    for seed, name in enumerate(names):
        make_image(tmp_path / name, seed)
    with pytest.raises(DataError, match="is a part, not a class"):
        open_source(tmp_path)


def test_faces_inside_and_outside_of_parts_are_refused(tmp_path: Path, make_image: Make) -> None:
    for seed, name in enumerate(["train/a/1.png", "train/b/2.png", "a/3.png"]):
        make_image(tmp_path / name, seed)
    with pytest.raises(DataError, match=r"on different levels \(in '.' and 'train'\)"):
        open_source(tmp_path)


PREFIXED = ["Training_1.png", "Training_2.png", "PublicTest_3.png", "PrivateTest_4.png"]


def test_fer2013s_prefixes_count_with_its_classes_alone(tmp_path: Path, make_image: Make) -> None:
    for folder, classes in (("own", ("smile", "frown")), ("fer", ("happy", "sad")), ("case", ("Happy", "sadness"))):
        for seed, name in enumerate(PREFIXED):
            for label in classes:
                make_image(tmp_path / folder / label / name, seed + 10 * (label == classes[0]))
    assert open_data(tmp_path / "own").origin == "split 70/15/15, seed 0"
    for folder in ("fer", "case"):
        split = open_data(tmp_path / folder)
        assert split.origin.startswith("FER-2013's official parts")
        assert {name: len(part) for name, part in split.parts().items()} == {"train": 4, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("folders", "official"),
    [
        ({"Training": "train", "PublicTest": "test", "PrivateTest": "test"}, True),
        ({"Training": "train", "PublicTest": "val", "PrivateTest": "test"}, True),
        ({"Training": "test", "PublicTest": "train", "PrivateTest": "test"}, False),
        ({"Training": "train", "PublicTest": "test", "PrivateTest": "val"}, False),
    ],
)
def test_folders_that_gainsay_fer2013s_prefixes_are_somebodys_own_division(
    tmp_path: Path, make_image: Make, folders: dict[str, str], official: bool
) -> None:
    for seed, (prefix, folder) in enumerate(folders.items()):
        for label in ("happy", "sad"):
            make_image(tmp_path / folder / label / f"{prefix}_{seed}.png", 2 * seed + (label == "sad"))
    split = open_data(tmp_path)
    assert split.origin.startswith("FER-2013's official parts") == official
    if not official:
        assert all("PublicTest" not in path for path in split.test.paths) or folders["PublicTest"] == "test"


SYNONYMS = ("Anger", "disgusted", "FEAR", "happiness", "neutrality", "Sadness", "surprised")


def named(folder: Path, make_image: Make, classes: tuple[str, ...], count: int = 8) -> Path:
    return fill(folder, make_image, {"": count}, classes)


def test_synonyms_become_our_names_and_it_is_said(tmp_path: Path, make_image: Make) -> None:
    one = open_data(named(tmp_path / "a", make_image, SYNONYMS))
    other = open_data(named(tmp_path / "b", make_image, EMOTIONS))
    assert one.classes == EMOTIONS
    first, second = (
        {path: whole.images[i].tobytes() for i, path in enumerate(whole.paths)}
        for whole in (one.part("all"), other.part("all"))
    )
    assert first == second
    assert "classes read: Anger as angry, FEAR as fear, Sadness as sad" in one.origin
    assert open_source(tmp_path / "b").remark == ""


def test_contempt_stays_and_names_of_ones_own_change_nothing(tmp_path: Path, make_image: Make) -> None:
    assert open_source(named(tmp_path / "a", make_image, ("Anger", "Contempt", "happy"))).classes == (
        "angry", "contempt", "happy",
    )  # fmt: skip
    assert open_source(named(tmp_path / "b", make_image, ("Anger", "happy", "tired"))).classes == (
        "Anger", "happy", "tired",
    )  # fmt: skip


RAF_DB: dict[str, str] = dict(
    zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True)
)


@pytest.mark.parametrize("command", ["train", "explore", "audit", "prepare"])
def test_numbers_are_refused_alike_everywhere(
    tmp_path: Path, make_image: Make, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = named(tmp_path / "raf", make_image, tuple(RAF_DB), 2)
    data = {"audit": [str(folder)], "prepare": ["--input-dir", str(folder), "--output-dir", str(tmp_path / "p")]}
    assert main([command, *data.get(command, ["--data", str(folder)])]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "classes are numbers (1, 2, 3, 4, 5, 6, 7); name them: --classes 1=surprise,2=fear" in said


def test_numbers_with_names_are_read(tmp_path: Path, make_image: Make) -> None:
    folder = named(tmp_path, make_image, tuple(RAF_DB))
    split = open_data(folder, classes=RAF_DB)
    assert split.classes == EMOTIONS
    assert {path.split("/")[0] for path in split.part("all").paths} == set(EMOTIONS)
    assert "classes read: 1 as surprise" in split.origin
    assert open_source(folder, {name: name for name in RAF_DB}).classes == tuple(RAF_DB)


@pytest.mark.parametrize("text", ["", "happy", "1=happy,2", "=happy"])
def test_what_is_no_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a list of <class folder>=<name>, as in 1=surprise"):
        read_names(text)


def test_a_class_can_be_left_out_or_renamed_in_any_source(tmp_path: Path, make_image: Make, drawn: Path) -> None:
    folder = named(tmp_path / "ck", make_image, ("anger", "contempt", "happy"))
    for source in (folder, packed(folder, "zip")):
        split = open_data(source, classes={"contempt": ""})
        assert split.classes == ("angry", "happy")
        assert "left out: contempt" in split.origin
    assert main(["prepare", "--input-dir", str(drawn), "--output-dir", str(tmp_path / "p")]) == 0
    assert open_data(tmp_path / "p", classes={"sad": "blue"}).classes == tuple(sorted({*EMOTIONS, "blue"} - {"sad"}))
    with pytest.raises(DataError, match="has no class 'cheese'; its classes are anger, contempt, happy"):
        open_source(folder, {"cheese": "happy"})


@pytest.mark.parametrize("name", EMOTIONS)
def test_every_expression_means_itself(name: str) -> None:
    assert emotion(name) == emotion(name.upper()) == emotion(f" {name} ") == name


def small(classes: tuple[str, ...], labels: list[int]) -> Dataset:
    paths = tuple(f"{classes[label]}/{i}.png" for i, label in enumerate(labels))
    return Dataset(np.zeros((len(labels), 8, 8), np.uint8), np.array(labels, np.int64), classes, paths)


def test_given_labels_move_along_with_the_votes() -> None:
    images, labels, given = np.zeros((2, 48, 48), np.uint8), np.array([0, 0]), np.array([0, 1])
    faces = Dataset(
        images, labels, ("angry", "sad"), ("angry/1.png", "sad/2.png"), np.eye(2, dtype=np.float32)[labels], given
    )
    moved = faces.with_classes(("sad", "angry"))
    assert moved.given is not None
    assert (moved.labels.tolist(), moved.given.tolist()) == ([1, 1], [1, 0])
    with pytest.raises(DataError, match="no class sad"):
        faces.with_classes(("angry", "happy"))


def test_labels_move_into_a_larger_list_of_classes() -> None:
    faces = small(("anger", "happy"), [0, 1, 1])
    moved = faces.with_classes(EMOTIONS)
    assert [EMOTIONS[label] for label in moved.labels] == ["angry", "happy", "happy"]
    assert moved.counts().tolist() == [1, 0, 0, 2, 0, 0, 0]
    assert moved.paths == faces.paths
    assert faces.with_classes(faces.classes) is faces


def test_a_class_with_faces_or_votes_cannot_be_lost() -> None:
    with pytest.raises(DataError, match="no class calm among angry"):
        small(("calm", "happy"), [0, 1]).with_classes(EMOTIONS)
    assert small(("calm", "happy"), [1, 1]).with_classes(EMOTIONS).counts()[3] == 2


def test_votes_move_with_their_classes(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("file,anger,happiness\nAnger/0.png,3,1\nhappy/1.png,0,5\n")
    faces = join(read_votes(tmp_path / "v.csv", ("angry", "happy")), small(("angry", "happy"), [0, 1])).faces
    moved = faces.with_classes(EMOTIONS)
    assert moved.shares is not None
    np.testing.assert_allclose(moved.shares[:, [0, 3]], [[0.75, 0.25], [0, 1]])
    assert moved.shares.sum() == 2
    assert moved.labels.tolist() == moved.shares.argmax(1).tolist()


def forbidden(path: str) -> Callable[..., object]:
    """`os.scandir` of a system on which the folder called `path` cannot be read."""
    import os

    scandir = os.scandir

    def scan(where: str = ".") -> object:
        if str(where).endswith(path):
            raise PermissionError(13, "Permission denied", str(where))
        return scandir(where)

    return scan


def test_folders_that_cannot_be_read_are_named(
    tmp_path: Path, make_image: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "faces", make_image, {"": 3})
    (folder / "closed").mkdir()
    (folder / "lost+found").mkdir()
    monkeypatch.setattr("os.scandir", forbidden("lost+found"))
    assert len(open_data(folder).part("all")) == 6
    monkeypatch.setattr("os.scandir", forbidden("closed"))
    with pytest.raises(DataError, match=r"faces: closed: a folder that cannot be read \(Permission denied\)"):
        open_data(folder)
    planned = plan(open_source(folder), SplitOptions(skip_bad=True))
    assert (len(planned.rows), len(planned.skipped)) == (6, 1)
    monkeypatch.setattr("os.scandir", forbidden("faces"))
    with pytest.raises(DataError, match=r"faces: cannot be read \(Permission denied\)"):
        open_data(folder)


@pytest.mark.parametrize(
    "path", ["x" * 300, "x" * 5000, "a\0b", "/proc/self/mem/x", "/dev/null/x", "", "ftp://x.org/a.zip"]
)
def test_paths_that_cannot_be_looked_at_are_named(path: str) -> None:
    for look in (open_source, open_data, read_model):
        with pytest.raises(MienError) as error:
            look(path)
        assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 600


def test_an_archive_that_goes_away_is_named(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path / "faces", make_image, {"": 3})
    for kind in ("zip", "tar", "gztar"):
        path = packed(folder, kind)
        source = open_source(path)
        path.unlink()
        with pytest.raises(DataError, match="cannot be read"):
            plan(source, SplitOptions())


def test_a_picture_is_no_data_set(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (48, 48)).save(file, "PNG")
    (tmp_path / "me.png").write_bytes(file.getvalue())
    with pytest.raises(DataError, match="a picture; data are many"):
        open_source(tmp_path / "me.png")
