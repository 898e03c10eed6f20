"""What a report says, gathered from the records that commands left in folders.

`collect(folder)` takes a run folder, an evaluation folder (the training then comes from the run folder of the model it
names), or a folder that holds figures only; an audit of the data and comparisons with other models come from folders
of their own.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import DataError
from mien.folders import MODEL_FILE
from mien.records.audit import AuditRecord
from mien.records.comparison import ComparisonRecord
from mien.records.evaluation import EvaluationRecord
from mien.records.figures import (
    ALL_FIGURES,
    DATA_FIGURES,
    DISAGREEMENTS,
    FIGURES,
    HEAT_FIGURES,
    METHODS,
    RESULT_FIGURES,
    TRAINING_FIGURES,
    sanity_file,
)
from mien.records.looks import ExplanationRecord, ExplorationRecord
from mien.records.run import (
    CONFIG,
    GIVEN_MODELS,
    HISTORY,
    Epoch,
    RunRecord,
    read_history,
    selected_epoch,
    todays_notes,
)
from mien.report.audit import AuditWords, audit_words
from mien.report.comparison import ComparisonTables, comparison_tables
from mien.report.results import ResultsPart, results_part
from mien.report.summaries import trained_elsewhere
from mien.report.tables import Table, percent, read_table
from mien.report.training import TrainingPart, training_part

_DRAWN = "drawn faces"  # how a run's note on its data begins where the training faces were drawn
_NOTED = ("recipe", "seed", *GIVEN_MODELS, "mien")
_CHOSE = {"val": "chose the epoch or the recipe", "train": "were trained on"}


@dataclass(frozen=True)
class ReportData:
    """All that a page shows. What is empty is left out; `commands` names, by section, what would add it.

    identity: the same for all folders of one model, whatever file it is in. lead: the first sentence where there is no
    result yet. drawn: trained on drawn faces. notices: warnings shown at the top. sanity: by method of the heat maps,
    their sanity check. model: facts, name to value. figures: PNGs, or where they are, by their known names (the picture
    of the i-th comparison has its number behind its name). made_by: the commands that made the folders.
    """

    title: str
    identity: tuple[str, ...] = ()
    lead: str = ""
    drawn: bool = False
    notices: tuple[str, ...] = ()
    training: TrainingPart = field(default_factory=TrainingPart)
    results: ResultsPart = field(default_factory=ResultsPart)
    audit: AuditRecord | None = None
    audit_words: AuditWords | None = None
    comparisons: tuple[ComparisonTables, ...] = ()
    sanity: Mapping[str, Table] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    made_by: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Path | bytes] = field(default_factory=dict)


def collect(
    folder: Path, audit: Path | None = None, comparisons: Sequence[Path] = (), beside: Sequence[Path] = ()
) -> ReportData:
    """The content of the page for `folder`, with what `mien audit` and `mien compare` left in the other folders.

    A run that was not evaluated in its own folder takes from those in `beside` what belongs to its model and data.

    Raises DataError where there is nothing to report, or a file is damaged, UsageError for a folder of another kind.
    """
    evaluation, others = EvaluationRecord.found(folder), ()
    run_folder = folder if (folder / CONFIG).is_file() else _run_of(evaluation)
    run = RunRecord.read(run_folder) if run_folder else None
    history = read_history(run_folder) if run_folder and (run_folder / HISTORY).is_file() else []
    figures, sanity = _figures(folder, ALL_FIGURES), _sanity(folder)
    if run_folder and run_folder != folder:
        figures = _figures(run_folder, DATA_FIGURES + TRAINING_FIGURES) | figures
    found = _Found()
    if run and not evaluation:
        found = _found(run, folder, beside)
        evaluation, *others = [*found.evaluations, None]
        figures, sanity = {**found.figures, **figures}, {**found.sanity, **sanity}
    if not (evaluation or run or figures):
        raise DataError(f"{folder}: nothing to report here; {_first(folder)}")
    audited = AuditRecord.read(audit) if audit else None
    compared = [ComparisonRecord.read(other) for other in comparisons]
    for i, other in enumerate(comparisons):
        figures |= {f"{name}{i}": path for name, path in _figures(other, (DISAGREEMENTS,)).items()}
    records = (audited, run, evaluation, *found.looks, *compared)
    made_by = [record.command for record in records if record and record.command]
    return ReportData(
        title=f"{run.recipe.name}, seed {run.seed}" if run else evaluation.model if evaluation else folder.name,
        identity=_identity(run, evaluation, folder),
        lead=_lead(run, history),
        drawn=any(note.startswith(_DRAWN) for note in _data_notes(run, evaluation)),
        notices=tuple(_notices(run, evaluation, folder)),
        training=training_part(run, history, evaluation) if run else TrainingPart(),
        results=results_part(evaluation, [other for other in others if other]) if evaluation else ResultsPart(),
        audit=audited,
        audit_words=audit_words(audited) if audited else None,
        comparisons=tuple(map(comparison_tables, compared)),
        sanity=sanity,
        model=_model(run, evaluation, run_folder),
        made_by=tuple(dict.fromkeys(made_by)),
        commands=_commands(run, evaluation, folder, audit, comparisons),
        figures=figures,
    )


@dataclass(frozen=True)
class _Found:
    """What belongs to a run in other folders: evaluations, the first to be shown; pictures; and what drew these."""

    evaluations: Sequence[EvaluationRecord] = ()
    looks: Sequence[ExplorationRecord | ExplanationRecord] = ()
    figures: Mapping[str, Path | bytes] = field(default_factory=dict)
    sanity: Mapping[str, Table] = field(default_factory=dict)


def _found(run: RunRecord, folder: Path, beside: Sequence[Path]) -> _Found:
    """What belongs to the model and data of the run in `folder`; of several evaluations, test and natural prior first.

    A damaged file in another folder is no matter of this one.
    """
    evaluations, looks, figures, sanity = [], [], {}, {}
    for other in beside:
        with suppress(DataError):
            explored = ExplorationRecord.found(other)
            if explored and explored.sha256 == run.data.sha256:
                looks.append(explored)
                figures |= _figures(other, DATA_FIGURES)
        with suppress(DataError):
            explained = ExplanationRecord.found(other)
            if explained and _same_model(folder, explained):
                looks.append(explained)
                figures, sanity = figures | _figures(other, HEAT_FIGURES), sanity | _sanity(other)
        with suppress(DataError):
            record = EvaluationRecord.found(other)
            if record and record.model_sha256 and _same_model(folder, record):
                evaluations.append((record.split != "test", record.prior != "natural", str(other), other, record))
    evaluations.sort(key=lambda item: item[:3])
    if evaluations:
        figures |= _figures(evaluations[0][3], RESULT_FIGURES)
    return _Found([item[-1] for item in evaluations], looks, figures, sanity)


def _figures(folder: Path, names: Sequence[str]) -> dict[str, Path | bytes]:
    paths = {name: folder / FIGURES / f"{name}.png" for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def _sanity(folder: Path) -> dict[str, Table]:
    paths = {method: folder / sanity_file(method) for method in METHODS}
    return {method: read_table(path) for method, path in paths.items() if path.is_file()}


def _run_of(evaluation: EvaluationRecord | None) -> Path | None:
    """The run folder that the evaluated model comes from, if it is still there and still holds that model."""
    if not evaluation:
        return None
    model = Path(evaluation.model)
    folders = [model, model.parent, Path(evaluation.notes.get("run", ""))]
    runs = (folder for folder in folders if folder != Path() and (folder / CONFIG).is_file())
    return next((run for run in runs if _same_model(run, evaluation)), None)


def _same_model(run: Path, evaluation: EvaluationRecord | ExplanationRecord) -> bool:
    """Whether the evaluated or explained model is the run's: by digest, or, in another format, by the run it names."""
    if not evaluation.model_sha256 or Path(evaluation.notes.get("run", "")).resolve() == run.resolve():
        return True
    file = run / MODEL_FILE
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == evaluation.model_sha256


