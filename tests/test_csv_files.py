"""One way to write CSV, one way to read it, one wording for what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.csv_files import csv_text, read_rows
from mien.errors import DataError, MienError


def number(row: dict[str, str]) -> tuple[str, int]:
    return row["name"], int(row["n"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ["name,n\na,1\nb,2\n", "name;n\r\na;1\r\n\r\nb;2", "name\tn\na\t1\nb\t2\n"])
def test_the_usual_kinds_are_read(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read_rows(tmp_path / "t.csv", ["name"], number, "fix it") == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"t\.csv: cannot be read \(No such file or directory\); fix it"),
        (b"", r"t\.csv: has no column 'name'; fix it"),
        (b"other,n\n1,2\n", r"t\.csv: has no column 'name'; fix it"),
        (b"name,m\n1,2\n", r"t\.csv: has no column 'n'; fix it"),
        (b"name,n\na,1\nb\n", r"t\.csv, row 2: 1 cells, expected 2; fix it"),
        (b"name,n\na,1,2\n", r"t\.csv, row 1: 3 cells, expected 2; fix it"),
        (b"name,n\na,one\n", r"t\.csv, row 1: invalid literal for int.*; fix it"),
        (b"name,n\n\xff\xfe,1\n", r"t\.csv: not a CSV table \(.*\); fix it"),
        (b'name,n\n"a,1\n', r"t\.csv: not a CSV table \(unexpected end of data\); fix it"),
        ("name,n\na,1\n".encode("utf-16-le"), r"t\.csv: (has no column|not a CSV table).*; fix it"),
    ],
)
def test_what_is_wrong_is_said_one_way(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "t.csv", ["name"], number, "fix it")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\); fix it"):
        read_rows(tmp_path, [], dict, "fix it")


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "t.csv"
    path.write_text(csv_text(["a", "b"], rows), encoding="utf-8", newline="")
    assert read_rows(path, ["a", "b"], lambda row: (row["a"], row["b"]), "fix it") == rows


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_bytes_only_our_errors_come(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "t.csv"
    path.write_bytes(data)
    try:
        read_rows(path, [], dict, "fix it")
    except MienError as error:
        assert len(str(error).splitlines()) == 1
