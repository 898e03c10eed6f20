"""Results in plain words: which classes a model knows, which it takes for each other, what augmentation varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mien.evaluate.intervals import wilson
from mien.records.comparison import Pair
from mien.records.evaluation import Scores
from mien.records.recipe import Augment
from mien.report.tables import minus, percent

_CHANCE = 0.05
_FEW = 100  # faces; the figures of a class with fewer are uncertain by ten points or more
_PAIRS = 3
_NAMED = 4  # classes in the middle that are listed one by one


class Confusion(NamedTuple):
    """`count` of the `support` faces labelled `truth` were called `answer`."""

    truth: str
    answer: str
    count: int
    support: int


def summary(scores: Scores, classes: Sequence[str]) -> list[str]:
    """The best, middling and worst classes, and the commonest confusions, a sentence each."""
    ranked = sorted((name for name in classes if scores.per_class[name].support), key=lambda name: -_f1(scores, name))
    ends = max(1, min(3, len(ranked) // 3))
    best, middle, worst = ranked[:ends], ranked[ends:-ends], ranked[max(ends, len(ranked) - ends) :]
    sentences = [f"Best recognised: {_listed(scores, best)}."]
    if middle:
        sentences.append(f"In between: {_middle(scores, middle)}.")
    if worst:
        sentences.append(f"Hardest: {_listed(scores, worst)}.")
    pairs = confusions(scores, classes)[:_PAIRS]
    sentences.append(_join([_confused(pair) for pair in pairs], "; ") + "." if pairs else "No face was mistaken.")
    few = [name for name in ranked if scores.per_class[name].support < _FEW]
    if few:
        sentences.append(_uncertain(scores, few))
    return sentences


def certainty(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What `metrics.json` says beyond the plain scores, name to words: how sure they are, and how they would change."""
    low, high = metrics["ece_if_calibrated_95"]
    sure = metrics["at_80_coverage"]
    facts = {
        "expected calibration error": f"{metrics['ece']:.3f}; a perfectly calibrated model would show "
        f"{metrics['ece_if_calibrated']:.3f} ({low:.3f} to {high:.3f}) on so many faces",
        "accuracy at 80 % coverage": f"{_with_interval(sure)} of the {sure['n']:,} surest answers, "
        "the others left to a person",
    }
    if "without_copies" in metrics:
        facts["less faces also in the data's train part"] = _less(metrics["without_copies"])
    if "tta_flip" in metrics:
        facts["with each face also mirrored"] = _short(metrics["tta_flip"])
    if "corruptions" in metrics:
        left = metrics["corruptions"]["mean_relative_accuracy"]
        facts["on damaged faces"] = f"{percent(left)} of that accuracy, on the mean of 15 kinds in 5 strengths"
    return facts


def trained_elsewhere(notes: Mapping[str, str], data: str) -> str:
    """A warning where a model's notes tell of other data than `data`, by the last names of their paths; else ""."""
    taught = notes.get("data", "").removeprefix("drawn faces, not photographs; ").split(":")[0]
    if not taught or taught == Path(data).name:
        return ""
    return f"The model was trained on {taught}; whether it has seen faces of {Path(data).name} there is not known."


def verdict(pair: Pair) -> str:
    """Whether two models can be told apart, in a sentence."""
    sign = -1 if pair.accuracy_difference < 0 else 1
    better, worse = (pair.b, pair.a)[::sign]
    low, high = sorted(sign * end for end in pair.accuracy_difference_ci95)
    gap = (
        f"{signed(sign * pair.accuracy_difference)} points ({signed(low)} to {signed(high)}), p = {pair.mcnemar_p:.2g}"
    )
    if pair.mcnemar_p >= _CHANCE:
        return f"{better} and {worse} cannot be told apart by their accuracy on these faces: {gap}."
    return f"{better} is right more often than {worse}, and hardly by chance: {gap}."


def signed(share: float) -> str:
    """A difference of shares in points, with its sign: `+0.8`."""
    return minus(f"{share * 100:+.1f}")


def variations(augment: Augment) -> str:
    """What augmentation varies, and how far, in one line."""
    low, high = augment.brightness
    parts = [
        f"rotation ±{augment.rotation:g}°" if augment.rotation else "",
        f"zoom ±{augment.zoom:.0%}" if augment.zoom else "",
        f"shear ±{augment.shear:g}" if augment.shear else "",
        f"shift ±{augment.shift:.0%}" if augment.shift else "",
        "mirrored or not" if augment.flip else "",
        f"brightness {low:.0%} to {high:.0%}" if (low, high) != (1, 1) else "",
    ]
    return ", ".join(part for part in parts if part).replace("%", " %") or "nothing is varied"


def confusions(scores: Scores, classes: Sequence[str]) -> list[Confusion]:
    """All confusions that occur, the surest first: by the lower end of their share's 95 % interval."""
    pairs = [
        Confusion(truth, answer, int(scores.confusion[i, j]), scores.per_class[truth].support)
        for i, truth in enumerate(classes)
        for j, answer in enumerate(classes)
        if i != j and scores.confusion[i, j]
    ]
    return sorted(pairs, key=lambda pair: -wilson(pair.count, pair.support)[0])


def _less(metrics: Mapping[str, Any]) -> str:
    if not metrics["copies"]:
        return "the same: no face here is also there"
    return f"{_short(metrics)}; {metrics['copies']:,} faces left out"


def _short(metrics: Mapping[str, Any]) -> str:
    return f"accuracy {_with_interval(metrics)}, macro F1 {metrics['macro_f1']:.3f}"


def _with_interval(metrics: Mapping[str, Any]) -> str:
    low, high = metrics["accuracy_ci95"]
    return f"{percent(metrics['accuracy'])} ({percent(low)} to {percent(high)})"


def _f1(scores: Scores, name: str) -> float:
    return scores.per_class[name].f1


def _listed(scores: Scores, names: Sequence[str]) -> str:
    """`happy (F1 0.78) and surprise (0.69)`."""
    parts = [f"{name} ({'' if i else 'F1 '}{_f1(scores, name):.2f})" for i, name in enumerate(names)]
    return _join(parts, ", ", " and ")


def _middle(scores: Scores, names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return _listed(scores, names)
    return f"{len(names)} classes (F1 {_f1(scores, names[-1]):.2f} to {_f1(scores, names[0]):.2f})"


def _confused(pair: Confusion) -> str:
    share = f"{pair.count / pair.support:.0%}".replace("%", " %")
    return f"{share} of {pair.truth} faces ({pair.count:,} of {pair.support:,}) are called {pair.answer}"


def _uncertain(scores: Scores, names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{len(names)} classes have fewer than {_FEW} faces here: their figures are rough."
    listed = _join([f"{name} ({scores.per_class[name].support:,})" for name in names], ", ", " and ")
    return f"Few faces here, so take the figures as rough: {listed}."


def _join(parts: Sequence[str], comma: str, last: str | None = None) -> str:
    """`a, b and c`."""
    if last is None or len(parts) < 2:
        return comma.join(parts)
    return comma.join(parts[:-1]) + last + parts[-1]
