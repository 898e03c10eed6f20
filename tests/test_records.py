"""Records: whole on disk and back, older files still read, damage told in one line; no heavy library below them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_figures import SEVEN, a_record, an_evaluation
from test_report import a_run

from mien.errors import DataError, MienError, UsageError
from mien.records.audit import AuditRecord
from mien.records.comparison import ComparisonRecord
from mien.records.data import CopyFacts
from mien.records.evaluation import EvaluationRecord, is_of
from mien.records.record import Record, plain
from mien.records.run import ModelReference, RunRecord

KINDS: tuple[type[Record], ...] = (RunRecord, EvaluationRecord, ComparisonRecord, AuditRecord)


def old_counts() -> dict[str, dict[str, int]]:
    return {"train": {"a": 3, "b": 2}, "val": {"a": 1, "b": 1}}


def old_run() -> dict[str, Any]:
    """`config.json` as version 0.1 wrote it."""
    return {
        "recipe": {
            "name": "speedrun", "network": "quick", "epochs": 2, "batch_size": 64, "balance": "none",
            "optimizer": "sgd", "rate": 0.1, "l2": 0.00025, "schedule": "onecycle", "smoothing": 0.1,
            "adjust": 0.0, "average": 0.0, "keep": "lowest",
            "augment": {
                "rotation": 0, "zoom": 0, "shear": 0, "shift": 0.04, "flip": True, "brightness": [1.0, 1.0],
            },
        },
        "seed": 5,
        "device": "cpu",
        "data": {
            "path": "data", "origin": "prepared folder data", "note": "data: prepared folder data",
            "classes": ["a", "b"], "counts": old_counts(), "copies": 2, "blank": 1, "conflicts": 1,
            "also_in_train": {"val": 1}, "sha256": {"train": "1" * 64, "val": "2" * 64},
        },
        "versions": {"mien": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6", "pillow": "13.0.0"},
        "command": "mien train --data data",
        "save_as": None,
        "votes": "votes.csv",
        "init": "runs/start",
        "init_sha256": "3" * 64,
        "teachers": ["base", "tiny"],
        "teachers_sha256": ["4" * 64, "5" * 64],
        "model": {"architecture": "quick", "parameters": 392_135},
        "kept_epoch": 1,
        "ended": "finished",
        "seconds": 0.6,
    }  # fmt: skip


def old_scores() -> dict[str, Any]:
    return {
        "n": 4, "accuracy": 0.75, "accuracy_ci95": [0.3, 0.95], "macro_precision": 0.83, "macro_recall": 0.75,
        "macro_f1": 0.73,
        "per_class": {
            "a": {"precision": 0.67, "recall": 1.0, "f1": 0.8, "support": 2},
            "b": {"precision": 1.0, "recall": 0.5, "f1": 0.67, "support": 2},
        },
        "confusion": [[2, 0], [1, 1]], "nll": 0.4, "ece": 0.1,
    }  # fmt: skip


def old_evaluation() -> dict[str, Any]:
    """`metrics.json` as version 0.1 wrote it."""
    ends = {"precision": [0.0, 1.0], "recall": [0.0, 1.0], "f1": [0.0, 1.0]}
    return old_scores() | {
        "ruler": "majority of votes",
        "labels": ["a", "b"],
        "model": "base",
        "data": "data",
        "split": "test",
        "bootstrap_ci95": {
            "accuracy": [0.25, 1.0], "macro_precision": [0.2, 1.0], "macro_recall": [0.2, 1.0], "macro_f1": [0.2, 1.0],
            "per_class": {"a": ends, "b": ends},
        },
        "ece_if_calibrated": 0.2,
        "ece_if_calibrated_95": [0.1, 0.4],
        "areas": {"a": {"roc": 1.0, "precision_recall": 1.0}, "b": {"roc": None, "precision_recall": None}},
        "at_80_coverage": {"n": 4, "accuracy": 0.75, "accuracy_ci95": [0.3, 0.95], "confidence": 0.6},
        "cross_entropy": 0.5,
        "without_copies": old_scores() | {"copies": 1},
        "tta_flip": old_scores(),
        "corruptions": {"mean_relative_accuracy": 0.8, "accuracy": {"fog": [0.7, 0.6, 0.5, 0.4, 0.3]}},
        "model_sha256": "6" * 64,
        "prior": "natural",
        "notes": {"recipe": "base", "data": "data: prepared folder data"},
        "command": "mien evaluate",
    }  # fmt: skip


def old_comparison() -> dict[str, Any]:
    """`comparison.json` as version 0.1 wrote it."""
    ends = [-0.1, 0.1]
    score = {"accuracy": 0.5, "accuracy_ci95": [0.4, 0.6], "macro_f1": 0.4, "macro_f1_ci95": [0.3, 0.5]}
    return {
        "faces": "test faces of data",
        "command": "mien compare one two",
        "n": 134,
        "models": [{"model": "one"} | score, {"model": "two"} | score],
        "pairs": [
            {
                "a": "one", "b": "two", "accuracy_difference": 0.0, "accuracy_difference_ci95": ends,
                "macro_f1_difference": 0.0, "macro_f1_difference_ci95": ends, "only_a_right": 3, "only_b_right": 3,
                "mcnemar_p": 1.0,
            }
        ],
    }  # fmt: skip


def old_audit() -> dict[str, Any]:
    """`audit.json` as version 0.1 wrote it."""
    gallery = {
        "tiles": [{"pictures": ["iVBORw0KGgo="], "lines": ["a (train)", "b (val)"], "names": "1.png; 2.png"}],
        "count": 1,
    }
    empty = {"tiles": [], "count": 0}
    return {
        "data": "data",
        "facts": {
            "images": {"train": 5, "val": 2}, "classes": old_counts(),
            "imbalance": {"most": "a", "fewest": "b", "ratio": 1.3}, "distinct": 6,
            "copies": {
                "groups": 1, "images": 2, "groups_in_several_parts": 1, "groups_with_conflicting_labels": 1,
                "also_in_train": {"val": 1},
            },
            "near_copies": {
                "pairs": 1, "mirrored": 0, "pairs_in_several_parts": 0, "pairs_with_different_labels": 0,
                "nearly_in_train": {"val": 0},
            },
            "blank": 0, "plain": 1, "border": 0,
        },
        "conflicts": gallery, "leaks": gallery, "contradicting": empty, "least_alike": empty, "plain": gallery,
        "border": empty, "suspects": None,
        "limits": {"bits": 10, "likeness": 0.94},
        "command": "mien audit data",
        "remedy": "mien prepare --input_dir data",
    }  # fmt: skip


OLD = dict(zip(KINDS, (old_run, old_evaluation, old_comparison, old_audit), strict=True))


def put(folder: Path, kind: type[Record], fields: object) -> Path:
    (folder / kind.FILE).write_text(json.dumps(fields))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: type[Record], tmp_path: Path) -> None:
    record = kind.read(put(tmp_path, kind, OLD[kind]()))
    assert record.schema == kind.schema > 1
    record.write(tmp_path / "again")
    assert kind.read(tmp_path / "again") == record
    assert json.loads((tmp_path / "again" / kind.FILE).read_text())["schema"] == kind.schema
    assert kind.found(tmp_path / "nowhere") is None


def test_an_old_run_keeps_what_it_said(tmp_path: Path) -> None:
    run = RunRecord.read(put(tmp_path, RunRecord, old_run()))
    assert (run.init, run.teachers[1]) == (ModelReference("runs/start", "3" * 64), ModelReference("tiny", "5" * 64))
    assert run.given_models == {
        "teachers": f"base ({'4' * 12}), tiny ({'5' * 12})",
        "initial weights": f"start ({'3' * 12})",
    }
    assert run.data.images == 7
    assert run.data.classes == ("a", "b")
    assert run.data.copies == CopyFacts(groups_with_conflicting_labels=1, also_in_train={"val": 1})
    assert run.outcome is not None
    assert (run.ended, run.outcome.best_epoch) == ("finished", 1)
    renamed = {"ema" if name == "average" else name: value for name, value in old_run()["recipe"].items()}
    today = renamed | {"freeze": 0, "augment": renamed["augment"] | {"probability": 1.0}}
    assert json.dumps(plain(run.recipe), sort_keys=True) == json.dumps(today, sort_keys=True)


def test_an_old_run_that_broke_off_can_be_resumed(tmp_path: Path) -> None:
    unfinished = {
        key: value for key, value in old_run().items() if key not in ("model", "kept_epoch", "ended", "seconds")
    }
    for fields in (unfinished, old_run() | {"ended": "interrupted"}):
        assert RunRecord.read(put(tmp_path, RunRecord, fields)).ended == ""


def test_an_old_evaluation_keeps_what_it_said(tmp_path: Path) -> None:
    record = EvaluationRecord.read(put(tmp_path, EvaluationRecord, old_evaluation()))
    assert (record.label_source, record.classes) == ("majority of votes", ("a", "b"))
    assert record.areas["b"].roc is None
    assert record.without_copies is not None
    assert record.without_copies.copies == 1
    assert is_of(record, model_sha256="6" * 64, data="data")
    assert not is_of(record, prior="uniform")


def test_what_was_not_measured_is_not_in_the_file() -> None:
    fields = a_record(an_evaluation(SEVEN)).to_json()
    assert not {"tta_flip", "corruptions", "without_copies", "cross_entropy"} & fields.keys()


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where in a JSON value there is something, from the top down."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for key, below in items for one in ((*path, key), *paths_of(below, (*path, key)))]


@given(draw=st.data())
def test_damage_anywhere_is_one_line_or_harmless(draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A field gone, or of another type: a record, or one error that names file and remedy."""
    kind = draw.draw(st.sampled_from(KINDS))
    fields = OLD[kind]() if draw.draw(st.booleans()) else a_run().to_json() if kind is RunRecord else OLD[kind]()
    *path, last = draw.draw(st.sampled_from(paths_of(fields)))
    at: Any = fields
    for key in path:
        at = at[key]
    at[last] = draw.draw(st.sampled_from([None, "x", -1, 1.5, [], {}, [[]], {"x": 1}, True]))
    folder = put(tmp_path_factory.mktemp("damaged"), kind, fields)
    try:
        kind.read(folder)
    except MienError as error:
        assert str(error).startswith(f"{folder / kind.FILE}: ")
        assert "\n" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"3", b'{"schema": "x"}', b"\xff\xfe", b"[" * 99_999])
