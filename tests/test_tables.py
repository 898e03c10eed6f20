"""FER-2013 as CSV: the three known files, their bad rows, and the same faces as images."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.data.drawn import draw_face
from mien.data.fer2013_csv import LABELS
from mien.data.prepare import SplitOptions, plan, write
from mien.data.sources import load, open_data, open_source
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError

USAGES = ("Training", "PublicTest", "PrivateTest")
FACES = [
    (LABELS[i % 7], USAGES[i % 3], draw_face(LABELS[i % 7], np.random.default_rng(i)))
    for i in range(28)
]  # fmt: skip


def pixels(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel()))


def rows(header: str, faces: Sequence[tuple[str, str, np.ndarray]] = FACES) -> list[str]:
    """The lines of a table with the columns of `header`."""
    lines = [header]
    for label, usage, face in faces:
        cells = {"emotion": str(LABELS.index(label)), "Usage": usage, "pixels": pixels(face)}
        lines.append(",".join(cells[column.strip()] for column in header.split(",")))
    return lines


def table(path: Path, lines: Sequence[str], *, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


FER2013 = rows("emotion,pixels,Usage")


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
def test_labels_parts_and_pixels_come_from_the_columns(tmp_path: Path, header: str) -> None:
    split = open_data(table(tmp_path / "fer.csv", rows(header)))
    assert split.classes == EMOTIONS
    assert split.origin.startswith("FER-2013's official parts")
    for usage, part in zip(USAGES, (split.train, split.val, split.test), strict=True):
        expected = [(label, face) for label, mine, face in FACES if mine == usage]
        assert [EMOTIONS[label] for label in part.labels] == [label for label, _ in expected]
        assert (part.images == [face for _, face in expected]).all()


def test_the_labels_are_not_in_alphabetical_order(tmp_path: Path) -> None:
    source = open_source(table(tmp_path / "fer2013.csv", FER2013))
    assert [entry.label for entry in source.entries[4:7]] == ["sad", "surprise", "neutral"]


def test_the_competitions_training_file_has_no_parts_and_is_split(tmp_path: Path) -> None:
    split = open_data(table(tmp_path / "train.csv", rows("emotion,pixels")))
    assert split.origin == "split 70/15/15, seed 0"
    assert sum(len(part) for part in split.parts().values()) == len(FACES)


def test_the_competitions_test_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = table(tmp_path / "test.csv", rows("pixels"))
    for place in (path, tmp_path):
        with pytest.raises(DataError, match=r"test\.csv: has no column 'emotion'.*carry no labels.*use train\.csv"):
            open_source(place)


@pytest.mark.parametrize("files", [["train.csv", "test.csv"], ["test.csv", "train.csv", "icml_face_data.csv"]])
def test_a_folder_of_tables_gives_the_best_one(tmp_path: Path, files: list[str]) -> None:
    headers = {"train.csv": "emotion,pixels", "test.csv": "pixels", "icml_face_data.csv": "emotion, Usage, pixels"}
    for file in files:
        table(tmp_path / "challenge" / file, rows(headers[file]))
    table(tmp_path / "challenge" / "example_submission.csv", ["id,emotion", "1,2"])
    table(tmp_path / "__MACOSX" / "fer2013.csv", ["by-product"])
    best = "icml_face_data.csv" if "icml_face_data.csv" in files else "train.csv"
    assert open_source(tmp_path).path.name == best


def test_a_table_in_a_zip_is_the_same_data(tmp_path: Path) -> None:
    path = table(tmp_path / "fer2013.csv", FER2013)
    with zipfile.ZipFile(tmp_path / "fer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "fer2013/fer2013.csv")
    assert load(open_source(tmp_path / "fer.zip")).digest() == load(open_source(path)).digest()


@pytest.mark.parametrize(
    ("end", "encoding"), [("\r\n", "utf-8"), ("\n", "utf-8-sig"), ("\r\n", "utf-8-sig"), ("\n\n", "utf-8")]
)
def test_bom_crlf_and_blank_lines_do_not_matter(tmp_path: Path, end: str, encoding: str) -> None:
    plain = load(open_source(table(tmp_path / "a.csv", FER2013)))
    other = load(open_source(table(tmp_path / "b.csv", FER2013, end=end, encoding=encoding)))
    assert other.digest() == plain.digest()


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_excel_saves_is_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    plain = load(open_source(table(tmp_path / "a.csv", FER2013)))
    lines = [line.replace(",", delimiter) for line in FER2013]
    other = load(open_source(table(tmp_path / "b.csv", lines, end="\r\n", encoding=encoding)))
    assert other.digest() == plain.digest()


def test_quoted_cells_are_read(tmp_path: Path) -> None:
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in FER2013]
    assert len(load(open_source(table(tmp_path / "fer2013.csv", quoted)))) == len(FACES)


def as_archive(path: Path, kind: str, **options: object) -> Path:
    """FACES as Kaggle's archive holds them."""
    with zipfile.ZipFile(path, "w") as archive:
        for row, (label, usage, face) in enumerate(FACES, 1):
            file = io.BytesIO()
            Image.fromarray(face).save(file, kind, **options)
            folder = "train" if usage == "Training" else "test"
            archive.writestr(f"{folder}/{label}/{usage}_{row}.{kind.lower()}", file.getvalue())
    return path


