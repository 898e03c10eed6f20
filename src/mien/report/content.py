"""What a report says: plain values, gathered from what the commands left in a run folder.

`collect(folder)` takes a run folder, an evaluation folder (its training part then comes from the run folder of the
model it names), or a folder that holds figures only; an audit of the data and comparisons with other models come from
folders of their own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.dataset import PARTS
from mien.errors import DataError, UsageError
from mien.folders import read_json, readable
from mien.models.files import MODEL_FILE, model_digest
from mien.records.comparison import COMPARISON
from mien.records.evaluation import METRICS, ClassScore, Scores
from mien.records.figures import ALL_FIGURES, DATA_FIGURES, DISAGREEMENTS, FIGURES, METHODS, TRAINING_FIGURES
from mien.records.recipe import Augment
from mien.records.run import CONFIG, GIVEN_MODELS, HISTORY, Epoch, given_models, kept_epoch, read_history
from mien.report.audit_content import AUDIT_CONTENT, AuditContent, read_audit
from mien.report.comparison import ComparisonContent, read_comparison
from mien.report.summaries import certainty, summary, trained_elsewhere, variations
from mien.report.tables import Table, ends, percent, read_table

_EVALUATE, _TRAIN = "evaluate the model again", "train again"  # remedies
_DRAWN = "drawn faces"  # how `mien.train.run.data_note` begins where the training faces were drawn
_PRIORS = {"natural": "as frequent as in training", "uniform": "each as likely as any other"}
_RECIPE_NAMES = {
    "name": "recipe",
    "epochs": "epochs, at most",
    "batch_size": "faces an update",
    "balance": "class weights",
    "rate": "learning rate",
    "l2": "L2 penalty",
    "smoothing": "label smoothing",
    "adjust": "share of ln(frequency of the class) in the loss alone",
    "ema": "EMA of the weights, decay",
    "freeze": "blocks of convolutions that stay as they begin",
    "keep": "epoch that is kept",
    "augment": "augmentation",
}
_RECIPE_VALUES = {
    "weights": "balanced, n / (K n_k)",
    "sqrt": "square roots of the balanced ones",
    "plateau": "halves the rate after 3 epochs without a new low, stops after 5",
    "onecycle": "one cycle: up for a quarter of the run, then down to zero",
    "lowest": "the one with the lowest validation loss",
    "last": "the last",
    "adam": "Adam",
    "sgd": "SGD, Nesterov momentum 0.9",
}


@dataclass(frozen=True)
class Headline:
    """The result: `right` of `n` faces of the part `split`; accuracy and its 95 % interval as shares.

    ruler: the labels that count as true. commonest, commonest_share: the class that is right most often when it is
    always answered, and how often.
    """

    right: int
    n: int
    accuracy: float
    low: float
    high: float
    split: str
    data: str
    model: str
    ruler: str
    commonest: str
    commonest_share: float


@dataclass(frozen=True)
class ReportData:
    """All that a page shows. What is empty is left out; `commands` names, by section, what would add it.

    lead: the page's first sentence where there is no headline. drawn: trained on drawn faces. notices: warnings shown
    at the top. sanity: by method of the heat maps, what the check by shuffled layers gave. The other mappings are
    facts, name to value; `figures` holds PNGs, or where they are, by their known names (the picture of the i-th of the
    comparisons has its number behind its name). `made_by` lists the commands that made the folders. identity: the same
    for all folders of one model, whatever file it is in.
    """

    title: str
    identity: tuple[str, ...] = ()
    lead: str = ""
    headline: Headline | None = None
    drawn: bool = False
    notices: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    counts: Table | None = None
    flaws: Mapping[str, str] = field(default_factory=dict)
    audit: AuditContent | None = None
    comparisons: tuple[ComparisonContent, ...] = ()
    recipe: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    epochs: Table | None = None
    measures: Mapping[str, str] = field(default_factory=dict)
    per_class: Table | None = None
    confusion: Table | None = None
    corruptions: Table | None = None
    sanity: Mapping[str, Table] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    model: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    made_by: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Path | bytes] = field(default_factory=dict)


def collect(folder: Path, audit: Path | None = None, comparisons: Sequence[Path] = ()) -> ReportData:
    """The content of the page for `folder`, with what `mien audit` and `mien compare` left in the other folders.

    Raises DataError where there is nothing to report, or a file is damaged, UsageError for a folder of another kind.
    """
    metrics = read_json(folder / METRICS, _EVALUATE) if (folder / METRICS).is_file() else {}
    with readable(folder / METRICS, _EVALUATE):
        scores = _scores(metrics) if metrics else None
        run = folder if (folder / CONFIG).is_file() else _run_of(metrics)
    config = read_json(run / CONFIG, _TRAIN) if run else {}
    figures = _figures(folder, ALL_FIGURES)
    if run and run != folder:
        figures = _figures(run, DATA_FIGURES + TRAINING_FIGURES) | figures
    if not (metrics or config or figures):
        raise DataError(f"{folder}: nothing to report here; {_first(folder)}")
    audited = read_audit(audit) if audit else None
    compared = tuple(read_comparison(other) for other in comparisons)
    for i, other in enumerate(comparisons):
        figures |= {f"{name}{i}": path for name, path in _figures(other, (DISAGREEMENTS,)).items()}
    history = read_history(run) if run and (run / HISTORY).is_file() else []
    with readable((run or folder) / CONFIG, _TRAIN):
        training_part = _training_part(config, history)
    with readable(folder / METRICS, _EVALUATE):
        results = _results(metrics, scores) if scores else {}
    with readable(folder, "train and evaluate again"):
        return ReportData(
            title=_title(config, metrics, folder),
            identity=_identity(config, metrics, folder),
            lead=_lead(config, history),
            drawn=_trained_on_drawn(config, metrics),
            notices=tuple(_notices(config, metrics, folder)),
            model=_model(config, metrics, run),
            audit=audited,
            comparisons=compared,
            made_by=tuple(_made_by(config, metrics, audited, compared)),
            commands=_commands(config, metrics, folder, audit, comparisons),
            figures=figures,
            sanity=_sanity(folder),
            **training_part,
            **results,
        )


def _figures(folder: Path, names: Sequence[str]) -> dict[str, Path | bytes]:
    paths = {name: folder / FIGURES / f"{name}.png" for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def _run_of(metrics: Mapping[str, Any]) -> Path | None:
    """The run folder that the evaluated model comes from, if it is still there and still holds that model."""
    model = Path(metrics.get("model", ""))
    places = [model, model.parent, Path(metrics.get("notes", {}).get("run", ""))]
    runs = (place for place in places if place != Path() and (place / CONFIG).is_file())
    return next((run for run in runs if _same_model(run, metrics)), None)


def _same_model(run: Path, metrics: Mapping[str, Any]) -> bool:
    """Whether the evaluated model is the run's: by its digest, or, in another format, by where it says it is from."""
    if Path(metrics.get("notes", {}).get("run", "")).resolve() == run.resolve():
        return True
    if "model_sha256" not in metrics:
        return True
    try:
        return metrics["model_sha256"] == model_digest(run)
    except UsageError:  # no model file there
        return False