def test_foreign_files_are_named(kind: type[Record], text: bytes, tmp_path: Path) -> None:
    (tmp_path / kind.FILE).write_bytes(text)
    with pytest.raises(DataError) as raised:
        kind.read(tmp_path)
    assert kind.COMMAND in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_newer_file_asks_for_a_newer_mien(tmp_path: Path) -> None:
    put(tmp_path, RunRecord, {"schema": 99})
    with pytest.raises(DataError, match=r"newer version of Mien \(schema 99\); update Mien"):
        RunRecord.read(tmp_path)


def test_a_missing_record_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no metrics\.json; make one with: mien evaluate"):
        EvaluationRecord.read(tmp_path)


REPORTING = "import mien.report, mien.report.page, mien.report.card, mien.report.terminal, sys"


def test_reports_load_neither_torch_nor_scikit_learn() -> None:
    heavy = "{'torch', 'sklearn', 'scipy', 'matplotlib', 'numpy'} & sys.modules.keys()"
    code = f"{REPORTING}; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pages_are_made_without_matplotlib_torch_and_scikit_learn(tmp_path: Path) -> None:
    """Where they are not installed, what was recorded is still shown."""
    put(tmp_path, EvaluationRecord, old_evaluation())
    put(tmp_path, RunRecord, old_run())
    blocked = "import sys; sys.modules |= dict.fromkeys(('torch', 'sklearn', 'scipy', 'matplotlib'))"
    code = f"{blocked}; from pathlib import Path; {REPORTING}; mien.report.page.write_report(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "75.0" in (tmp_path / "report.html").read_text(encoding="utf-8")