def by_id(data: Dataset) -> tuple[list[tuple[int, str]], np.ndarray]:
    """Number in the file name and class of each face, and the images, in the order of the numbers."""
    ids = np.array([int(path.rpartition("_")[2].partition(".")[0]) for path in data.paths])
    order = np.argsort(ids)
    return [(int(ids[i]), data.classes[data.labels[i]]) for i in order], data.images[order]


@pytest.mark.parametrize(("kind", "options", "apart"), [("JPEG", {"quality": 95}, 12), ("PNG", {}, 0)])
def test_table_and_archive_of_the_same_faces_are_the_same_data(
    tmp_path: Path, kind: str, options: dict[str, int], apart: int
) -> None:
    one = open_data(table(tmp_path / "fer2013.csv", FER2013))
    other = open_data(as_archive(tmp_path / "fer.zip", kind, **options))
    assert one.origin == other.origin
    for name in one.parts():
        (labels, images), (other_labels, other_images) = by_id(one.part(name)), by_id(other.part(name))
        assert labels == other_labels
        assert np.abs(images.astype(int) - other_images).max() <= apart


def test_a_prepared_table_is_png_files_that_name_their_rows(tmp_path: Path) -> None:
    source = open_source(table(tmp_path / "fer2013.csv", FER2013))
    planned = plan(source, SplitOptions(official=True))
    write(planned, source, tmp_path / "data")
    for row, (label, usage, face) in zip(planned.rows, FACES, strict=True):
        number = planned.rows.index(row) + 1
        assert row.path.endswith(f"/{label}/{usage}_{number}.png")
        assert row.source == f"fer2013.csv row {number}"
        assert (np.asarray(Image.open(tmp_path / "data" / row.path)) == face).all()
    (tmp_path / "data/manifest.csv").unlink()
    assert open_data(tmp_path / "data").origin.startswith("FER-2013's official parts")