def _scores(metrics: Mapping[str, Any]) -> Scores:
    low, high = metrics["accuracy_ci95"]
    numbers = ("n", "accuracy", "macro_precision", "macro_recall", "macro_f1", "nll", "ece")
    return Scores(
        **{name: metrics[name] for name in numbers},
        accuracy_ci95=(low, high),
        per_class={name: ClassScore(**values) for name, values in metrics["per_class"].items()},
        confusion=np.array(metrics["confusion"], np.int64),
    )


def _training_part(config: Mapping[str, Any], history: Sequence[Epoch]) -> dict[str, Any]:
    """The fields of ReportData that stem from training."""
    if not config:
        return {}
    data = config["data"]
    return {
        "data": _data_facts(data),
        "counts": _counts(data["counts"], data["classes"]),
        "flaws": _flaws(data),
        "recipe": _recipe(config["recipe"]),
        "training": _training(config, history),
        "epochs": _epochs(history),
        "versions": {name: str(version) for name, version in config.get("versions", {}).items()},
    }


def _data_facts(data: Mapping[str, Any]) -> dict[str, str]:
    return {"from": data["path"], "division": data["origin"], "images": f"{_total(data):,}"}


def _total(data: Mapping[str, Any]) -> int:
    return sum(sum(part.values()) for part in data["counts"].values())


