"""What a report says of data and training: from the record of a run and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mien.records.data import RunData
from mien.records.evaluation import EvaluationRecord
from mien.records.recipe import Augment
from mien.records.run import Epoch, RunRecord, selected_epoch
from mien.report.audit import copy_words
from mien.report.summaries import variations
from mien.report.tables import Table, counts_table, percent

_RECIPE_NAMES = {
    "name": "recipe",
    "epochs": "epochs, at most",
    "batch_size": "batch size",
    "balance": "class weights",
    "rate": "learning rate",
    "l2": "L2 penalty",
    "smoothing": "label smoothing",
    "adjust": "logit adjustment, share of the log prior",
    "ema": "EMA of the weights, decay",
    "freeze": "blocks of convolutions that stay as they begin",
    "keep": "selected epoch",
    "augment": "augmentation",
}
_RECIPE_VALUES = {
    "weights": "balanced, n / (K n_k)",
    "sqrt": "square roots of the balanced ones",
    "plateau": "plateau: rate halved after 3 epochs without a new low, stopped after 5",
    "onecycle": "one cycle: up for a quarter of the run, then down to zero",
    "lowest": "lowest validation loss",
    "last": "last",
    "adam": "Adam",
    "sgd": "SGD, Nesterov momentum 0.9",
}


@dataclass(frozen=True)
class TrainingPart:
    """Facts and tables about data and training, name to words; empty where there is no run."""

    data: Mapping[str, str] = field(default_factory=dict)
    counts: Table | None = None
    flaws: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    epochs: Table | None = None
    layers: Table | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def training_part(run: RunRecord, history: Sequence[Epoch], evaluation: EvaluationRecord | None) -> TrainingPart:
    """What there is to say of a run; with an evaluation, how many faces of each class were scored too."""
    recipe = vars(run.recipe)
    return TrainingPart(
        data=_data(run.data),
        counts=_counts(run.data, evaluation),
        flaws={**copy_words(run.data), "blank images": f"{run.data.blank:,}"},
        recipe={_RECIPE_NAMES.get(name, name.replace("_", " ")): _plain(value) for name, value in recipe.items()},
        training=_training(run, history),
        epochs=_epochs(history),
        layers=_layers(run),
        versions=run.versions,
    )


def _data(data: RunData) -> dict[str, str]:
    sizes = data.part_sizes()
    shares = ", ".join(f"{part} {percent(size / max(data.images, 1))}" for part, size in sizes.items())
    return {"from": data.path, "split": data.origin, "parts": shares, "images": f"{data.images:,}"}


def _counts(data: RunData, evaluation: EvaluationRecord | None) -> Table:
    """Images by class and part; and the faces that were scored, where these are not simply those of a part."""
    table = counts_table(data.counts)
    if not evaluation or evaluation.classes != data.classes:
        return table
    scored = {name: one.support for name, one in evaluation.per_class.items()}
    if scored == data.counts.get(evaluation.split):
        return table
    cells = [*(f"{scored[name]:,}" for name in data.classes), f"{evaluation.n:,}"]
    head = f"{evaluation.split}, scored by {evaluation.label_source}"
    rows = tuple((*row[:-1], cell, row[-1]) for row, cell in zip(table.rows, cells, strict=True))
    return Table((*table.head[:-1], head, table.head[-1]), rows, total=True)


def _plain(value: Any) -> str:
    if isinstance(value, Augment):
        return variations(value)
    if value in (0, None, False):
        return "none"
    return _RECIPE_VALUES.get(value, value) if isinstance(value, str) else f"{value:g}"


def _training(run: RunRecord, history: Sequence[Epoch]) -> dict[str, str]:
    facts = {"seed": str(run.seed), "device": run.device}
    if run.class_weights and len(set(run.class_weights.values())) > 1:
        facts["class weights"] = ", ".join(f"{name} {weight:.3g}" for name, weight in run.class_weights.items())
    if history:
        best = selected_epoch(history, run.recipe.keep)
        ended = run.outcome.ended if run.outcome else "not ended when this page was written"
        facts["epochs"] = f"{len(history)} ({ended})"
        reached = f"validation loss {best.val_loss:.3f}, validation accuracy {percent(best.val_accuracy)}"
        facts["selected epoch"] = f"{best.epoch}: {reached}"
        facts["training time"] = _duration(sum(epoch.seconds for epoch in history))
        speed = median(epoch.images_per_second for epoch in history)
        facts["speed"] = f"{speed:,.0f} images/s, including augmentation"
    return facts


def _epochs(history: Sequence[Epoch]) -> Table | None:
    rows = tuple(
        (
            str(epoch.epoch),
            f"{epoch.loss:.4f}",
            percent(epoch.accuracy),
            f"{epoch.val_loss:.4f}",
            percent(epoch.val_accuracy),
            f"{epoch.lr:.2g}",
            f"{epoch.seconds:.1f}",
        )
        for epoch in history
    )
    head = ("epoch", "loss", "accuracy", "validation loss", "validation accuracy", "learning rate", "seconds")
    return Table(head, rows) if rows else None


def _layers(run: RunRecord) -> Table | None:
    if not run.outcome or not run.outcome.layers:
        return None
    rows = [(layer.name, " x ".join(map(str, layer.shape)), f"{layer.parameters:,}") for layer in run.outcome.layers]
    total = ("all", "", f"{run.outcome.parameters:,}")
    return Table(("layer", "output shape", "parameters"), (*rows, total), total=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