GOOD = pixels(FACES[0][2])
SHORT = GOOD.rpartition(" ")[0]
BAD_ROWS = [
    (f"0,{SHORT},Training", "2303 pixels, expected 2304 (48x48)"),
    (f"0,{SHORT} 256,Training", "pixel 256, expected whole numbers from 0 to 255"),
    (f"0,{SHORT} -1,Training", "pixel -1, expected whole numbers from 0 to 255"),
    (f"0,{SHORT} 99999999999999999999999,Training", "expected whole numbers from 0 to 255"),
    (f"0,{SHORT} 4294967296,Training", "pixel 4294967296, expected whole numbers from 0 to 255"),
    (f"0,{SHORT} NaN,Training", "pixel 'NaN', expected whole numbers from 0 to 255"),
    (f"0,{SHORT} 1.5,Training", "pixel '1.5', expected whole numbers from 0 to 255"),
    (f"7,{GOOD},Training", "emotion '7', expected 0 to 6"),
    (f"happy,{GOOD},Training", "emotion 'happy', expected 0 to 6"),
    (f"0,{GOOD},Validation", "Usage 'Validation', expected Training, PublicTest, PrivateTest"),
    (f"0,{GOOD}", "Usage '', expected Training, PublicTest, PrivateTest"),
    (f"0,{GOOD},Training,5", "4 columns, expected 3"),
    ("0", "0 pixels, expected 2304 (48x48)"),
    ('"0,1 2', "0 pixels, expected 2304 (48x48)"),
    (f"0,{GOOD * 50},Training", "pixels, expected 2304 (48x48)"),
    ("\x00\ufffd", "0 pixels, expected 2304 (48x48)"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS, ids=[reason for _, reason in BAD_ROWS])
def test_a_bad_row_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = table(tmp_path / "fer2013.csv", [*FER2013[:17], line, *FER2013[17:]])
    with pytest.raises(DataError) as error:
        load(open_source(path))
    assert str(error.value).startswith(f"{path}, row 17: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_half_a_last_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(FER2013)[:-4000])
    with pytest.raises(DataError, match=r"fer2013\.csv, row 28: \d+ pixels, expected 2304"):
        load(open_source(path))


def test_all_bad_rows_come_in_one_line(tmp_path: Path) -> None:
    path = table(tmp_path / "fer2013.csv", [*FER2013, *(line for line, _ in BAD_ROWS)])
    with pytest.raises(DataError, match=rf"row 29: .*; row 30: .*; row 31: .*; and {len(BAD_ROWS) - 3} more\. Correct"):
        load(open_source(path))


def test_skip_bad_leaves_bad_rows_out_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / "fer2013.csv", [*FER2013, *(line for line, _ in BAD_ROWS)])
    before = path.read_bytes()
    arguments = ["prepare", "--input-dir", str(path), "--output-dir", str(tmp_path / "data"), "--skip-bad"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == len(FACES)
    assert facts["skipped"]["count"] == len(facts["skipped"]["names"]) == len(BAD_ROWS)
    assert facts["skipped"]["names"][0] == "row 29: 2303 pixels, expected 2304 (48x48)"
    assert main(arguments) == 0
    assert f"left out, unreadable: {len(BAD_ROWS)}\n  row 29: 2303 pixels" in capsys.readouterr().out
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["emotion,pixels,Usage"], "no faces left"),
        (["emotion,Usage", "1,Training"], "has no column 'pixels'"),
        (["a,b", "1,2"], "has no column 'emotion'"),
        (["\x00\x01"], "has no column 'emotion'"),
        (FER2013[1:], "has no column 'emotion'"),
        ([*FER2013[:2], *(line for line, _ in BAD_ROWS)], "row 2: 2303 pixels"),
        (FER2013[:2], "only one class, 'angry'"),
    ],
)
def test_an_unusable_table_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"fer2013\.csv.*{message}"):
        open_source(path)


CELLS = ["0", "7", GOOD, SHORT, "Training", ",", '"', "\r", "\n", "\x00", "\xff", "NaN", " "]


@given(
    header=st.sampled_from(["emotion,pixels,Usage", "emotion,pixels", "pixels", ""]),
    cells=st.lists(st.sampled_from(CELLS)),
    tail=st.binary(max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_table_holds_only_our_errors_come(
    tmp_path_factory: pytest.TempPathFactory, header: str, cells: list[str], tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.csv"
    path.write_bytes("\n".join([header, *FER2013[1:3], "".join(cells)]).encode("latin-1") + tail)
    try:
        load(open_source(path))
    except MienError as error:
        assert len(str(error).splitlines()) == 1


def test_a_damaged_table_in_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fer2013.csv", "\n".join(FER2013))
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"fer\.zip: fer2013\.csv: damaged \(.*\); download the archive again"):
        open_source(path)


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    with open(path, "wb") as file:
        file.write("\n".join(FER2013[:9]).encode() + b"\n")
        file.write(b"0" * (50 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="row 9: 0 pixels"):
            load(open_source(path))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.long
def test_a_full_size_table_is_read_whole(tmp_path: Path) -> None:
    """35,887 rows, as fer2013.csv has."""
    path = tmp_path / "fer2013.csv"
    body = FER2013[1:]
    with open(path, "w") as file:
        file.write(FER2013[0] + "\n")
        for i in range(35_887):
            file.write(body[i % len(body)] + "\n")
    data = load(open_source(path))
    assert len(data) == 35_887
    assert (data.images[-1] == FACES[35_886 % len(FACES)][2]).all()