def _flaws(data: Mapping[str, Any]) -> dict[str, str]:
    copies = data["copies"]
    facts = {"images that occur more than once within a part": _counted(copies, _total(data))}
    for part, number in data.get("also_in_train", {}).items():  # not in what older versions wrote, as "conflicts"
        facts[f"{part} images that are also in training"] = _counted(number, sum(data["counts"][part].values()))
    if "conflicts" in data:
        facts["groups of equal images with different labels"] = f"{data['conflicts']:,}"
    return facts | {"blank images": f"{data['blank']:,}"}


def _counted(number: int, total: int) -> str:
    return f"{number:,} of {total:,} ({percent(number / max(total, 1))})"


def _counts(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Table:
    parts = [part for part in PARTS if part in counts]
    total = sum(counts[part][name] for part in parts for name in classes)
    rows = []
    for name in classes:
        numbers = [counts[part][name] for part in parts]
        share = percent(sum(numbers) / max(total, 1))
        rows.append((name, *(f"{number:,}" for number in [*numbers, sum(numbers)]), share))
    sums = [sum(counts[part].values()) for part in parts]
    rows.append(("all", *(f"{number:,}" for number in [*sums, total]), "100 %"))
    return Table(("class", *parts, "all", "share"), tuple(rows), total=True)


def _recipe(recipe: Mapping[str, Any]) -> dict[str, str]:
    return {
        _RECIPE_NAMES.get(key, key.replace("_", " ")): _augmentation(value) if key == "augment" else _plain(value)
        for key, value in recipe.items()
    }


def _augmentation(fields: Mapping[str, Any]) -> str:
    try:
        return variations(Augment(**fields))
    except TypeError:  # written by another version
        return ", ".join(f"{key} {value}" for key, value in fields.items())


def _plain(value: Any) -> str:
    if value in (0, None, False):
        return "none"
    return _RECIPE_VALUES.get(value, value) if isinstance(value, str) else f"{value:g}"


def _training(config: Mapping[str, Any], history: Sequence[Epoch]) -> dict[str, str]:
    facts = {"seed": str(config["seed"]), "device": str(config["device"])}
    if history:
        kept = _kept(config, history)
        facts["epochs"] = f"{len(history)} ({config.get('ended', 'not ended when this page was written')})"
        reached = f"validation loss {kept.val_loss:.3f}, validation accuracy {percent(kept.val_accuracy)}"
        facts["kept"] = f"epoch {kept.epoch}: {reached}"
        facts["time in training"] = _duration(sum(epoch.seconds for epoch in history))
        speed = float(np.median([epoch.images_per_second for epoch in history]))
        facts["speed"] = f"{speed:,.0f} images/s, augmentation included"
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
    head = ("epoch", "loss", "accuracy", "validation loss", "validation accuracy", "rate", "seconds")
    return Table(head, rows) if rows else None


def _results(metrics: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """The fields of ReportData that stem from an evaluation."""
    classes = metrics["labels"]
    low, high = scores.accuracy_ci95
    supports = scores.confusion.sum(1)
    commonest = int(supports.argmax())
    headline = Headline(
        right=int(np.trace(scores.confusion)),
        n=scores.n,
        accuracy=scores.accuracy,
        low=low,
        high=high,
        split=metrics["split"],
        data=metrics["data"],
        model=metrics["model"],
        ruler=metrics["ruler"],
        commonest=classes[commonest],
        commonest_share=float(supports[commonest] / scores.n),
    )
    return {
        "headline": headline,
        "measures": _measures(scores, metrics),
        "per_class": _per_class(scores, classes, metrics["bootstrap_ci95"]),
        "confusion": _confusion(scores, classes),
        "corruptions": _corruptions(metrics),
        "summary": tuple(summary(scores, classes)),
    }


def _measures(scores: Scores, metrics: Mapping[str, Any]) -> dict[str, str]:
    (low, high), sure = scores.accuracy_ci95, metrics["bootstrap_ci95"]
    return {
        "accuracy": f"{percent(scores.accuracy)} (95 % interval {percent(low)} to {percent(high)})",
        "macro precision": f"{scores.macro_precision:.3f} ({ends(sure['macro_precision'])})",
        "macro recall": f"{scores.macro_recall:.3f} ({ends(sure['macro_recall'])})",
        "macro F1": f"{scores.macro_f1:.3f} ({ends(sure['macro_f1'])})",
        "cross-entropy": f"{scores.nll:.3f}",
        **certainty(metrics),
        "faces": f"{scores.n:,}",
        "ruler": metrics["ruler"],
        "expressions taken to be": _PRIORS[metrics.get("prior", "natural")],
    }


def _per_class(scores: Scores, classes: Sequence[str], sure: Mapping[str, Any]) -> Table:
    rows = [
        (name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", ends(here["f1"]), f"{one.support:,}")
        for name, one, here in ((name, scores.per_class[name], sure["per_class"][name]) for name in classes)
    ]
    macro = (f"{value:.3f}" for value in (scores.macro_precision, scores.macro_recall, scores.macro_f1))
    head = ("class", "precision", "recall", "F1", "95 % interval of F1", "faces")
    return Table(head, (*rows, ("mean", *macro, ends(sure["macro_f1"]), f"{scores.n:,}")), total=True)


def _corruptions(metrics: Mapping[str, Any]) -> Table | None:
    if "corruptions" not in metrics:
        return None
    damaged = metrics["corruptions"]["accuracy"]
    strengths = tuple(str(i) for i in range(1, 1 + len(next(iter(damaged.values())))))
    return Table(("damage", *strengths), tuple((kind, *map(percent, line)) for kind, line in damaged.items()))


def _sanity(folder: Path) -> dict[str, Table]:
    """By method, the lines of the check of its maps."""
    paths = {method: folder / f"{method}_sanity.csv" for method in METHODS}
    return {method: read_table(path) for method, path in paths.items() if path.is_file()}


def _confusion(scores: Scores, classes: Sequence[str]) -> Table:
    rows = [
        (name, *(f"{count:,}" for count in line)) for name, line in zip(classes, scores.confusion.tolist(), strict=True)
    ]
    return Table(("true, down; predicted, across", *classes), tuple(rows))


def _title(config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path) -> str:
    if config:
        return f"{config['recipe']['name']}, seed {config['seed']}"
    return str(metrics["model"]) if metrics else folder.name


def _identity(config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """What a model's own notes tell of its training; where they tell nothing, the model's name."""
    if config:
        return (config["recipe"]["name"], str(config["seed"]), config["data"]["note"], *given_models(config).values())
    notes = metrics.get("notes", {})
    told = tuple(notes[key] for key in ("recipe", "seed", "data", *GIVEN_MODELS) if key in notes)
    return told or (str(metrics.get("model", folder)),)


def _lead(config: Mapping[str, Any], history: Sequence[Epoch]) -> str:
    if not history:
        return "The data, before any training."
    kept = _kept(config, history)
    return (
        f"Not evaluated yet. In the epoch that was kept, number {kept.epoch}, it named {percent(kept.val_accuracy)} "
        "of the validation faces right; those faces chose that epoch or the recipe, so take the figure as a little too "
        "good."
    )


def _kept(config: Mapping[str, Any], history: Sequence[Epoch]) -> Epoch:
    """The epoch whose model the recipe keeps."""
    return kept_epoch(history, config["recipe"]["keep"])


def _trained_on_drawn(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> bool:
    notes = (config.get("data", {}).get("note", ""), metrics.get("notes", {}).get("data", ""))
    return any(note.startswith(_DRAWN) for note in notes)


def _notices(config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path) -> Iterator[str]:
    if metrics and metrics["split"] != "test":
        part = metrics["split"]
        seen = {"val": "chose the epoch that was kept or the recipe", "train": "were trained on"}.get(part, "were used")
        yield f"The scores are of {part} faces. These {seen}, so the scores are better than new faces would give."
    if metrics and (folder / CONFIG).is_file() and not _same_model(folder, metrics):
        yield f"The scores are those of {metrics['model']}, which is not the model whose training is told here."
    if metrics and (warning := trained_elsewhere(metrics.get("notes", {}), metrics["data"])):
        yield warning
    if config and "ended" not in config:
        yield "Training had not ended when this page was written, or it was broken off."


def _model(config: Mapping[str, Any], metrics: Mapping[str, Any], run: Path | None) -> dict[str, str]:
    facts: dict[str, str] = {}
    if "model" in config:
        facts["architecture"] = str(config["model"]["architecture"])
        facts["parameters"] = f"{config['model']['parameters']:,}"
    if metrics:
        facts["file"] = str(metrics["model"])
        facts["SHA-256"] = str(metrics.get("model_sha256", "not recorded"))
    elif run and (run / MODEL_FILE).is_file():
        facts["file"] = str(run / MODEL_FILE)
    note = config.get("data", {}).get("note") or metrics.get("notes", {}).get("data")
    if note:
        facts["trained on"] = str(note)
    told = given_models(config) if config else metrics.get("notes", {})
    return facts | {key: str(told[key]) for key in ("recipe", "seed", *GIVEN_MODELS, "mien") if key in told}


def _made_by(
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    audit: AuditContent | None,
    comparisons: Sequence[ComparisonContent],
) -> list[str]:
    own = [source["command"] for source in (config, metrics) if "command" in source]
    return list(dict.fromkeys([*([audit.command] if audit else []), *own, *(one.command for one in comparisons)]))


def _first(folder: Path) -> str:
    """What to do about a folder without anything of a model."""
    for file, flag in ((AUDIT_CONTENT, "--audit"), (COMPARISON, "--compare")):
        if (folder / file).is_file():
            return f"it goes into the report of a model: mien report RUN {flag} {shlex.quote(str(folder))}"
    return "train or evaluate first (mien train, mien evaluate)"


def _commands(
    config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path, audit: Path | None, comparisons: Sequence[Path]
) -> dict[str, str]:
    """By section, the command that would add what is missing; what is unknown is written in capitals."""
    others = ["--audit", str(audit)] if audit else []
    others += [word for other in comparisons for word in ("--compare", str(other))]
    report = shlex.join(["mien", "report", str(folder), *others])
    data = config.get("data", {}).get("path") or metrics.get("data", "DATA")
    model = metrics.get("model") or (str(folder) if config else "MODEL")
    where = ["--data", data, "--out", str(folder)]
    train = ["mien", "evaluate", "--model", "RUN"] if metrics else ["mien", "train"]
    return {
        "data": shlex.join(["mien", "explore", *where]),
        "training": shlex.join([*train, *where]),
        "results": shlex.join(["mien", "evaluate", "--model", model, *where]),
        "heat": shlex.join(["mien", "explain", "--model", model, *where]),
        "audit": shlex.join(["mien", "audit", data, "--out", "AUDIT"]) + f" && {report} --audit AUDIT",
        "comparison": shlex.join(["mien", "compare", model, "OTHER", "--data", data, "--out", "C"])
        + f" && {report} --compare C",
        "report": report,
    }


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
