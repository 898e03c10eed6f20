"""Votes find their faces, whatever file they come in, and become shares."""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import lively, random_faces

from mien.cli.app import main
from mien.data.dataset import Dataset, Split
from mien.data.manifest import read_manifest
from mien.data.sources import open_data
from mien.data.votes import IMAGE_NAMES, join, join_split, read_votes, with_majority
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.models.files import read_model, write_model
from mien.train.run import read_start

FER = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
ALL = tuple(sorted(EMOTIONS))


def faces(*paths: str, classes: tuple[str, ...] = ALL) -> Dataset:
    labels = np.array([classes.index(path.split("/")[0]) for path in paths], np.int64)
    return Dataset(np.zeros((len(paths), 48, 48), np.uint8), labels, classes, paths)


def ferplus(path: Path, rows: dict[str, dict[str, int]]) -> Path:
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "image", *FER])
        lines.writerows([name, "fer.png", *(votes.get(column, 0) for column in FER)] for name, votes in rows.items())
    return path


def published(path: Path, rows: list[tuple[str, dict[str, int]]]) -> Path:
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["Usage", "Image name", *FER])
        lines.writerows(["Training", image, *(votes.get(column, 0) for column in FER)] for image, votes in rows)
    return path


def share(joined: Dataset, place: int, name: str) -> float:
    assert joined.shares is not None
    return float(joined.shares[place, joined.classes.index(name)])


def test_shares_are_of_our_classes_alone(tmp_path: Path) -> None:
    file = ferplus(tmp_path / "v.csv", {"train/sad/a.jpg": {"neutral": 5, "sadness": 3, "unknown": 2}})
    joined = join(read_votes(file, ALL), faces("sad/a.jpg")).faces
    assert share(joined, 0, "neutral") == pytest.approx(5 / 8)
    assert share(joined, 0, "sad") == pytest.approx(3 / 8)
    assert joined.classes[joined.labels[0]] == "neutral"


@pytest.mark.parametrize("other", ["contempt", "unknown", "NF"])
def test_most_votes_for_no_class_of_ours_leave_a_face_out(other: str, tmp_path: Path) -> None:
    rows = {"train/sad/a.jpg": {other: 5, "sadness": 5}, "train/sad/b.jpg": {other: 4, "sadness": 6}}
    joined = join(read_votes(ferplus(tmp_path / "v.csv", rows), ALL), faces("sad/a.jpg", "sad/b.jpg", "sad/c.jpg"))
    assert joined.faces.paths == ("sad/b.jpg",)
    assert (joined.without, joined.other) == (1, 1)


def test_the_class_is_part_of_a_name(tmp_path: Path) -> None:
    rows = {"train/sad/a.jpg": {"sadness": 10}, "train/fear/a.jpg": {"fear": 10}}
    joined = join(read_votes(ferplus(tmp_path / "v.csv", rows), ALL), faces("fear/a.jpg", "sad/a.jpg")).faces
    assert [joined.classes[label] for label in joined.labels] == ["fear", "sad"]


def test_a_tie_has_no_majority(tmp_path: Path) -> None:
    rows = {"train/sad/a.jpg": {"sadness": 5, "fear": 5}, "train/sad/b.jpg": {"sadness": 6, "fear": 4}}
    joined = join(read_votes(ferplus(tmp_path / "v.csv", rows), ALL), faces("sad/a.jpg", "sad/b.jpg")).faces
    assert len(joined) == 2
    assert with_majority(joined).paths == ("sad/b.jpg",)


def test_ties_alone_are_refused(tmp_path: Path) -> None:
    rows = {"train/sad/a.jpg": {"sadness": 5, "fear": 5}}
    joined = join(read_votes(ferplus(tmp_path / "v.csv", rows), ALL), faces("sad/a.jpg")).faces
    with pytest.raises(DataError, match="on none of the 1 faces one answer got more votes"):
        with_majority(joined)


def test_given_labels_need_no_majority() -> None:
    given = faces("sad/a.jpg")
    assert with_majority(given) is given


