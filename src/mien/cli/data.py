"""Commands about data: prepare, explore, audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.cli.console import as_json, command_line, list_paths, progress, progress_bar, say
from mien.cli.options import CLASSES, DATA, RUNS, DataOptions, Device, Json, Switch, check_seed, data_names, option
from mien.errors import UsageError
from mien.extras import require
from mien.percent import percent

if TYPE_CHECKING:
    from mien.audit.findings import Audit
    from mien.audit.suspects import Suspect


def prepare(
    input_dir: Path,
    output_dir: Path,
    train_frac: float = 0.70,
    val_frac: float = 0.15,
    test_frac: float = 0.15,
    split: Literal["stratified", "official"] = "stratified",
    seed: int = 0,
    allow_leaks: Switch = False,
    skip_bad: Switch = False,
    drop: Annotated[Path | None, option("FILE", "none")] = None,
    votes: Annotated[Path | None, option("FILE", "none")] = None,
    classes: Annotated[str, CLASSES] = "",
    overwrite: Switch = False,
    json: Json = False,
) -> None:
    """Divide faces into train/ val/ test/ with a manifest.

    Args:
        input_dir: zip archive, folder of <class>/<image> with or without train/ val/ test/, fer2013.csv, or
            kaggle:<owner>/<name>.
        output_dir: where train/ val/ test/ and manifest.csv are written.
        train_frac: share of each class for training.
        val_frac: share of each class for validation.
        test_frac: share of each class for the final test.
        split: "official" keeps the division that the source brings along.
        seed: draws the division.
        allow_leaks: let copies of one face fall into different parts, for comparison.
        skip_bad: go on without images and rows that cannot be read, and name them.
        drop: list of images to leave out, as `mien audit` writes it (drop.csv).
        votes: what annotators said of the faces, for the manifest: fer2013new.csv, ferplus.csv, or a CSV of file and
            one column a class.
        overwrite: replace a folder that was prepared differently.
    """
    from mien.data.drop import read_drop
    from mien.data.facts import preparation_facts
    from mien.data.prepare import SplitOptions, plan, write
    from mien.data.sources import FRACTIONS, open_source
    from mien.data.split import check_fractions
    from mien.records.record import plain
    from mien.report.terminal import preparation_text

    if split == "official" and (allow_leaks or (train_frac, val_frac, test_frac) != FRACTIONS):
        raise UsageError("--split official keeps the source's division; leave out fractions and --allow-leaks")
    check_seed(seed)
    unwanted = read_drop(drop) if drop else ()
    how = SplitOptions(
        (train_frac, val_frac, test_frac), seed, split == "official", allow_leaks, skip_bad, unwanted, votes
    )
    check_fractions(how.fractions)
    source = open_source(input_dir, data_names(classes))
    say(f"reading {len(source.entries):,} images of {input_dir}{f' ({source.remark})' if source.remark else ''}")
    planned = plan(source, how)
    say(f"{input_dir}: {planned.origin}")
    changed = write(planned, source, output_dir, overwrite=overwrite, wrap=progress_bar("copying", len(planned.rows)))
    if not changed:
        say(f"{output_dir} already holds exactly this; nothing written")
    facts = preparation_facts(planned)
    print(as_json(plain(facts)) if json else preparation_text(facts))


def explore(
    data: Annotated[Path, DATA], out: Path = RUNS / "explore", classes: Annotated[str, CLASSES] = "", seed: int = 0
) -> None:
    """Draw what the data look like: classes, faces, augmented variants, mean faces.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        out: folder whose figures/ receives the pictures.
        seed: draws the faces shown and the augmentation.
    """
    require("mien explore", "torch", "matplotlib")
    from mien.records.looks import ExplorationRecord
    from mien.records.recipe import Augment
    from mien.report.draw import draw_data
    from mien.train.augment import augmented_examples

    command = command_line(explore, locals())
    check_seed(seed)
    split, augment = DataOptions(data, classes=classes).read(), Augment()
    examples = augmented_examples(split.train, augment, seed)
    list_paths(draw_data(split, examples, augment, out, data=str(data), seed=seed))
    digests = {name: part.digest() for name, part in split.parts().items()}
    ExplorationRecord(data=str(data), sha256=digests, command=command).write(out)


def audit(
    data: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DATA")]],
    out: Annotated[Path | None, option("FOLDER", "runs/audit")] = None,
    suspects: Switch = False,
    classes: Annotated[str, CLASSES] = "",
    seed: int = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Look for copies, conflicting labels and pictures without a face in the data.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        out: folder for page, audit.csv, near.csv (pairs of near copies), and drop.csv, which `mien prepare --drop`
            takes. `mien report --audit` takes it along.
        suspects: also look for wrong labels, by training five small networks; takes minutes.
        seed: draws the folds of the suspects and their training.
    """
    command = command_line(audit, locals())
    require("mien audit", "jinja2")
    if suspects:
        require("mien audit --suspects", "torch", "scikit-learn", "scipy", "cleanlab")
    from mien.audit.findings import audit as look
    from mien.audit.record import audit_record
    from mien.audit.tables import check_folder, write_tables
    from mien.data.sources import open_source
    from mien.folders import free_folder
    from mien.records.record import plain
    from mien.report.page import write_audit_page
    from mien.report.terminal import audit_text

    folder = out or free_folder(RUNS / "audit")
    check_folder(folder)
    check_seed(seed)
    source = open_source(data, data_names(classes))
    say(f"looking at {len(source.entries):,} images of {data}")
    findings = look(source)
    found = _suspects(findings, seed, device) if suspects else None
    record = audit_record(findings, found, data=str(data), command=command, folder=folder)
    page = write_audit_page(record, folder)
    record.write(folder)
    files = page, folder / record.FILE, *write_tables(findings, found or (), folder)
    print(as_json(plain(record.facts)) if json else audit_text(record))
    for file in files:
        say(str(file))


def _suspects(findings: Audit, seed: int, device: str) -> tuple[Suspect, ...]:
    """Faces with suspect labels, with progress over all folds."""
    from mien.audit.suspects import FOLDS, FoldProgress, check_known, cross_probabilities, find_suspects

    bar = progress("", 1)

    def on_step(progress: FoldProgress) -> None:
        bar.total = progress.total
        bar.set_description(f"network {progress.fold} of {FOLDS}", refresh=False)
        bar.update(progress.done - bar.n)

    def on_forecast(seconds: float) -> None:
        bar.clear()
        say(f"{FOLDS} networks take about {max(1, round(seconds / 60))} min on this machine")

    labels, probabilities = findings.faces.labels, cross_probabilities(findings, seed, device, on_step, on_forecast)
    bar.close()
    say(f"the folds' networks name {percent(check_known(labels, probabilities))} of the faces as they are labelled")
    return find_suspects(labels, probabilities)
