"""The model card: the facts of the folders, each said once, and text from the data that stays text."""

import json
import re
from pathlib import Path

import pytest
from test_figures import SEVEN
from test_report import a_run, write_run, write_scores

from mien.cli.app import main
from mien.errors import DataError
from mien.models.files import model_digest
from mien.records.run import RunRecord
from mien.report.card import card
from mien.report.intended_use import LIMITS, MISUSES, USES


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "run", a_run())
    return write_scores(folder, str(folder), model_sha256=model_digest(folder))


def notes_of(run: RunRecord) -> dict[str, str]:
    """What the model of a run says of itself, whatever file it is in."""
    return {"recipe": run.recipe.name, "seed": str(run.seed), "data": run.data.note}


def tables_of(text: str) -> list[list[str]]:
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [block.splitlines() for block in blocks]


def test_it_says_what_the_folders_say(run: Path) -> None:
    text = card([run])
    metrics = json.loads((run / "metrics.json").read_text())
    low, high = metrics["bootstrap_ci95"]["macro_f1"]
    for said in (
        "# Model card",
        "## classic, seed 3",
        "| accuracy | 50.0 % (95 % interval 37.7 % to 62.3 %) |",
        f"| macro F1 | {metrics['macro_f1']:.3f} ({low:.3f} to {high:.3f}) |",
        f"| SHA-256 | {metrics['model_sha256']} |",
        "| seed | 3 |",
        "| images | 99 |",
        "| blank images | 0 |",
        "    mien train --data data\n    mien evaluate\n",
    ):
        assert said in text, said
    for remark in (*USES, *MISUSES, *LIMITS):
        assert text.count(remark.text) == 1


def test_notes_of_version_0_1_have_todays_names(tmp_path: Path) -> None:
    notes = {"recipe": "tiny", "taught by": "base (0123)", "began with": "start (4567)"}
    text = card([write_scores(tmp_path, "m.onnx", model_sha256="0", notes=notes)])
    assert "| teachers | base (0123) |" in text
    assert "| initial weights | start (4567) |" in text


def test_all_tables_are_whole(run: Path) -> None:
    found = tables_of(card([run]))
    assert len(found) == 8
    for lines in found:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_folders_of_one_model_make_one_part(run: Path, tmp_path: Path) -> None:
    """An evaluation of the same model from another file, under the name it comes along with."""
    record = a_run()
    shipped = write_scores(tmp_path / "shipped", "base", model_sha256="0", notes=notes_of(record))
    (run / "metrics.json").unlink()
    other = write_scores(tmp_path / "other", "other.onnx", model_sha256="1", notes={"recipe": "modern"})
    text = card([shipped, other, run])
    assert re.findall("^## (.*)", text, re.MULTILINE)[:2] == ["base", "other.onnx"]
    assert text.count("### Training") == 1
    assert text.index("| learning rate | 0.001 |") < text.index("## other.onnx")


def test_what_is_not_there_is_left_out_or_said(run: Path) -> None:
    (run / "metrics.json").unlink()
    assert "Not evaluated yet." in card([run])
    assert "on corrupted faces" not in card([run])


def test_names_from_the_data_stay_text(tmp_path: Path) -> None:
    classes = ("a|b", "<script>", *SEVEN[2:])
    text = card([write_run(tmp_path / "run", a_run(classes, path="x\ny"))])
    assert "| a\\|b |" in text
    assert "| \\<script\\> |" in text
    assert "| from | x y |" in text


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to report here"):
        card([tmp_path])


def test_the_command_writes_or_prints(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run)]) == 0
    printed = capsys.readouterr().out
    assert main(["card", str(run), "--out", str(tmp_path / "CARD.md")]) == 0
    assert (tmp_path / "CARD.md").read_text() == printed.rstrip("\n") + "\n"
    assert main(["card"]) == 2
