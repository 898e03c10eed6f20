"""A model card in Markdown, written from what training and evaluation left in their folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from mien.errors import DataError
from mien.report import intended_use
from mien.report.content import ReportData, collect
from mien.report.tables import Table


@dataclass(frozen=True)
class ModelPart:
    """What a card says of one model.

    about: facts about the model itself. training: the page with its training, empty if there is none. results: a page
    for each evaluation. commands: what made it all.
    """

    name: str
    about: Mapping[str, str]
    training: ReportData
    results: tuple[ReportData, ...]
    commands: tuple[str, ...]


def card(folders: Iterable[Path]) -> str:
    """The card of the models whose run and evaluation folders are given, as Markdown, in the order of the folders.

    Folders belong to one model if recipe, seed and data are the same. Raises DataError where a folder holds nothing to
    report, or damaged files, or where folders of one model record two trainings.
    """
    pages = [collect(folder) for folder in folders]
    first = [page.identity for page in pages]
    pages.sort(key=lambda page: first.index(page.identity))
    models = [_model_part(list(group)) for _, group in groupby(pages, lambda page: page.identity)]
    environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["line"] = _line
    template = environment.from_string((files("mien.report") / "card.md").read_text(encoding="utf-8"))
    text = template.render(models=models, intended_use=intended_use, facts=_facts, table=_table)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _model_part(pages: Sequence[ReportData]) -> ModelPart:
    trainings = [page.training.recipe for page in pages if page.training.recipe]
    if any(other != trainings[0] for other in trainings):
        raise DataError(f"{pages[0].title}: the folders record trainings with different settings; give one at a time")
    results = tuple(page for page in pages if page.results.record)
    names = [page.results.record.model for page in results if page.results.record]
    bare = [name for name in names if Path(name).parts == (name,) and not Path(name).suffix]  # it comes with Mien
    about: dict[str, str] = {}
    for page in [*results, *pages]:
        about = {**page.model, **about}
    return ModelPart(
        name=bare[0] if bare else pages[0].title,
        about=about,
        training=next((page for page in pages if page.training.counts), pages[0]),
        results=results,
        commands=tuple(dict.fromkeys(command for page in pages for command in page.made_by)),
    )


def _facts(facts: Mapping[str, str]) -> str:
    return _table(Table(("", ""), tuple(facts.items())))


def _table(table: Table) -> str:
    """A table with its first column set left and the others right; facts, whose head is empty, are all set left."""
    aligned = ["---", *(["---:"] if any(table.head) else ["---"]) * (len(table.head) - 1)]
    lines = [map(_line, table.head), aligned, *(map(_line, row) for row in table.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _line(text: str) -> str:
    """Text from the data on one line, escaped so that Markdown shows it as it is, also within a cell of a table."""
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", " ".join(text.split()))
