"""Every figure keeps its words inside its border and apart from each other, and shows what it is given."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from mien.colours import class_colour
from mien.data.dataset import Dataset, Split
from mien.evaluate.comparison import Answers, compare
from mien.evaluate.corruptions import KINDS
from mien.evaluate.curves import coverage_curve
from mien.evaluate.evaluation import Evaluation, evaluation_record
from mien.evaluate.reliability import reliability_bins
from mien.evaluate.scores import score
from mien.explain.sanity import Stage
from mien.explain.study import GroupMap, SanityCheck, Study
from mien.records.evaluation import CorruptionScores, EvaluationRecord, Provenance
from mien.records.recipe import Augment, Keep
from mien.records.run import Epoch, selected_epoch
from mien.report import figures
from mien.report.figures.style import RIGHT, WRONG
from mien.train.augment import augmented_examples

TWO = ("no", "yes")
SEVEN = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
MANY = tuple(f"a rather long name of class {k}" if k % 2 else f"${k}$" for k in range(13))


def faces_of(count: int, classes: tuple[str, ...], seed: int = 0) -> Dataset:
    """Noise, every class as often as any other."""
    labels = np.arange(count) % len(classes)
    images = np.random.default_rng(seed).integers(0, 256, (count, 48, 48), np.uint8)
    return Dataset(images, labels, classes, tuple(f"{classes[label]}/{i}.png" for i, label in enumerate(labels)))


def an_evaluation(classes: tuple[str, ...], count: int = 60, wrong: int = 30) -> Evaluation:
    """Answers of which the first `wrong` are wrong, each with its own confidence."""
    faces = faces_of(count, classes)
    answers = np.where(np.arange(count) < wrong, (faces.labels + 1) % len(classes), faces.labels)
    confidence = np.linspace(0.6, 0.95, count)
    probabilities = np.repeat((1 - confidence)[:, None] / (len(classes) - 1), len(classes), 1)
    probabilities[np.arange(count), answers] = confidence
    scores = score(probabilities, faces.labels, classes)
    return Evaluation(faces, probabilities.astype(np.float32), scores)


def a_record(evaluation: Evaluation) -> EvaluationRecord:
    return evaluation_record(evaluation, Provenance(model="model", data="data", split="test"))


def a_split(classes: tuple[str, ...]) -> Split:
    return Split(faces_of(90, classes, 0), faces_of(31, classes, 1), faces_of(30, classes, 2), "made up")


def a_history(epochs: int = 9) -> list[Epoch]:
    numbers = range(1, epochs + 1)
    return [Epoch(i, 2 / i, 0.1 * i, 1 + (i - 4) ** 2 / 9, 0.08 * i, 1e-3 / i, 1.0, 900.0) for i in numbers]


def heatmaps(evaluation: Evaluation) -> Figure:
    chosen = np.arange(26, 34)
    titles = tuple(evaluation.faces.classes[evaluation.predicted[i]] for i in chosen)
    maps = np.linspace(0, 1, 8 * 48 * 48, dtype=np.float32).reshape(8, 48, 48)
    return figures.heatmaps(
        Study("gradcam", evaluation.faces.images[chosen], maps, titles, evaluation.right[chosen], ())
    )


def group_heatmaps(classes: tuple[str, ...]) -> Figure:
    means = [np.full((48, 48), 0.3)] * len(classes)
    return figures.group_heatmaps(
        [GroupMap(label, classes[0], 1000, mean, mean) for label, mean in zip(classes, means, strict=True)]
    )


def sanity(classes: tuple[str, ...]) -> Figure:
    """As many layers as there are classes."""
    maps, likeness = np.full((5, 48, 48), 0.5, np.float32), np.linspace(-0.5, 0.5, 5)
    layers = ["trained", "head", "dense", *(f"conv {k}" for k in range(len(classes), 0, -1))]
    stages = tuple(Stage(layer, maps, likeness) for layer in layers)
    return figures.sanity(SanityCheck("gradcam", faces_of(5, classes).images, stages))


def corruptions() -> Figure:
    accuracies = np.linspace(0.7, 0.1, 75).reshape(15, 5).tolist()
    return figures.corruptions(CorruptionScores(0.57, dict(zip(KINDS, map(tuple, accuracies), strict=True))), 0.7)


def augmentations(classes: tuple[str, ...], seed: int = 0) -> Figure:
    return figures.augmentations(augmented_examples(faces_of(40, classes), Augment(), seed), Augment())


def reliability(evaluation: Evaluation) -> Figure:
    bins = reliability_bins(evaluation.probabilities, evaluation.faces.labels)
    return figures.reliability(bins, a_record(evaluation))


def coverage(evaluation: Evaluation) -> Figure:
    curve = coverage_curve(evaluation.probabilities, evaluation.faces.labels)
    return figures.coverage(curve, a_record(evaluation))


def disagreements(classes: tuple[str, ...], wrong: tuple[int, ...] = (30, 10, 50)) -> Figure:
    """Models of which each gives the first few faces another wrong answer."""
    faces = faces_of(60, classes)
    given = []
    for model, count in enumerate(wrong):
        said = np.where(np.arange(60) < count, (faces.labels + 1 + model) % len(classes), faces.labels)
        said[model * 7] = faces.labels[model * 7]
        names = [(classes[label], classes[answer]) for label, answer in zip(faces.labels, said, strict=True)]
        given.append(Answers(f"runs/modern-s{model}/model.safetensors", dict(zip(faces.paths, names, strict=True))))
    return figures.disagreements(compare(given), faces.images, 0)


DRAW: dict[str, Callable[[tuple[str, ...]], Figure]] = {
    "class_bars": lambda classes: figures.class_bars(a_split(classes)),
    "class_pies": lambda classes: figures.class_pies(a_split(classes)),
    "augmentations": lambda classes: augmentations(classes),
    "faces_per_class": lambda classes: figures.faces_per_class(faces_of(40, classes), 0),
    "mean_faces": lambda classes: figures.mean_faces(faces_of(40, classes)),
    "learning_curves": lambda classes: figures.learning_curves(a_history(len(classes)), a_history()[0]),
    "confusion": lambda classes: figures.confusion(an_evaluation(classes).scores),
    "class_scores": lambda classes: figures.class_scores(an_evaluation(classes).scores),
    "ten_predictions": lambda classes: figures.ten_predictions(an_evaluation(classes), 0),
    "confident_mistakes": lambda classes: figures.confident_mistakes(an_evaluation(classes)),
    "class_curves": lambda classes: figures.class_curves(an_evaluation(classes).curves),
    "reliability": lambda classes: reliability(an_evaluation(classes)),
    "coverage": lambda classes: coverage(an_evaluation(classes)),
    "corruptions": lambda classes: corruptions(),
    "disagreements": lambda classes: disagreements(classes),
    "heatmaps": lambda classes: heatmaps(an_evaluation(classes)),
    "group_heatmaps": group_heatmaps,
    "sanity": sanity,
}


def texts(figure: Figure) -> list[Text]:
    """The texts that are printed, laid out as `save` does."""
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (axes.axison and low <= tick.get_loc() <= high):
                    hidden |= {tick.label1, tick.label2}
    found: list[Text] = figure.findobj(Text)
    return [text for text in found if text.get_text().strip() and text.get_visible() and text not in hidden]


@pytest.mark.parametrize("classes", [SEVEN, MANY], ids=["seven", "many"])
@pytest.mark.parametrize("name", DRAW)
def test_words_stay_inside_and_apart(name: str, classes: tuple[str, ...]) -> None:
    figure = DRAW[name](classes)
    printed = texts(figure)
    assert printed
    upright = [text for text in printed if not text.get_rotation() % 90]
    boxes = {text: Text.get_window_extent(text) for text in printed}
    width, height = figure.bbox.size
    for text, box in boxes.items():
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text.get_text()!r} is cut off: {box} in {width} x {height}"
    for one, other in combinations(upright, 2):
        both = boxes[one].padded(-1).overlaps(boxes[other].padded(-1))
        assert not both, f"{one.get_text()!r} lies over {other.get_text()!r}"


def test_bars_carry_their_counts() -> None:
    split = a_split(SEVEN)
    for axes, faces in zip(figures.class_bars(split).axes, split.parts().values(), strict=True):
        assert [text.get_text() for text in axes.texts] == [str(count) for count in faces.counts()]
        assert [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)] == faces.counts().tolist()


def test_a_part_without_faces_has_no_panel() -> None:
    split = Split(faces_of(20, SEVEN), faces_of(0, SEVEN), faces_of(20, SEVEN), "made up")
    assert len(figures.class_bars(split).axes) == len(figures.class_pies(split).axes) == 2


def test_pies_show_shares_and_merge_what_is_small() -> None:
    pie = figures.class_pies(a_split(TWO)).axes[0]
    assert [text.get_text() for text in pie.texts if text.get_text()] == ["yes\n50.0 %", "no\n50.0 %"]
    merged = [text.get_text() for text in figures.class_pies(a_split(MANY)).axes[0].texts]
    assert any(text.startswith("6 others") for text in merged)


@pytest.mark.parametrize("draw", [figures.mean_faces, lambda faces: figures.faces_per_class(faces, 0)])
def test_no_faces_is_said_in_words(draw: Callable[[Dataset], Figure]) -> None:
    assert "no faces" in texts(draw(faces_of(0, SEVEN)))[0].get_text()


@pytest.mark.parametrize(
    ("keep", "epoch", "loss", "accuracy"), [("lowest", 4, "1.000", "32.0"), ("last", 9, "3.778", "72.0")]
)
def test_the_selected_epoch_is_marked(keep: Keep, epoch: int, loss: str, accuracy: str) -> None:
    losses, accuracies, _ = figures.learning_curves(a_history(), selected_epoch(a_history(), keep)).axes
    assert f"selected epoch {epoch}: {loss}" in losses.get_title("left")
    assert f"{accuracy} %" in accuracies.get_title("left")


def test_a_rate_that_ends_at_zero_can_be_drawn() -> None:
    history = [Epoch(i, 1.0, 0.5, 1.0, 0.5, 0.1 * (3 - i), 1.0, 900.0) for i in (1, 2, 3)]
    assert texts(figures.learning_curves(history, history[-1]))


def test_confusion_counts_and_contrast() -> None:
    scores = an_evaluation(TWO, wrong=6).scores
    cells = {text.get_text(): text.get_color() for text in figures.confusion(scores).axes[0].texts}
    assert cells == {"90 %\n27": "white", "10 %\n3": "#222222"}


def frames(figure: Figure) -> list[str]:
    """The frame colour of each face that is shown."""
    return [to_hex(axes.spines["top"].get_edgecolor()).upper() for axes in figure.axes if axes.images]


def test_ten_predictions_are_five_green_and_five_red() -> None:
    figure = figures.ten_predictions(an_evaluation(SEVEN), 0)
    assert frames(figure) == [RIGHT] * 5 + [WRONG] * 5
    titles = [axes.get_title() for axes in figure.axes]
    assert [title[0] for title in titles] == ["✓"] * 5 + ["✗"] * 5
    for title in titles:
        answer, label = title[2:].split(",")[0], title.split("label: ")[1]
        assert (answer == label) == (title[0] == "✓")


@pytest.mark.parametrize(("wrong", "expected"), [(2, 5 * [RIGHT] + 2 * [WRONG]), (0, 5 * [RIGHT]), (60, 5 * [WRONG])])
def test_fewer_predictions_where_there_are_fewer(wrong: int, expected: list[str]) -> None:
    assert frames(figures.ten_predictions(an_evaluation(SEVEN, wrong=wrong), 0)) == expected


def test_mistakes_are_the_surest_ones_in_order() -> None:
    titles = [axes.get_title() for axes in figures.confident_mistakes(an_evaluation(SEVEN)).axes]
    shares = [int(title.split(", ")[1].removesuffix(" %")) for title in titles]
    assert len(titles) == 24
    assert shares == sorted(shares, reverse=True)
    flawless = figures.confident_mistakes(an_evaluation(SEVEN, wrong=0))
    assert texts(flawless)[0].get_text() == "No mistakes among 60 faces."


def test_heatmaps_are_framed_by_right_and_wrong() -> None:
    assert frames(heatmaps(an_evaluation(SEVEN))) == [WRONG] * 8 + [RIGHT] * 8


def test_no_groups_are_said_in_words() -> None:
    assert "no faces" in texts(figures.group_heatmaps([]))[0].get_text()


def test_models_that_agree_have_no_disagreements() -> None:
    assert "No face is right for one model only" in texts(disagreements(TWO, (0, 0)))[0].get_text()


def test_coverage_names_what_is_right_at_80_per_cent() -> None:
    """The 30 wrong answers of 60 are the least sure: of the surest 48, 18 are wrong."""
    (axes,) = coverage(an_evaluation(SEVEN)).axes
    assert [text.get_text() for text in axes.texts] == ["62.5 %", "50.0 %"]


def test_corruptions_are_in_per_cent_and_shaded_by_what_is_left() -> None:
    (axes,) = corruptions().axes
    assert len(axes.texts) == 75
    assert (axes.texts[0].get_text(), axes.texts[0].get_color()) == ("70.0", "white")
    assert (axes.texts[-1].get_text(), axes.texts[-1].get_color()) == ("10.0", "#222222")


def test_same_seed_same_picture() -> None:
    pictures = [augmentations(SEVEN, seed).axes[0].images[0] for seed in (3, 3, 4)]
    one, same, other = (np.asarray(picture.get_array()) for picture in pictures)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_classes_have_colours_of_their_own() -> None:
    assert len({class_colour(k) for k in range(32)}) == 32


@pytest.mark.parametrize("name", ["class_scores", "coverage", "group_heatmaps", "sanity"])
def test_a_saved_picture_says_what_it_is_of(name: str, tmp_path: Path) -> None:
    figure = DRAW[name](SEVEN)
    head = "runs/MODERN-with-a-long-name-s0/model.safetensors on /home/SOMEBODY/data/fer2013 (test, n = 3,589)"
    figures.save(figure, tmp_path / "confusion.png", head)
    (printed,) = (text for text in texts(figure) if text.get_text().replace("\n", " ") == head)
    box = Text.get_window_extent(printed)
    assert box.x1 < figure.bbox.width and box.y1 < figure.bbox.height
    others = [Text.get_window_extent(text) for text in texts(figure) if text is not printed]
    assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in others)


def test_save_writes_a_png_and_nothing_else(tmp_path: Path) -> None:
    figures.save(figures.mean_faces(faces_of(8, TWO)), tmp_path / "figures" / "mean_faces.png")
    with Image.open(tmp_path / "figures" / "mean_faces.png") as image:
        assert image.format == "PNG"
        assert round(image.info["dpi"][0]) == 150
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mean_faces.png"]
