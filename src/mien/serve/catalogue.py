"""The models that a server or a page answers by, and what it tells of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import loads
from typing import Any

from mien.colours import class_colour
from mien.errors import DataError
from mien.models.architectures import network_name
from mien.models.files import SHIPPED
from mien.models.model import Model


def loaded(names: list[str], read: Callable[[str], Model], called: Callable[[str], str]) -> dict[str, Model]:
    """Models by the names that clients use; raises DataError for two of one name."""
    models: dict[str, Model] = {}
    for name in names:
        if called(name) in models:
            raise DataError(f"{name}: another model is called {called(name)} already; rename one")
        models[called(name)] = read(name)
    return models


def describe(models: Mapping[str, Model]) -> list[dict[str, Any]]:
    """Name, classes with their colours, provenance, licence and measured figures of each model."""
    shipped = loads(SHIPPED.joinpath("measured.json").read_text())
    return [
        {
            "name": name,
            "classes": [{"name": each, "colour": class_colour(i)} for i, each in enumerate(model.classes)],
            "architecture": network_name(model.architecture),
            "labels": list(model.sources),
            "input": model.preprocess.size,
            "priors": ["natural", "uniform"] if model.prior else ["natural"],
            "notes": dict(model.notes),
            **shipped.get(name, {}),
        }
        for name, model in models.items()
    ]
