"""The page: whole in one file, true to what lies in the folder, safe against what the data are called."""

import base64
import csv
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_figures import SEVEN, a_history, an_evaluation, faces_of

from mien import atomic
from mien.audit.findings import Audit
from mien.audit.near import Near
from mien.audit.record import audit_record
from mien.audit.suspects import Suspect
from mien.data.dataset import Split
from mien.data.facts import run_data
from mien.errors import DataError, MienError
from mien.evaluate.comparison import Answers, compare, comparison_record, write_comparison
from mien.evaluate.evaluation import evaluation_record, write_evaluation
from mien.evaluate.scores import score
from mien.models.files import MODEL_FILE, model_digest
from mien.records.evaluation import Provenance
from mien.records.figures import ALL_FIGURES, DATA_FIGURES, HEAT_FIGURES
from mien.records.looks import ExplanationRecord, ExplorationRecord
from mien.records.recipe import Augment
from mien.records.run import Layer, Outcome, RunRecord
from mien.report.content import ReportData, collect
from mien.report.page import render, write_report
from mien.report.summaries import confusions, summary, variations
from mien.train.recipes import CLASSIC

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
SCRIPT = "<script>alert(1)</script>"
OUTCOME = Outcome(
    architecture="classic",
    parameters=684_999,
    layers=(Layer("Conv2d", (32, 48, 48), 320), Layer("Linear", (7,), 903)),
    best_epoch=4,
    ended="stopped early",
    seconds=9,
)


def a_run(classes: tuple[str, ...] = SEVEN, path: str = "data", **changes: Any) -> RunRecord:
    split = Split(faces_of(70, classes, 0), faces_of(15, classes, 1), faces_of(14, classes, 2), "drawn 70/15/15")
    return replace(
        RunRecord(
            recipe=CLASSIC,
            seed=3,
            device="cpu",
            data=run_data(split, path),
            class_weights={name: 1.0 + k for k, name in enumerate(classes)},
            versions={"mien": "0.1.0", "torch": "2.13.0"},
            command=f"mien train --data {path}",
            outcome=OUTCOME,
        ),
        **changes,
    )


def write_run(folder: Path, record: RunRecord) -> Path:
    record.write(folder)
    rows = [asdict(epoch) for epoch in a_history()]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines))
    (folder / MODEL_FILE).write_bytes(b"weights")
    return folder


def write_scores(folder: Path, model: str, split: str = "test", **origin: Any) -> Path:
    evaluation = an_evaluation(SEVEN)
    origin = {"command": "mien evaluate", **origin}
    record = evaluation_record(evaluation, Provenance(model=model, data="data", split=split, **origin))
    write_evaluation(evaluation, record, folder)
    return folder


