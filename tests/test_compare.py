"""Models side by side: McNemar's test and paired intervals against hand-made values, and what cannot be compared."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from mien.cli.app import main
from mien.errors import DataError
from mien.evaluate.comparison import (
    Answers,
    Comparison,
    compare,
    comparison_record,
    holm,
    mcnemar,
    read_answers,
    write_comparison,
)
from mien.models.files import write_model
from mien.models.model import Model
from mien.models.networks import build
from mien.records.comparison import ComparisonRecord
from mien.report.comparison import comparison_tables
from mien.report.tables import p_value
from mien.report.terminal import comparison_text


def record_of(comparison: Comparison) -> ComparisonRecord:
    return comparison_record(comparison, faces="faces of x", command="mien compare")


def made_up(name: str, labels: str, said: str) -> Answers:
    """Letters for faces: `labels` and `said` are as long as there are faces."""
    pairs = zip(labels, said, strict=True)
    return Answers(name, {f"{label}/{i}.png": (label, answer) for i, (label, answer) in enumerate(pairs)})


def write_predictions(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["path,label,predicted", *lines]) + "\n", encoding="utf-8")
    return path


def test_mcnemar_by_hand() -> None:
    """4 against 12: twice the chance of at most 4 heads in 16 throws, (1 + 16 + 120 + 560 + 1820) / 2^15."""
    assert mcnemar(4, 12) == pytest.approx(2 * 2517 / 2**16)
    assert mcnemar(12, 4) == mcnemar(4, 12)
    assert mcnemar(3, 3) == 1
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(20, 40) == pytest.approx(2 * binom.cdf(20, 60, 0.5))


def test_a_pair_by_hand() -> None:
    labels = "aaaabbbbcc"
    one = made_up("one", labels, "aaabbbbbab")  # right on 7
    two = made_up("two", labels, "aaaabbaacc")  # right on 8
    done = compare([one, two])
    (pair,) = done.pairs
    assert [score.accuracy for score in done.models] == [0.7, 0.8]
    assert pair.accuracy_difference == pytest.approx(0.1)
    assert (pair.only_a_right, pair.only_b_right) == (2, 3)
    assert pair.mcnemar_p == 1
    low, high = pair.accuracy_difference_ci95
    assert low < 0.1 < high
    f1_one = (2 * 3 / (4 + 4) + 2 * 4 / (4 + 6) + 0) / 3
    f1_two = (2 * 4 / (4 + 6) + 2 * 2 / (4 + 2) + 1) / 3
    assert [score.macro_f1 for score in done.models] == pytest.approx([f1_one, f1_two])
    assert pair.macro_f1_difference == pytest.approx(f1_two - f1_one)


def test_a_model_does_not_differ_from_itself() -> None:
    one = made_up("one", "aabb" * 5, "abab" * 5)
    (pair,) = compare([one, one]).pairs
    assert pair.accuracy_difference_ci95 == pair.macro_f1_difference_ci95 == (0, 0)
    assert pair.mcnemar_p == 1


def test_pairing_narrows_the_interval() -> None:
    """Two models that err on the same faces are told apart where two independent samples would not be."""
    rng = np.random.default_rng(0)
    labels = "".join(rng.choice(list("ab"), 1000))
    wrong = rng.random(1000)
    flip = {"a": "b", "b": "a"}
    said = ["".join(flip[x] if w < share else x for x, w in zip(labels, wrong, strict=True)) for share in (0.30, 0.27)]
    done = compare([made_up("one", labels, said[0]), made_up("two", labels, said[1])])
    (pair,) = done.pairs
    low, high = pair.accuracy_difference_ci95
    apart = [score.accuracy_ci95 for score in done.models]
    assert 0 < low < high < 0.05
    assert apart[0][1] > apart[1][0], "their own intervals overlap"
    assert pair.mcnemar_p < 1e-6


def test_the_interval_of_a_difference_covers_it_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(200):
        kinds = rng.choice(4, 300, p=[0.5, 0.15, 0.10, 0.25])  # both right, first only, second only, neither
        one = "".join("a" if kind in (0, 1) else "b" for kind in kinds)
        two = "".join("a" if kind in (0, 2) else "b" for kind in kinds)
        labels = "a" * 300
        low, high = (
            compare([made_up("one", labels, one), made_up("two", labels, two)]).pairs[0].accuracy_difference_ci95
        )
        covered += low <= -0.05 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_faces_are_joined_by_path_whatever_their_order() -> None:
    one, two = made_up("one", "aabb", "abab"), made_up("two", "aabb", "aaab")
    turned = Answers("two", dict(reversed(two.by_path.items())))
    assert compare([one, two]).pairs == compare([one, turned]).pairs


def test_all_pairs_and_their_files(tmp_path: Path) -> None:
    labels = "aabbcc" * 4
    done = compare(
        [made_up(name, labels, said * 4) for name, said in (("x", "aabbca"), ("y", "abbbcc"), ("z", "ccbbaa"))]
    )
    assert [(pair.a, pair.b) for pair in done.pairs] == [("x", "y"), ("x", "z"), ("y", "z")]
    write_comparison(record_of(done), tmp_path)
    with open(tmp_path / "pairs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["accuracy_b_minus_a"]) == pytest.approx(done.pairs[1].accuracy_difference, abs=1e-5)
    assert float(rows[1]["accuracy_b_minus_a_ci95_low"]) <= float(rows[1]["accuracy_b_minus_a_ci95_high"])
    with open(tmp_path / "models.csv", newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["x", "y", "z"]
    assert ComparisonRecord.read(tmp_path) == record_of(done)
    tables = comparison_tables(record_of(done))
    assert tables.faces == "24 faces of x"
    assert [row[0] for row in tables.pairs.rows] == ["y \u2212 x", "z \u2212 x", "z \u2212 y"]


def test_the_verdict_in_words() -> None:
    labels = "ab" * 50
    close = compare([made_up("x", labels, "ab" * 49 + "ba"), made_up("y", labels, "ab" * 50)])
    near = compare([made_up("x", labels, "ab" * 50), made_up("y", labels, "aa" * 50)])
    far = compare([made_up("x", labels, "aa" * 50), made_up("y", labels, "ab" * 50)])
    texts = [comparison_text(record_of(one)) for one in (close, near, far)]
    assert "The accuracies of y and x on these faces do not differ significantly: +2.0 points" in texts[0]
    assert "x is significantly more accurate than y on these faces: +50.0 points" in texts[1]
    assert "y is significantly more accurate than x on these faces: +50.0 points" in texts[2]


def test_a_p_value_is_never_zero() -> None:
    assert p_value(0.0) == "p < 1e-300"
    assert p_value(mcnemar(0, 5000)) == "p < 1e-300"
    assert p_value(0.454) == "p = 0.45"


def test_our_own_predictions_are_read(tmp_path: Path) -> None:
    text = "path,label,predicted,confidence,a,b\na/1.png,a,b,0.7,0.3,0.7\nb/2.png,b,b,0.9,0.1,0.9\n"
    (tmp_path / "p.csv").write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert read_answers(tmp_path / "p.csv").by_path == {"a/1.png": ("a", "b"), "b/2.png": ("b", "b")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\na/1,a\n", "p.csv: has no column 'predicted'; give a table"),
        ("", "p.csv: has no column 'path'"),
        ("path,label,predicted\n", "p.csv: lists no predictions"),
        ("path,label,predicted\na/1,a\n", "p.csv, row 1: 2 cells, expected 3"),
        ("path,label,predicted\na/1,a,\n", "p.csv, row 1: path, label or predicted is empty"),
        ("path,label,predicted\na/1,a,b\na/1,a,b\n", "p.csv, row 2: a/1 occurs twice"),
        ("path,label,predicted\n\udcff", "p.csv: not a CSV table"),
    ],
)
def test_unusable_predictions_are_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as raised:
        read_answers(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_faces_or_labels_are_refused() -> None:
    one = made_up("one", "aabb", "aabb")
    fewer, other = made_up("two", "aab", "aab"), made_up("two", "aabc", "aabc")
    with pytest.raises(DataError, match=r"two: lacks 1 of the faces of one and has 0 others \(such as 'b/3.png'\)"):
        compare([one, fewer])
    with pytest.raises(DataError, match="has 1 others"):
        compare([one, other])
    relabelled = Answers("two", dict.fromkeys(one.by_path, ("b", "b")))
    with pytest.raises(DataError, match=r"two: has other labels than one for 2 faces \(such as 'a/0.png'\)"):
        compare([one, relabelled])


@pytest.fixture
def models(drawn: Path, tmp_path: Path) -> list[Path]:
    """Two untrained networks that fit the drawn faces."""
    labels = tuple(sorted(path.name for path in drawn.iterdir()))
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "two")]
    for path in paths:
        write_model(Model(build("pooled", len(labels)), "pooled", labels), path)
    return paths


def test_the_command_takes_models_and_tables(
    models: list[Path], drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, scores = tmp_path / "compare", tmp_path / "scores"
    assert main(["evaluate", "--model", str(models[0]), "--data", str(drawn), "--out", str(scores)]) == 0
    capsys.readouterr()
    table = str(scores / "predictions.csv")
    assert main(["compare", str(models[0]), table, str(models[1]), "--data", str(drawn), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| model | accuracy | 95 % interval | macro F1 | 95 % interval |" in printed
    assert {path.name for path in out.rglob("*.*")} == {
        "comparison.json",
        "models.csv",
        "pairs.csv",
        "disagreements.png",
    }
    assert main(["compare", table, table, "--out", str(tmp_path / "tables"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pairs"][0]["accuracy_difference"] == 0
    assert facts["models"][0]["accuracy"] == json.loads((scores / "metrics.json").read_text())["accuracy"]
    assert not (tmp_path / "tables/figures").exists()


def test_bad_calls_get_one_line(
    models: list[Path], drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = write_predictions(tmp_path / "foreign.csv", ["x/1.png,happy,sad"])
    for words, said in (
        ([models[0]], "give two or more models"),
        (models, "one.safetensors: a model needs faces to predict on; add --data DATA"),
        ([foreign, foreign, "--labels", "votes"], "--labels and --votes are about --data"),
        ([models[0], "nowhere.csv", "--data", drawn], "nowhere.csv: cannot be read"),
        ([foreign, models[0], "--data", drawn], "foreign.csv: lacks"),
    ):
        assert main(["compare", *map(str, words), "--out", str(tmp_path / "out")]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mien: ")]
        assert said in line
    assert not (tmp_path / "out").exists()


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5]) == [0.5]
    assert holm([0.9, 0.8]) == [1, 1]


def test_the_verdict_on_several_pairs_is_corrected() -> None:
    """6 of 6 is significant alone, p = 0.03, and not as one of three pairs."""
    labels, right = "ab" * 20, "ab" * 20
    worse = "ba" * 3 + "ab" * 17
    two, three = ([made_up(name, labels, said) for name, said in zip("xyz", each, strict=False)] for each in (
        (right, worse), (right, worse, right)
    ))  # fmt: skip
    assert "significantly more accurate" in comparison_text(record_of(compare(two)))
    text = comparison_text(record_of(compare(three)))
    assert "significantly more accurate" not in text
    assert "(Holm, 3 pairs)" in text


def test_seeds_of_one_recipe_are_taken_together() -> None:
    labels = "aabb" * 5
    said = {"0": "aabb" * 5, "1": "aabb" * 4 + "bbaa", "2": "abab" * 5}
    notes = {"recipe": "classic", "data": "faces"}
    models = [replace(made_up(seed, labels, one), notes={**notes, "seed": seed}) for seed, one in said.items()]
    other = replace(models[0], name="other", notes={**notes, "recipe": "modern", "seed": "0"})
    (group,) = compare([*models, other, made_up("foreign", labels, said["0"])]).seeds
    assert group.models == ("0", "1", "2")
    assert group.accuracy == pytest.approx(np.mean([1, 0.8, 0.5]))
    assert group.accuracy_sd == pytest.approx(np.std([1, 0.8, 0.5], ddof=1))
    text = comparison_text(record_of(compare(models)))
    assert "| classic | 3 | 76.7 ± 25.2 % |" in text


def test_tables_for_a_paper() -> None:
    done = compare([made_up("my_net", "aabb", "abab"), made_up("b&w {50 %}", "aabb", "aaab")])
    text = comparison_text(record_of(done), latex=True)
    assert r"my\_net & 50.0\,\% &" in text
    assert r"b\&w \{50\,\%\} $-$ my\_net" in text
    tables = [line for line in text.splitlines() if not line.startswith("%")]
    rows = [line for line in tables if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows} == {4, 8}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\toprule") == 2