def test_the_published_file_goes_line_by_line_beside_a_table(tmp_path: Path) -> None:
    rows = [("fer0000001.png", {"fear": 10}), ("", {"NF": 10}), ("fer0000002.png", {"happiness": 10})]
    votes = read_votes(published(tmp_path / "fer2013new.csv", rows), ALL)
    joined = join(votes, faces("sad/Training_1.png", "sad/Training_2.png", "sad/row_3.png"))
    assert [ALL[label] for label in joined.faces.labels] == ["fear", "happy"]
    assert joined.without == 1


def test_the_published_file_finds_kaggles_faces_by_image_name(tmp_path: Path) -> None:
    with gzip.open(IMAGE_NAMES, "rt") as file:
        first, second = list(csv.DictReader(file))[:2]
    rows = [(second["image"], {"fear": 10}), (first["image"], {"happiness": 10})]
    votes = read_votes(published(tmp_path / "fer2013new.csv", rows), ALL)
    names = ["/".join(row["file"].split("/")[1:]) for row in (first, second)]
    assert [ALL[label] for label in join(votes, faces(*names)).faces.labels] == ["happy", "fear"]


def test_a_folder_of_ones_own_brings_its_own_votes(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("file,cat,dog\nphotos/cat/1.png,1,3\ndog/2.png,0.5,0.5\n")
    mine = faces("cat/1.png", "dog/2.png", classes=("cat", "dog"))
    joined = join(read_votes(tmp_path / "v.csv", mine.classes), mine).faces
    assert joined.shares is not None
    np.testing.assert_allclose(joined.shares, [[0.25, 0.75], [0.5, 0.5]])


def test_ones_own_classes_may_be_called_as_ferplus_calls_its(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("file,anger,happiness,neutral\nanger/1.png,1,3,0\n")
    mine = faces("anger/1.png", classes=("anger", "happiness", "neutral"))
    assert join(read_votes(tmp_path / "v.csv", mine.classes), mine).faces.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no votes"),
        ("name,cat,dog\na,1,2\n", "no column 'file'"),
        ("file,cat\ncat/1.png,1\n", "no column 'dog'"),
        ("file,cat,dog\n", "holds no votes"),
        ("file,cat,dog\ncat/1.png,1,many\n", "row 1: dog 'many', expected a number of votes"),
        ("file,cat,dog\ncat/1.png,1\n", "row 1: 2 cells, expected 3"),
        ("file,cat,dog\ncat/1.png,1,-1\n", "row 1: dog '-1'"),
        ("file,cat,dog\ncat/1.png,1,nan\n", "row 1: dog 'nan'"),
        ("file,neutral,happiness\ncat/1.png,1,1\n", "no column 'cat'; expected one for each of cat, dog"),
    ],
)
def test_unsound_votes_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_votes(tmp_path / "v.csv", ("cat", "dog"))


def test_votes_for_other_faces_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("file,cat,dog\nbird/1.png,1,1\n")
    mine = faces("cat/1.png", "dog/2.png", classes=("cat", "dog"))
    with pytest.raises(DataError, match="votes for none of the train faces"):
        join_split(tmp_path / "v.csv", Split(mine, mine, mine, "here"))