def write_figures(folder: Path, names: tuple[str, ...] = ALL_FIGURES) -> None:
    for name in names:
        atomic.write_bytes(folder / "figures" / f"{name}.png", PNG)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with all there can be."""
    folder = write_run(tmp_path / "run", a_run())
    write_scores(folder, str(folder), model_sha256=model_digest(folder))
    write_figures(folder)
    return folder


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Checks that tags are balanced; keeps ids, links and sources."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.hrefs += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_one_file_that_fetches_nothing(run: Path) -> None:
    page = page_of(run)
    reader = read(page)
    assert len(reader.sources) == len(ALL_FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)
    assert reader.hrefs and all(href.startswith("#") and href[1:] in reader.ids for href in reader.hrefs)
    assert page.count("<script") == 1
    assert not re.search(r"<script [^>]|<link|@import|url\(|https?://", page)


def test_no_script_but_the_pages_own_may_run(run: Path) -> None:
    """The policy in the head holds the digest of the one script, so that nothing the data are called can run."""
    page = page_of(run)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (allowed,) = re.findall(r"script-src 'sha256-([^']+)'", page)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == allowed
    assert "default-src 'none'" in page


def test_every_table_can_be_saved(run: Path) -> None:
    page = page_of(run)
    names = re.findall(r'<table [^>]*data-name="([^"]+)"', page)
    assert page.count("<table") == len(names) == len(set(names))
    assert {"counts", "flaws", "measures", "classes", "confusion"} <= set(names)


def test_the_page_follows_the_reader(run: Path, audited: Path, compared: Path) -> None:
    """What the data are, what is wrong with them, how well it does, where it fails, what it looks at."""
    page = write_report(run, audited, [compared]).read_text(encoding="utf-8")
    titles = re.findall("<h[23]>(.*?)</h[23]>", page)
    wanted = [
        "The data",
        "Examples",
        "Problems in the data",
        "Copies",
        "Near copies",
        "Suspect labels",
        "Training",
        "Results",
        "Comparison with other models",
        "On 40 test faces of data",
        "Errors",
        "What it looks at",
    ]
    assert [title for title in titles if title in wanted] == wanted
    assert "To add" not in page


@pytest.fixture
def audited(tmp_path: Path) -> Path:
    """An audit of two equal faces with different labels, one of which is suspect, and of a near copy."""
    faces = replace(faces_of(3, ("a", "b"), 0), labels=np.array([0, 1, 0]))
    faces.images[1] = faces.images[0]
    faces.images[2] = faces.images[0] // 2
    none = np.zeros(3, bool)
    seen = Audit(
        faces=faces,
        names=("x/1.png", "x/2.png", SCRIPT),
        parts=np.array(["train", "val", "train"]),
        groups=np.array([0, 0, 1]),
        blank=none,
        plain=none,
        border=none,
        copy=np.array([True, True, False]),
        conflict=np.array([True, True, False]),
        near=(Near(0, 2, 3, 0.99, mirrored=False),),
    )
    folder = tmp_path / "audit"
    audit_record(seen, [Suspect(1, 0, 0.1)], data="data", command="mien audit data", folder=folder).write(folder)
    return folder


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    folder, truth = tmp_path / "compared", [("a", "b")[i % 2] for i in range(40)]
    answers = [
        Answers(name, {str(i): (label, said(i)) for i, label in enumerate(truth)})
        for name, said in (("one", lambda i: "a"), (SCRIPT, lambda i: "b" if i else "a"))
    ]
    record = comparison_record(compare(answers), faces="test faces of data", command="mien compare one two")
    write_comparison(record, folder)
    write_figures(folder, ("disagreements",))
    return folder


def test_an_audit_and_comparisons_are_on_the_page(run: Path, audited: Path, compared: Path) -> None:
    page = write_report(run, audited, [compared, compared]).read_text(encoding="utf-8")
    reader = read(page)
    tiles = 1 + 2 + 1  # the conflict; both of the near copies; the suspect
    assert len(reader.sources) == len(ALL_FIGURES) + 2 + tiles
    assert "→ a?" in page
    assert page.count("do not differ significantly") == 2
    names = re.findall(r'<table [^>]*data-name="([^"]+)"', page)
    assert page.count("<table") == len(names) == len(set(names))
    assert "<code>mien audit data</code>" in page
    assert "<code>mien compare one two</code>" in page
    assert f"mien report {run} --audit {audited} --compare {compared} --compare {compared}" in page
    assert page.count("<script") == 1, "the page's own"


def test_what_else_could_be_on_the_page_is_named(run: Path) -> None:
    page = page_of(run)
    assert f"mien audit data --out AUDIT &amp;&amp; mien report {run} --audit AUDIT" in page
    assert f"mien compare {run} OTHER --data data --out C &amp;&amp; mien report {run} --compare C" in page


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("audit.json", "{", "audit.json: damaged, or not written by Mien"),
        ("audit.json", '{"data": 1}', "(lacks 'facts'); make it again with: mien audit DATA --out FOLDER"),
        ("comparison.json", "[]", "comparison.json: damaged, or not written by Mien (not a JSON object)"),
        ("comparison.json", '{"models": [{}], "pairs": []}', "missing required field `model`"),
        (
            "comparison.json",
            '{"schema": 99}',
            "comparison.json: written by a newer version of Mien (schema 99); update Mien",
        ),
        ("audit.json", None, "holds no audit.json; make one with: mien audit DATA --out FOLDER"),
        ("comparison.json", None, "holds no comparison.json; make one with: mien compare A B --out FOLDER"),
    ],
)
def test_damaged_audits_and_comparisons_are_named(
    run: Path, audited: Path, compared: Path, name: str, content: str | None, said: str
) -> None:
    path = {"audit.json": audited, "comparison.json": compared}[name] / name
    path.unlink()
    if content:
        path.write_text(content)
    with pytest.raises(MienError, match=re.escape(said)) as raised:
        write_report(run, audited, [compared])
    assert "\n" not in str(raised.value)
    assert not (run / "report.html").exists()


def test_an_audit_alone_is_no_report(audited: Path, compared: Path) -> None:
    for folder, flag in ((audited, "--audit"), (compared, "--compare")):
        with pytest.raises(DataError, match=re.escape(f"report of a model: mien report RUN {flag} {folder}")):
            write_report(folder)


@pytest.mark.skipif(not shutil.which("node"), reason="no node to run the page's script")
def test_saved_tables_hold_numbers() -> None:
    """Shares as numbers to count with, intervals as two columns; RFC 4180's quotes."""
    cells = [
        ["class", "accuracy", "95 % interval", "gap", "faces"],
        ['say "a"', "16.5 %", "4.2 % to 88 %", "\u22120.3", "1,234"],
        ["b, c", "100 %", "1 % to 2 %", "+0.3", "12 of 13"],
    ]
    script = (files("mien.report") / "page.js").read_text(encoding="utf-8")
    rows = "rows.map((row) => ({cells: row.map((textContent) => ({textContent}))}))"
    code = (
        f"const document = {{querySelectorAll: () => []}}; {script}\nconst rows = {json.dumps(cells)};"
        f"process.stdout.write(csv({{tHead: {{}}, rows: {rows}}}) + csv({{tHead: null, rows: {rows}.slice(1)}}))"
    )
    saved = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    assert list(csv.reader(saved.splitlines())) == [
        ["class", "accuracy", "accuracy low", "accuracy high", "gap", "faces"],
        ['say "a"', "0.165", "0.042", "0.88", "-0.3", "1234"],
        ["b, c", "1", "0.01", "0.02", "+0.3", "12 of 13"],
        ['say "a"', "0.165", "4.2 % to 88 %", "-0.3", "1234"],
        ["b, c", "1", "1 % to 2 %", "+0.3", "12 of 13"],
    ]