def _identity(run: RunRecord | None, evaluation: EvaluationRecord | None, folder: Path) -> tuple[str, ...]:
    """What a model's own notes say of its training; where they say nothing, the model's name."""
    if run:
        return (run.recipe.name, str(run.seed), run.data.note, *run.given_models.values())
    notes = todays_notes(evaluation.notes) if evaluation else {}
    noted = tuple(notes[key] for key in ("recipe", "seed", "data", *GIVEN_MODELS) if key in notes)
    return noted or (evaluation.model if evaluation else str(folder),)


def _lead(run: RunRecord | None, history: Sequence[Epoch]) -> str:
    if not run or not history:
        return "The data, before any training."
    best = selected_epoch(history, run.recipe.keep)
    return (
        f"Not evaluated yet. At the selected epoch, {best.epoch}, validation accuracy was {percent(best.val_accuracy)}."
        " The epoch or the recipe was chosen on those faces, so that figure is slightly optimistic."
    )


def _data_notes(run: RunRecord | None, evaluation: EvaluationRecord | None) -> list[str]:
    """What is recorded of the training data: by the run, by the evaluated model."""
    notes = [run.data.note if run else "", evaluation.notes.get("data", "") if evaluation else ""]
    return [note for note in notes if note]


def _notices(run: RunRecord | None, evaluation: EvaluationRecord | None, folder: Path) -> Iterator[str]:
    if evaluation:
        foreign = (folder / CONFIG).is_file() and not _same_model(folder, evaluation)
        trained_here = run and not foreign and Path(run.data.path).name == Path(evaluation.data).name
        if elsewhere := "" if trained_here else trained_elsewhere(evaluation.notes, evaluation.data):
            yield elsewhere
        elif (part := evaluation.split) != "test":
            yield f"Scored on {part} faces. These {_CHOSE.get(part, 'were used before')}, so the scores are optimistic."
        if foreign:
            yield f"The scores belong to {evaluation.model}, not to the model whose training is described here."
    if run and not run.outcome:
        yield "Training had not ended when this page was written, or it was killed."


