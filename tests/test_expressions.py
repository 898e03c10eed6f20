"""`Expressions` in other people's engines: the same rows everywhere."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import batches
import pyarrow as pa

from mien.errors import UsageError
from mien.predict.predictor import Predictor
from mien.scale import Expressions
from mien.scale.rows import table

FACES = Expressions("tiny")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = batches.draw_photos(tmp_path_factory.mktemp("photos"), 8)
    (folder / "000002.jpg").write_text("no picture")
    return sorted(map(str, folder.rglob("*.jpg")))


@pytest.fixture(scope="module")
def wanted(paths: list[str]) -> Any:
    """The rows of these pictures as `Predictor` gives them."""
    return table((prediction.to_dict() for prediction in Predictor("tiny").stream(paths)), FACES.schema)


def test_columns_of_paths(paths: list[str], wanted: Any) -> None:
    assert FACES({"path": paths}) == wanted
    assert FACES(pa.table({"path": paths})) == wanted
    assert pickle.loads(pickle.dumps(FACES))({"path": paths}) == wanted
    assert wanted["emotion"].null_count == 2  # no face, and no picture
    assert FACES({"path": []}) == FACES.schema.empty_table()


def test_columns_of_bytes_and_names(paths: list[str], wanted: Any) -> None:
    batch = {"bytes": [Path(path).read_bytes() for path in paths], "name": paths}
    assert Expressions("tiny", "bytes", "name")(batch) == wanted
    unnamed = Expressions("tiny", "bytes")(batch)
    assert unnamed["source"].to_pylist()[0] == "image 1"
    assert unnamed.drop_columns(["source", "error"]) == wanted.drop_columns(["source", "error"])


@pytest.mark.parametrize("cell", [None, float("nan"), 3, "", "gone.jpg", {"bytes": None, "path": None}], ids=str)
def test_what_is_no_picture_is_a_row_with_an_error(cell: Any, paths: list[str]) -> None:
    found = FACES({"path": [paths[0], cell, paths[1]]})
    assert [error is None for error in found["error"].to_pylist()] == [True, False, True]


def test_a_folder_is_no_picture(paths: list[str]) -> None:
    (error,) = FACES({"path": [str(Path(paths[0]).parent)]})["error"].to_pylist()
    assert error.endswith("a folder; give a path a picture")


def test_a_column_that_is_missing() -> None:
    with pytest.raises(UsageError, match="no column 'path'; say which holds the pictures"):
        FACES({"file": []})


def test_pandas(paths: list[str], wanted: Any) -> None:
    pandas = pytest.importorskip("pandas")
    found = FACES(pandas.DataFrame({"path": paths}, index=range(7, 7 + len(paths)))).to_pandas()
    pandas.testing.assert_frame_equal(found, wanted.to_pandas())


def test_dask(paths: list[str], wanted: Any) -> None:
    pandas = pytest.importorskip("pandas")
    dataframe = pytest.importorskip("dask.dataframe")
    photos = dataframe.from_pandas(pandas.DataFrame({"path": paths}), npartitions=3)

    def faces(part: Any) -> Any:
        return FACES(part).to_pandas()

    found = photos.map_partitions(faces, meta=FACES.schema.empty_table().to_pandas()).compute(scheduler="threads")
    rows = found.reset_index(drop=True)
    assert rows["emotion"].fillna("").tolist() == wanted.to_pandas()["emotion"].fillna("").tolist()
    assert rows["happy"].fillna(-1).tolist() == wanted.to_pandas()["happy"].fillna(-1).tolist()


@pytest.mark.parametrize("processes", [None, 2])
def test_datasets(
    processes: int | None, paths: list[str], wanted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets")
    photos = datasets.Dataset.from_dict({"path": paths})
    found = photos.map(
        FACES, batched=True, batch_size=3, remove_columns=photos.column_names, num_proc=processes,
        features=datasets.Features.from_arrow_schema(FACES.schema),
    )  # fmt: skip
    assert found.to_list() == wanted.to_pylist()


def test_datasets_with_pictures_inside(paths: list[str], wanted: Any) -> None:
    datasets = pytest.importorskip("datasets")
    photos = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image(decode=False))
    found = photos.map(Expressions("tiny", "image"), batched=True, remove_columns=["image"])
    assert found.to_list() == wanted.to_pylist()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:PySpark does not:FutureWarning")
def test_spark(paths: list[str], wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    sql = pytest.importorskip("pyspark.sql")
    try:
        spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    except Exception as error:  # Java's, of many kinds
        pytest.skip(f"Spark cannot start here ({type(error).__name__})")
    faces: Callable[..., Any] = lambda parts: (FACES(part).to_pandas() for part in parts)  # noqa: E731
    photos = spark.createDataFrame([(path,) for path in paths], "path string")
    found = [row["emotion"] for row in photos.mapInPandas(faces, spark_schema()).collect()]
    spark.stop()
    assert sorted(map(str, found)) == sorted(map(str, wanted["emotion"].to_pylist()))


def spark_schema() -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(FACES.schema)