def test_flaws_of_the_data_are_counted(run: Path) -> None:
    images = faces_of(20, SEVEN, 5).images
    images[1], images[3:5] = images[0], 90
    train = replace(faces_of(20, SEVEN), images=images)
    val = replace(faces_of(15, SEVEN, 1), images=images[5:])
    data = run_data(Split(train, val, faces_of(0, SEVEN), "made up"), "data")
    page = collect(write_run(run, a_run(data=data)))
    assert page.training.flaws == {
        "distinct images": "18 of 35",
        "groups of copies": "17, with 34 images (train 19, val 15)",
        "groups in more than one part": "15",
        "groups with conflicting labels": "17",
        "val images also in training": "15 of 15 (100.0 %)",
        "blank images": "2",
    }


def test_the_epoch_that_the_recipe_keeps(run: Path) -> None:
    (run / "metrics.json").unlink()
    page = collect(write_run(run, a_run(recipe=replace(CLASSIC, keep="last"))))
    assert page.training.training["selected epoch"].startswith("9:")
    assert "At the selected epoch, 9," in page.lead


def test_the_check_of_the_maps_is_shown_in_numbers(run: Path) -> None:
    (run / "occlusion_sanity.csv").write_text("shuffled_down_to,rank_correlation\ntrained,1.0000\nhead,0.0312\n")
    assert collect(run).sanity["occlusion"].rows == (("trained", "1.0000"), ("head", "0.0312"))
    assert "0.0312" in page_of(run)


def test_it_says_what_was_measured(run: Path) -> None:
    page = page_of(run).replace("\u00a0", " ").replace("&nbsp;", " ")
    metrics = json.loads((run / "metrics.json").read_text())
    for said in (
        "30 of 60 test faces: <strong>50.0 %</strong>",
        "37.7 % to 62.3 %",
        "angry 1, disgust 2",
        "32 x 48 x 48",
        f"{metrics['macro_f1']:.3f}",
        "4: validation loss 1.000",
        "684,999",
        "classic, seed 3",
        metrics["model_sha256"],
        "mien train --data data",
        "mien evaluate",
        "2.13.0",
    ):
        assert said in page, said


