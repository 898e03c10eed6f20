"""Sources: zip and folder alike, parts found or not, bad ones named."""

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mien.data.copies import blank, conflicting, copy_groups, group_sizes, shared_with
from mien.data.sources import load, load_readable, open_data, open_source
from mien.errors import DataError, UsageError

Make = Callable[..., Path]


def fill(folder: Path, make_image: Make, names: list[str]) -> Path:
    for seed, name in enumerate(names):
        make_image(folder / name, seed)
    return folder


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    return file


KAGGLE = [
    "train/happy/Training_1.png", "train/sad/Training_2.png",
    "test/happy/PublicTest_3.png", "test/sad/PrivateTest_4.png", "test/sad/PublicTest_5.png",
]  # fmt: skip


def test_zip_and_folder_of_the_same_faces_are_the_same_data(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path / "faces", make_image, KAGGLE)
    one, other = (load(open_source(path)) for path in (folder, zipped(folder, tmp_path / "faces.zip")))
    assert one.digest() == other.digest()
    assert one.paths == other.paths


def test_fer2013_keeps_its_official_parts(tmp_path: Path, make_image: Make) -> None:
    split = open_data(fill(tmp_path, make_image, KAGGLE))
    assert split.train.paths == ("happy/Training_1.png", "sad/Training_2.png")
    assert split.val.paths == ("happy/PublicTest_3.png", "sad/PublicTest_5.png")
    assert split.test.paths == ("sad/PrivateTest_4.png",)


def test_a_missing_official_part_is_not_made_up(tmp_path: Path, make_image: Make) -> None:
    split = open_data(fill(tmp_path, make_image, [name for name in KAGGLE if "Private" not in name]))
    assert list(split.parts()) == ["train", "val"]
    with pytest.raises(DataError, match="no test faces"):
        split.part("test")


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_a_folder_with_all_three_parts_keeps_them(tmp_path: Path, make_image: Make, validation: str) -> None:
    names = ["train/a/1.png", "train/b/2.png", f"{validation}/a/3.png", "test/b/4.png"]
    split = open_data(fill(tmp_path, make_image, names))
    assert (len(split.train), split.val.paths, split.test.paths) == (2, ("a/3.png",), ("b/4.png",))


def test_a_plain_folder_is_split_70_15_15(tmp_path: Path, make_image: Make) -> None:
    split = open_data(fill(tmp_path, make_image, [f"{label}/{i}.png" for label in ("yes", "no") for i in range(20)]))
    assert split.classes == ("no", "yes")
    assert [part.counts().tolist() for part in (split.train, split.val, split.test)] == [[14, 14], [3, 3], [3, 3]]


def test_faces_of_one_name_stay_two(tmp_path: Path, make_image: Make) -> None:
    """Two parts numbered alike, taken as one set: paths are what faces are joined by."""
    names = [f"{part}/{label}/{i}.png" for part in ("train", "test") for label in ("no", "yes") for i in range(9)]
    whole = open_data(fill(tmp_path, make_image, names)).part("all")
    assert len(set(whole.paths)) == len(whole) == 36
    assert {"no/3.png", "no/3_2.png"} < set(whole.paths)


def test_pictures_of_foreign_kinds_are_named(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["a/1.png", "b/2.png"])
    (folder / "a/phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError, match=r"a/phone.heic: not a readable image \(HEIC"):
        open_data(folder)


def test_wrapping_folders_hidden_files_and_other_files_do_not_matter(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["fer/a/1.png", "fer/b/2.PNG", ".git/a/3.png", "__MACOSX/a/4.png"])
    (folder / "fer/a/notes.txt").write_text("no image")
    (folder / "fer/a/._1.png").write_text("no image")
    assert [entry.name for entry in open_source(folder).entries] == ["fer/a/1.png", "fer/b/2.PNG"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["angry", "disgust", "fear", "hapy"], None),
        (["angry", "disgust", "fear", "happy", "suprise"], "'suprise' is none of FER-2013's; rename.*'surprise'"),
        (["angry", "disgust", "fear", "happy", "Sda"], "'Sda' is none of FER-2013's; rename.*'sad'"),
        (["angry", "disgust", "fear", "happy", "contempt"], None),
        (["calm", "hapy", "tired"], None),
    ],
)
def test_a_misspelt_class_of_fer2013_is_refused_and_ones_own_are_not(
    tmp_path: Path, make_image: Make, classes: list[str], message: str | None
) -> None:
    folder = fill(tmp_path, make_image, [f"{name}/1.png" for name in classes])
    if message is None:
        assert open_source(folder).classes == tuple(sorted(classes))
    else:
        with pytest.raises(DataError, match=message):
            open_source(folder)


def test_the_prefix_of_a_file_claims_fer2013_too(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["train/hapy/Training_1.png", "train/sad/Training_2.png"])
    with pytest.raises(DataError, match="'hapy' is none of FER-2013's; rename the folder to 'happy'"):
        open_source(folder)


def test_links_in_circles_do_no_harm(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path / "faces", make_image, ["a/1.png", "b/2.png"])
    (folder / "a/again").symlink_to("..")
    (folder / "itself").symlink_to("itself")
    (folder / "b/other").symlink_to("../a")
    (folder / "b/3.png").symlink_to("../a/1.png")
    assert load(open_source(folder)).paths == ("a/1.png", "b/2.png", "b/3.png")


def test_a_link_to_a_folder_elsewhere_is_refused_not_passed_over(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path / "faces", make_image, ["a/1.png", "b/2.png"])
    (folder / "c").symlink_to(fill(tmp_path / "more", make_image, ["1.png"]))
    with pytest.raises(DataError, match="c: a link to a folder elsewhere"):
        open_source(folder)


