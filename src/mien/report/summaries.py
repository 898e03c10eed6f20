"""Results in plain words: which classes a model knows, which it confuses, how sure all that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mien.records.comparison import Pair
from mien.records.evaluation import EvaluationRecord, Scores
from mien.records.intervals import Interval, wilson
from mien.records.recipe import Augment
from mien.report.tables import joined, p_value, percent, percent_interval, signed, whole_percent

_CHANCE = 0.05
_FEW = 100  # faces; the scores of a class with fewer are uncertain by ten points or more
_CONFUSIONS = 3
_NAMED = 4  # classes in the middle that are listed one by one


class Confusion(NamedTuple):
    """`count` of the `support` faces labelled `truth` were predicted as `answer`."""

    truth: str
    answer: str
    count: int
    support: int


def summary(scores: Scores) -> list[str]:
    """The best, middling and worst classes, and the most common confusions, a sentence each."""
    occurring = [name for name, one in scores.per_class.items() if one.support]
    ranked = sorted(occurring, key=lambda name: -scores.per_class[name].f1)
    ends = max(1, min(3, len(ranked) // 3))
    best, middle, worst = ranked[:ends], ranked[ends:-ends], ranked[max(ends, len(ranked) - ends) :]
    sentences = [f"Best recognised: {_listed(scores, best)}."]
    if middle:
        sentences.append(f"In between: {_middle(scores, middle)}.")
    if worst:
        sentences.append(f"Hardest: {_listed(scores, worst)}.")
    pairs = confusions(scores)[:_CONFUSIONS]
    sentences.append("; ".join(map(_confused, pairs)) + "." if pairs else "No mistakes.")
    few = [name for name in ranked if scores.per_class[name].support < _FEW]
    if len(few) > _NAMED:
        sentences.append(f"{len(few)} classes have fewer than {_FEW} faces here: their scores are rough estimates.")
    elif few:
        listed = joined([f"{name} ({scores.per_class[name].support:,})" for name in few])
        sentences.append(f"With so few faces these scores are rough estimates: {listed}.")
    return sentences


def certainty(record: EvaluationRecord) -> dict[str, str]:
    """What an evaluation says beyond the plain scores, name to words: how sure they are, and what would change them."""
    low, high = record.ece_if_calibrated_95
    sure = record.at_80_coverage
    facts = {
        "expected calibration error": f"{record.ece:.3f}; by chance alone a perfectly calibrated model would show "
        f"{record.ece_if_calibrated:.3f} ({low:.3f} to {high:.3f}) on as many faces",
        "accuracy at 80 % coverage": f"{_share(sure.accuracy, sure.accuracy_ci95)}, if only the {sure.n:,} most "
        "confident predictions count and the rest are rejected",
    }
    if without := record.without_copies:
        same = "unchanged (there are none)"
        less = f"{_short(without)}; {without.copies:,} faces excluded"
        facts["excluding faces also in training"] = less if without.copies else same
    if record.present_only:
        others = sum(line[k] for line in record.confusion for k, n in enumerate(record.per_class) if n in record.absent)
        facts["if only classes that occur here may be predicted"] = (
            f"{_short(record.present_only)}; all other figures also allow {joined(record.absent)}, of which the data "
            f"hold no face and which is predicted for {others:,}. Macro scores average over the classes that occur"
        )
    if record.tta_flip:
        facts["with flip test-time augmentation"] = _short(record.tta_flip)
    if record.corruptions:
        left = percent(record.corruptions.mean_relative_accuracy)
        facts["on corrupted faces"] = f"{left} of the clean accuracy, averaged over 15 kinds of corruption, 5 strengths"
    return facts


def trained_elsewhere(notes: Mapping[str, str], data: str) -> str:
    """A warning where a model's notes name no training data, or others than `data`, by the last name of the path."""
    trained_on = notes.get("data", "").removeprefix("drawn faces, not photographs; ").split(":")[0]
    name = Path(data).name
    if trained_on == name:
        return ""
    if not trained_on:
        return f"The model does not say what it was trained on; it may have seen faces of {name} in training."
    return f"The model was trained on {trained_on}; it is not known whether it has seen faces of {name} in training."


def verdict(pair: Pair, pairs: int = 1) -> str:
    """Whether two models can be told apart, in a sentence; of several `pairs`, with Holm's correction."""
    sign = -1 if pair.accuracy_difference < 0 else 1
    better, worse = (pair.b, pair.a)[::sign]
    low, high = sorted(sign * end for end in pair.accuracy_difference_ci95)
    gap = (
        f"{signed(sign * pair.accuracy_difference)} points ({signed(low)} to {signed(high)}), {p_value(pair.p)}"
        f"{f' (Holm, {pairs} pairs)' if pairs > 1 and pair.holm_p is not None else ''}"
    )
    if pair.p >= _CHANCE:
        return f"The accuracies of {better} and {worse} on these faces do not differ significantly: {gap}."
    return f"{better} is significantly more accurate than {worse} on these faces: {gap}."


def variations(augment: Augment) -> str:
    """What augmentation does, and how far, in one line."""
    low, high = augment.brightness
    parts = [
        f"rotation ±{augment.rotation:g}°" if augment.rotation else "",
        f"zoom ±{whole_percent(augment.zoom)}" if augment.zoom else "",
        f"shear ±{augment.shear:g}" if augment.shear else "",
        f"shift ±{whole_percent(augment.shift)}" if augment.shift else "",
        "horizontal flip" if augment.flip else "",
        f"brightness {whole_percent(low)} to {whole_percent(high)}" if (low, high) != (1, 1) else "",
    ]
    listed = ", ".join(part for part in parts if part)
    if listed and augment.probability != 1:
        listed += f"; each but the flip with a probability of {augment.probability:g}"
    return listed or "none"


def confusions(scores: Scores) -> list[Confusion]:
    """All confusions that occur, the most certain first: by the lower end of their share's 95 % interval."""
    classes = list(scores.per_class)
    pairs = [
        Confusion(truth, answer, count, scores.per_class[truth].support)
        for truth, row in zip(classes, scores.confusion, strict=True)
        for answer, count in zip(classes, row, strict=True)
        if truth != answer and count
    ]
    return sorted(pairs, key=lambda pair: -wilson(pair.count, pair.support)[0])


def _short(scores: Scores) -> str:
    return f"accuracy {_share(scores.accuracy, scores.accuracy_ci95)}, macro F1 {scores.macro_f1:.3f}"


def _share(share: float, interval: Interval) -> str:
    return f"{percent(share)} ({percent_interval(interval)})"


def _listed(scores: Scores, names: Sequence[str]) -> str:
    """`happy (F1 0.78) and surprise (0.69)`."""
    return joined([f"{name} ({'' if i else 'F1 '}{scores.per_class[name].f1:.2f})" for i, name in enumerate(names)])


def _middle(scores: Scores, names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return _listed(scores, names)
    lowest, highest = scores.per_class[names[-1]].f1, scores.per_class[names[0]].f1
    return f"{len(names)} classes (F1 {lowest:.2f} to {highest:.2f})"


def _confused(pair: Confusion) -> str:
    share = whole_percent(pair.count / pair.support)
    return f"{share} of {pair.truth} faces ({pair.count:,} of {pair.support:,}) are predicted as {pair.answer}"