@pytest.mark.parametrize(
    ("present", "absent"),
    [
        ("metrics", "mien evaluate --model"),
        ("figures", "mien explore --data data"),
        ("figures", "mien explain --model"),
    ],
)
def test_what_is_missing_names_its_command(run: Path, present: str, absent: str) -> None:
    assert absent not in page_of(run)
    if present == "metrics":
        (run / "metrics.json").unlink()
        for path in (run / "figures").iterdir():
            path.unlink()
    else:
        for name in (*DATA_FIGURES, *HEAT_FIGURES):
            (run / "figures" / f"{name}.png").unlink()
    page = page_of(run)
    assert absent in page
    read(page)


def test_not_evaluated_yet(run: Path) -> None:
    (run / "metrics.json").unlink()
    page = page_of(run)
    assert "Not evaluated yet. At the selected epoch, 4, validation accuracy was 32.0" in page


def test_what_other_commands_left_elsewhere_is_found(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the tutorial's lines: evaluated, explored and explained into folders of their own."""
    (run / "metrics.json").unlink()
    shutil.rmtree(run / "figures")
    monkeypatch.chdir(tmp_path / "run")
    runs = tmp_path / "run/runs"
    write_scores(runs / "val", "m.h5", "val", model_sha256="h5", notes={"run": str(run)})
    write_scores(tmp_path / "test", "../run", model_sha256=model_digest(run))
    write_scores(runs / "foreign", "other", model_sha256="other")
    write_scores(runs / "unknown", "other")
    (runs / "damaged").mkdir()
    (runs / "damaged/metrics.json").write_text("{")
    explored = ExplorationRecord(data="data", sha256=a_run().data.sha256, command="mien explore")
    explained = ExplanationRecord(
        model="run", model_sha256=model_digest(run), data="data", split="val", command="mien explain"
    )
    for folder, record, names in (
        ("explore", explored, DATA_FIGURES),
        ("explore-2", replace(explored, sha256={}), HEAT_FIGURES),
        ("explain", explained, HEAT_FIGURES[:1]),
    ):
        write_figures(runs / folder, names)
        record.write(runs / folder)
    page = page_of(run)
    assert "Not evaluated yet" not in page
    assert "Scored on val faces" not in page
    assert page.count("also evaluated: data (val,") == 1
    assert page.count("<img") == len(DATA_FIGURES) + 1
    assert "mien explore" in page
    read(page)


def test_names_from_the_data_are_escaped(tmp_path: Path) -> None:
    record = a_run((SCRIPT, '"><img src=x onerror=alert(1)>'), path=SCRIPT, command=SCRIPT)
    folder = write_run(tmp_path / "run", record)
    page = page_of(folder)
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1, "the page's own"
    assert read(page).sources == []


def test_a_path_that_is_not_utf8_is_no_obstacle(tmp_path: Path) -> None:
    assert "?data" in page_of(write_run(tmp_path / "run", a_run(path="\udcffdata")))


def test_drawn_faces_are_named_as_such(run: Path) -> None:
    warning = "Trained on drawn faces, not on photographs."
    assert warning not in page_of(run)
    drawn = replace(a_run().data, note="drawn faces, not photographs; data: drawn")
    write_run(run, a_run(data=drawn))
    page = page_of(run)
    assert warning in page
    assert "This page holds pictures of faces." not in page


def test_scores_on_val_come_with_a_warning(run: Path) -> None:
    write_scores(run, str(run), split="val")
    assert "Scored on val faces. These chose the epoch or the recipe" in page_of(run)


def test_faces_chose_nothing_of_a_model_from_elsewhere(tmp_path: Path) -> None:
    for notes in ({}, {"data": "other.zip: split 70/15/15, seed 0"}):
        folder = tmp_path / f"scores-{len(notes)}"
        write_scores(folder, "theirs.h5", split="val", notes=notes)
        page = page_of(folder)
        assert "chose the epoch" not in page
        assert "may have seen faces of data" in page or "has seen faces of data" in page
    write_scores(tmp_path / "ours", "base", split="val", notes={"data": "data: split 70/15/15, seed 0"})
    assert "These chose the epoch or the recipe" in page_of(tmp_path / "ours")


def test_an_evaluation_takes_the_training_from_the_models_run(run: Path, tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "evaluation", str(run / MODEL_FILE), model_sha256=model_digest(run))
    page = collect(folder)
    assert page.training.recipe["learning rate"] == "0.001"
    assert page.training.counts is not None
    assert page.training.counts.rows[-1] == ("all", "70", "15", "14", "99", "60", "100 %")
    assert set(page.figures) == {*DATA_FIGURES, "learning_curves"}


def test_an_exported_model_knows_its_run(run: Path, tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "evaluation", "emotion_model.h5", model_sha256="0", notes={"run": str(run)})
    assert collect(folder).training.recipe


def test_a_run_that_holds_another_model_now_is_not_mixed_in(run: Path, tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "evaluation", str(run), model_sha256="0")
    assert not collect(folder).training.recipe
    assert "not recorded here" in page_of(folder)
    write_scores(run, "other.h5", model_sha256="0")
    assert "other.h5, not to the model whose training is described here" in page_of(run)


def test_a_run_that_broke_off(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run", a_run(outcome=None)))
    assert "had not ended when this page was written" in page


def test_figures_alone_make_a_page(tmp_path: Path) -> None:
    write_figures(tmp_path, DATA_FIGURES)
    page = page_of(tmp_path)
    assert "The data, before any training." in page
    assert f"mien train --data DATA --out {tmp_path}" in page


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", "{", "config.json: damaged, or not written by Mien"),
        ("config.json", "[]", "(not a JSON object); make it again with: mien train --data DATA"),
        ("config.json", "{}", "config.json: damaged, or not written by Mien (lacks 'data')"),
        ("config.json", '{"schema": 2}', "missing required field `recipe`"),
        ("config.json", '{"data": {"counts": 3, "classes": []}}', "mien train"),
        ("config.json", "[" * 99_999, "damaged"),
        ("metrics.json", "{", "make it again with: mien evaluate"),
        ("metrics.json", '{"n": 3}', "metrics.json: damaged, or not written by Mien (lacks 'labels')"),
        ("metrics.json", '{"schema": 2, "n": "3"}', "metrics.json: damaged"),
        ("history.csv", "epoch,loss\n1,x", "history.csv: has no column"),
        ("figures/confusion.png", "GIF89a", "confusion.png: not a PNG picture; draw it again"),
    ],
)
def test_damaged_files_are_named(run: Path, name: str, content: str, said: str) -> None:
    (run / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(said)) as raised:
        write_report(run)
    assert "\n" not in str(raised.value)


def test_an_empty_folder_has_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to report here; train"):
        write_report(tmp_path)


def test_a_page_of_given_values() -> None:
    page = render(ReportData("by hand", lead="12 % of it", figures={"confusion": PNG}))
    assert "12\u00a0% of it" in page
    assert len(read(page).sources) == 1


def test_summary_names_the_best_the_worst_and_the_confusions() -> None:
    classes = ("fear", "happy", "sad")
    labels = np.repeat([0, 1, 2], (100, 200, 50))
    answers = np.concatenate([np.repeat([0, 2], (73, 27)), np.repeat([1, 0], (190, 10)), np.repeat([2, 1], (48, 2))])
    sentences = summary(score(np.eye(3)[answers], labels, classes))
    assert sentences[0].startswith("Best recognised: happy (F1 0.97)")
    assert sentences[1].startswith("In between: fear (F1 0.80)")
    assert sentences[2].startswith("Hardest: sad (F1 0.77)")
    assert sentences[3].startswith("27 % of fear faces (27 of 100) are predicted as sad; 5 % of happy faces")
    assert sentences[4] == "With so few faces these scores are rough estimates: sad (50)."


def test_summary_of_perfect_answers() -> None:
    scores = score(np.eye(2)[[0, 1]], np.array([0, 1]), ("no", "yes"))
    assert "No mistakes." in summary(scores)
    assert confusions(scores) == []


def test_confusions_of_few_faces_do_not_come_first() -> None:
    labels = np.repeat([0, 1], (2, 1000))
    answers = np.concatenate([[0, 1], np.repeat([1, 0], (600, 400))])
    first = confusions(score(np.eye(2)[answers], labels, ("a", "b")))[0]
    assert (first.truth, first.count) == ("b", 400)


def test_augmentation_in_words() -> None:
    assert variations(Augment()) == "rotation ±15°, zoom ±10 %, shear ±0.2, horizontal flip, brightness 70 % to 130 %"
    assert variations(Augment(0, 0, 0, 0, False, (1, 1))) == "none"
