"""Recipes: everything that decides what a training run computes, as plain data.

`classic` is the tutorial's recipe. The ladder leads from it to `modern`, one change a step, so that the worth of
each change can be measured; RECORDS.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from mien.errors import UsageError
from mien.records.recipe import Augment, Recipe

CLASSIC = Recipe("classic")

# The shortest way to a better model than the tutorial's: `bench/speedrun.py` holds the clock.
SPEEDRUN = Recipe(
    "speedrun",
    network="quick",
    epochs=2,
    balance="none",
    optimizer="sgd",
    rate=0.1,
    l2=2.5e-4,
    schedule="onecycle",
    smoothing=0.1,
    augment=Augment(rotation=0, zoom=0, shear=0, shift=0.04, brightness=(1.0, 1.0)),
)

# What the shipped models are trained by; RECORDS.md says what was tried beside it.
BASE = Recipe(
    "base",
    network="base",
    epochs=50,
    balance="none",
    optimizer="sgd",
    rate=0.05,
    l2=2.5e-4,
    schedule="onecycle",
    adjust=0.25,
    ema=0.998,
    keep="last",
    augment=Augment(rotation=12, zoom=0.12, shear=0.1, shift=0.06),
)
BASE_FER2013 = replace(BASE, name="base-fer2013", smoothing=0.1, adjust=0.0)
TINY = replace(BASE, name="tiny", network="tiny")
PAIRS = replace(
    BASE,
    name="pairs",
    network="pairs",
    epochs=44,
    smoothing=0.1,
    adjust=0.0,
    augment=Augment(rotation=15, zoom=0.2, shear=0.1, shift=0.1, probability=0.5),
)

# A model that knows faces, taken further on few of them with classes of one's own; `bench/finetune.py` has the figures.
FINETUNE = replace(
    BASE, name="finetune", network="", epochs=20, batch_size=32, rate=0.01, smoothing=0.1, adjust=0.0, ema=0.98
)

# Each step changes what it names and keeps the rest.
LADDER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no class weights", {"balance": "none"}),
    ("global average pooling instead of flatten and dense", {"network": "pooled"}),
    ("deeper: seven convolutions, four poolings", {"network": "deep"}),
    (
        "SGD with Nesterov momentum on one cycle",
        {"optimizer": "sgd", "rate": 0.05, "l2": 2.5e-4, "schedule": "onecycle"},
    ),
    ("label smoothing 0.1", {"smoothing": 0.1}),
    ("EMA of the weights", {"ema": 0.998}),
)


def _climb() -> dict[str, Recipe]:
    """`ladder-0` (the classic recipe) to `ladder-N`, and the last one as `modern`."""
    recipe = replace(CLASSIC, name="ladder-0")
    rungs = {recipe.name: recipe}
    for number, (_, change) in enumerate(LADDER, start=1):
        recipe = replace(recipe, name=f"ladder-{number}", **change)
        rungs[recipe.name] = recipe
    return rungs | {"modern": replace(recipe, name="modern")}


_SINGLE = (CLASSIC, SPEEDRUN, BASE, TINY, BASE_FER2013, PAIRS, FINETUNE)
RECIPES = {recipe.name: recipe for recipe in _SINGLE} | _climb()


_ABOUT = {
    "classic": "the tutorial's recipe",
    "ladder-0": "the tutorial's recipe",
    "modern": f"the top of the ladder, ladder-{len(LADDER)}",
    "speedrun": "a small network and two epochs: past the tutorial's accuracy in seconds",
    "base": "the model of that name that comes with Mien; on --labels votes",
    "tiny": "the model of that name that comes with Mien; on --labels votes, with --teacher base",
    "base-fer2013": "the model of that name that comes with Mien; on FER-2013's own labels",
    "pairs": "a wide network, slow to train and accurate; on --labels both",
    "finetune": "takes a model further on classes of your own; with --init base, or another model",
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`; raises UsageError listing those there are.

    >>> find_recipe("classic").epochs
    30
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe '{name}'; there are {', '.join(RECIPES)}")
    return RECIPES[name]


def with_changes(recipe: Recipe, **changes: Any) -> Recipe:
    """`recipe` with the given fields changed; those that are None stay. Raises UsageError for senseless values.

    >>> with_changes(find_recipe("base"), epochs=2, rate=None).epochs
    2
    """
    changed = replace(recipe, **{name: value for name, value in changes.items() if value is not None})
    for name in ("epochs", "batch_size", "rate"):
        if not 0 < getattr(changed, name) < inf:
            raise UsageError(f"--{name} {getattr(changed, name)}: must be a number greater than 0")
    return changed


def explain_recipe(name: str) -> str:
    """What a recipe is, in one line."""
    if name in _ABOUT:
        return _ABOUT[name]
    number = int(name.removeprefix("ladder-"))
    return f"ladder-{number - 1}, with {LADDER[number - 1][0]}"