def _model(run: RunRecord | None, evaluation: EvaluationRecord | None, run_folder: Path | None) -> dict[str, str]:
    facts: dict[str, str] = {}
    if run and run.outcome:
        facts |= {"architecture": run.outcome.architecture, "parameters": f"{run.outcome.parameters:,}"}
    if evaluation:
        facts |= {"file": evaluation.model, "SHA-256": evaluation.model_sha256 or "not recorded"}
    elif run_folder and (run_folder / MODEL_FILE).is_file():
        facts["file"] = str(run_folder / MODEL_FILE)
    if notes := _data_notes(run, evaluation):
        facts["trained on"] = notes[0]
    noted = run.given_models if run else todays_notes(evaluation.notes) if evaluation else {}
    return facts | {name: noted[name] for name in _NOTED if name in noted}


def _first(folder: Path) -> str:
    """What to do about a folder without anything of a model."""
    for kind, flag in ((AuditRecord, "--audit"), (ComparisonRecord, "--compare")):
        if (folder / kind.FILE).is_file():
            return f"it belongs in the report of a model: mien report RUN {flag} {shlex.quote(str(folder))}"
    return "train or evaluate first (mien train, mien evaluate)"


def _commands(
    run: RunRecord | None,
    evaluation: EvaluationRecord | None,
    folder: Path,
    audit: Path | None,
    comparisons: Sequence[Path],
) -> dict[str, str]:
    """By section, the command that would add what is missing; what is unknown is written in capitals."""
    others = ["--audit", str(audit)] if audit else []
    others += [word for other in comparisons for word in ("--compare", str(other))]
    report = shlex.join(["mien", "report", str(folder), *others])
    data = run.data.path if run else evaluation.data if evaluation else "DATA"
    model = evaluation.model if evaluation else str(folder) if run else "MODEL"
    target = ["--data", data, "--out", str(folder)]
    train = ["mien", "evaluate", "--model", "RUN"] if evaluation else ["mien", "train"]
    return {
        "data": shlex.join(["mien", "explore", *target]),
        "training": shlex.join([*train, *target]),
        "results": shlex.join(["mien", "evaluate", "--model", model, *target]),
        "heat": shlex.join(["mien", "explain", "--model", model, *target]),
        "audit": shlex.join(["mien", "audit", data, "--out", "AUDIT"]) + f" && {report} --audit AUDIT",
        "comparison": shlex.join(["mien", "compare", model, "OTHER", "--data", data, "--out", "C"])
        + f" && {report} --compare C",
        "report": report,
    }