def own_votes(data: Path, file: Path) -> Path:
    """Votes for the drawn faces of `data`: seven for their class, three for the next."""
    split = open_data(data)
    classes = split.classes
    with open(file, "w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(["file", *classes])
        for part in split.parts().values():
            for path, label in zip(part.paths, part.labels, strict=True):
                lines.writerow([path, *(7 * (k == label) + 3 * (k == (label + 1) % len(classes)) for k in range(7))])
    return file


def test_the_way_from_prepare_to_evaluate(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes, data, run = own_votes(drawn, tmp_path / "v.csv"), tmp_path / "data", tmp_path / "run"
    assert main(["prepare", "--input-dir", str(drawn), "--output-dir", str(data), "--votes", str(votes)]) == 0
    assert "faces have them" in capsys.readouterr().out
    assert {round(max(row.votes), 3) for row in read_manifest(data)} == {0.7}
    voted = ["--data", str(data), "--labels", "votes"]
    assert main(["train", *voted, "--epochs", "1", "--out", str(run)]) == 0
    assert main(["evaluate", "--model", str(run), *voted, "--out", str(tmp_path / "e"), "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["label_source"] == "majority of votes"
    )
    other = ["evaluate", "--model", str(run), "--data", str(drawn), "--labels", "votes", "--votes", str(votes)]
    assert main([*other, "--out", str(tmp_path / "f"), "--json"]) == 0


def test_a_run_remembers_its_votes_its_teacher_and_its_init(drawn: Path, tmp_path: Path) -> None:
    votes, run, teacher = own_votes(drawn, tmp_path / "v.csv"), tmp_path / "run", tmp_path / "teacher.safetensors"
    write_model(lively(ALL), teacher)
    command = ["train", "--data", str(drawn), "--labels", "votes", "--votes", str(votes), "--teacher", str(teacher)]
    command += ["--init", str(teacher)]
    assert main([*command, "--epochs", "1", "--out", str(run)]) == 0
    start = read_start(run)
    assert (start.votes, start.teachers, start.init) == (votes, (teacher,), teacher)
    assert start.split.train.shares is not None
    votes.write_text(votes.read_text().replace("7", "6"))
    with pytest.raises(DataError, match=r"not those that .* was started with"):
        read_start(run)


def official(drawn: Path, folder: Path) -> Path:
    """The drawn faces under names that FER-2013's have, two of three for training."""
    for number, path in enumerate(sorted(drawn.rglob("*.png"))):
        part, prefix = ("train", "Training") if number % 3 else ("test", "PublicTest")
        copy = folder / part / path.parent.name / f"{prefix}_{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder


def test_both_labels_are_learned_resumed_and_answered_by(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = official(drawn, tmp_path / "fer")
    votes, run = own_votes(data, tmp_path / "v.csv"), tmp_path / "run"
    command = ["train", "--data", str(data), "--labels", "both", "--votes", str(votes), "--epochs", "1"]
    assert main([*command, "--out", str(run)]) == 0
    assert read_model(run).sources == ("votes", "fer2013")
    faces = read_start(run).split.train
    assert faces.given is not None
    assert faces.given.tolist() == faces.labels.tolist()  # seven of ten votes are for the class given
    for labels, source in (("given", "given labels"), ("votes", "majority of votes")):
        scored = ["evaluate", "--model", str(run), "--data", str(data), "--labels", labels, "--split", "val", "--json"]
        scored += ["--votes", str(votes)] if labels == "votes" else []
        capsys.readouterr()
        assert main([*scored, "--out", str(tmp_path / labels)]) == 0
        assert f'"label_source": "{source}"' in capsys.readouterr().out
    assert main([*command[:2], str(drawn), *command[3:], "--out", str(tmp_path / "other")]) == 2
    assert "for other faces, give --labels votes" in capsys.readouterr().err


def test_given_labels_beside_the_votes_change_the_digest() -> None:
    faces = random_faces(14, ALL)
    assert replace(faces, given=faces.labels).digest() != faces.digest()


def test_votes_must_be_asked_for(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", str(drawn), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*command, "--labels", "votes"]) == 2
    assert "--labels votes needs --votes FILE" in capsys.readouterr().err
    assert main([*command, "--votes", "v.csv"]) == 2
    assert "is read with --labels votes" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_votes_change_the_digest() -> None:
    given = random_faces(14, ALL)
    shares = np.eye(len(given.classes), dtype=np.float32)[given.labels]
    assert replace(given, shares=shares).digest() != given.digest()


def test_ferplus_on_the_real_faces(archive: Path) -> None:
    """The facts of FER+: faces with a majority, and how often FER-2013's own label agrees with it."""
    file = archive.parent / "ferplus.csv"
    if not file.exists():
        pytest.skip("no ferplus.csv beside the archive")
    split = open_data(archive)
    voted, joined = join_split(file, split)
    assert {name: part.without for name, part in joined.items()} == {"train": 152, "val": 10}
    for name, n, agreement in (("train", 26_774, 0.658), ("val", 3_372, 0.654)):
        clear = with_majority(voted.part(name))
        given = dict(zip(split.part(name).paths, split.part(name).labels, strict=True))
        same = np.mean([given[path] == label for path, label in zip(clear.paths, clear.labels, strict=True)])
        assert len(clear) == n
        assert same == pytest.approx(agreement, abs=0.0006)