def test_what_is_no_file_or_too_large_is_unreadable(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["a/1.png", "b/2.png"])
    os.mkfifo(folder / "a/pipe.png")
    (folder / "a/gone.png").symlink_to("nowhere.png")
    (folder / "b/zeros.png").symlink_to("/dev/zero")
    with open(folder / "b/large.png", "wb") as file:
        file.truncate(65 << 20)
    _, readable = load_readable(open_source(folder))
    assert readable.problems == (
        "a/gone.png: No such file or directory",
        "a/pipe.png: not a file of bytes",
        "b/large.png: 65 MB, more than an image has",
        "b/zeros.png: not a file of bytes",
    )


def test_a_name_that_is_no_text_is_refused(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["a/1.png", "b/2.png"])
    (folder / "a/1.png").rename(os.fsdecode(os.fsencode(folder) + b"/a/\xff.png"))
    with pytest.raises(DataError, match="characters that no file name should"):
        open_source(folder)


class Hub(ModuleType):
    """Stands in for kagglehub."""

    def __init__(self, result: Path | Exception) -> None:
        super().__init__("kagglehub")
        self.result = result
        self.asked: list[str] = []

    def dataset_download(self, handle: str) -> str:
        self.asked.append(handle)
        if isinstance(self.result, Exception):
            raise self.result
        return str(self.result)


@pytest.mark.parametrize("path", ["kaggle:msambare/fer2013", Path("kaggle:msambare/fer2013")])
def test_kaggle_sources_come_through_kagglehub(
    tmp_path: Path, make_image: Make, monkeypatch: pytest.MonkeyPatch, path: str | Path
) -> None:
    hub = Hub(fill(tmp_path, make_image, KAGGLE))
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    assert open_data(path).val.paths == ("happy/PublicTest_3.png", "sad/PublicTest_5.png")
    assert hub.asked == ["msambare/fer2013"]


def test_kaggle_without_its_library_without_network_or_without_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UsageError, match=r"kaggle:a/b: needs kagglehub \(pip install '\.\[hub\]'\)"):
        open_source("kaggle:a/b")
    monkeypatch.setitem(sys.modules, "kagglehub", Hub(ConnectionError("no route\nto host")))
    with pytest.raises(DataError, match=r"kaggle:a/b: the download failed \(no route to host\); check"):
        open_source("kaggle:a/b")
    with pytest.raises(UsageError, match="kaggle:fer2013: no data set's name"):
        open_source("kaggle:fer2013")


def test_many_images_decode_alike_in_several_processes(tmp_path: Path, make_image: Make) -> None:
    names = [f"{label}/{i:04}.png" for label in ("a", "b") for i in range(1050)]
    data = load(open_source(fill(tmp_path, make_image, names)))
    assert len(data) == 2100
    expected = np.random.default_rng(1049).integers(0, 256, (48, 48), np.uint8)
    assert (data.images[1049] == expected).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no images"),
        (["1.png"], "lies in no class folder"),
        (["a/1.png"], "only one class, 'a'"),
        (["a/1.png", "b/2.png", "old/c/3.png"], "different levels"),
    ],
)
def test_unusable_folders_are_named(tmp_path: Path, make_image: Make, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(fill(tmp_path, make_image, names))


def test_what_is_not_there_or_no_zip_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        open_source(tmp_path / "archive.zip")
    (tmp_path / "archive.zip").write_text("<html>please log in</html>")
    with pytest.raises(DataError, match="not a zip archive"):
        open_source(tmp_path / "archive.zip")
    (tmp_path / "fer2013.tsv").write_text("emotion\tpixels")
    with pytest.raises(DataError, match="neither an archive nor a table"):
        open_source(tmp_path / "fer2013.tsv")
    with pytest.raises(UsageError, match="an address, and only kaggle:<owner>/<name> is downloaded"):
        open_source(Path("https://x.org/archive.zip"))


def test_an_unreadable_image_is_named(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["a/1.png", "b/2.png"])
    (folder / "b/3.jpg").write_bytes(b"\xff\xd8 torn")
    with pytest.raises(DataError, match=r"b/3\.jpg: not a readable image"):
        load(open_source(folder))


def test_all_unreadable_images_come_in_one_line(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, [f"{label}/{i:04}.png" for label in "ab" for i in range(1050)])
    for i in range(0, 1050, 210):
        (folder / f"b/{i:04}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b/0000\.png: not a .*; b/0210\.png: .*; b/0420\.png: .*; and 2 more\."):
        load(open_source(folder))
    data, readable = load_readable(open_source(folder))
    assert len(data) == len(readable.entries) == 2095
    assert data.paths == tuple(entry.name for entry in readable.entries)
    expected = np.random.default_rng(2099).integers(0, 256, (48, 48), np.uint8)
    assert (data.images[-1] == expected).all()


def test_nothing_readable_is_an_error_even_where_bad_ones_are_skipped(tmp_path: Path, make_image: Make) -> None:
    folder = fill(tmp_path, make_image, ["a/1.png", "b/2.png"])
    (folder / "b/2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b/2\.png: not a readable image"):
        load_readable(open_source(folder))


def test_copies_are_found_by_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48), np.uint8)
    images[3] = images[0]
    images[5] = 77
    groups = copy_groups(images)
    assert groups.tolist() == [0, 1, 2, 0, 3, 4]
    assert group_sizes(groups).tolist() == [2, 1, 1, 2, 1, 1]
    assert conflicting(groups, np.array([0, 1, 2, 1, 1, 1])).tolist() == [True, False, False, True, False, False]
    assert not conflicting(groups, np.array([1, 1, 2, 1, 1, 1])).any()
    assert blank(images).tolist() == [False] * 5 + [True]
    assert shared_with(images[3:5], images[:2]).tolist() == [True, False]
