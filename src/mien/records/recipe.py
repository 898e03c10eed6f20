"""Recipes as plain data: everything that decides what a training run computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Balance = Literal["weights", "sqrt", "none"]
Keep = Literal["lowest", "last"]


@dataclass(frozen=True)
class Augment:
    """How far training faces are augmented; each range is drawn from uniformly, one draw a face.

    rotation: +- degrees. zoom: scale factor 1 +- zoom, one for both axes. shear: x' = x + s y with s within +-
    shear. shift: +- share of the width, and of the height. flip: whether half of the faces are mirrored.
    brightness: factors (low, high). Borders are reflected.
    """

    rotation: float = 15.0
    zoom: float = 0.10
    shear: float = 0.20
    shift: float = 0.0
    flip: bool = True
    brightness: tuple[float, float] = (0.7, 1.3)


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    balance: class weights n / (K n_k) ("weights"), their square roots scaled to mean 1 over the faces ("sqrt"),
    or none. optimizer: "adam", or "sgd" (Nesterov, momentum 0.9).
    network: its name, or "" for that of the model whose weights training begins with.
    l2: penalty l2 * sum(w^2) on the kernels of convolutions and dense layers, as Keras' `kernel_regularizer`.
    schedule: "plateau" halves the rate after 3 epochs without a new low of the validation loss and stops after 5;
    "onecycle" rises for a quarter of the run, falls to zero and never stops early. smoothing: label smoothing.
    adjust: how much of ln(frequency of the class) the loss adds to the logits, so that the answers owe the less to it
    (logit adjustment, arXiv:2007.07314). ema: decay an update of the EMA of the weights, 0 for none; the EMA is what
    is validated and kept. freeze: how many of the first blocks of convolutions stay as they begin. keep: the model of
    the "lowest" validation loss, or that of the "last" epoch: then nothing is chosen, and the validation figures are no
    luckier than the model.
    """

    name: str
    network: str = "classic"
    epochs: int = 30
    batch_size: int = 64
    balance: Balance = "weights"
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    l2: float = 1e-4
    schedule: Literal["plateau", "onecycle"] = "plateau"
    smoothing: float = 0.0
    adjust: float = 0.0
    ema: float = 0.0
    freeze: int = 0
    keep: Keep = "lowest"
    augment: Augment = field(default_factory=Augment)


def restore_recipe(fields: Mapping[str, Any]) -> Recipe:
    """The recipe that `asdict` gave, by way of JSON perhaps; raises KeyError or TypeError where it is none."""
    augment: dict[str, Any] = dict(fields["augment"])
    augment["brightness"] = tuple(augment["brightness"])
    settings: dict[str, Any] = {**fields, "augment": Augment(**augment)}
    if "average" in settings:  # as it was called before version 0.2
        settings["ema"] = settings.pop("average")
    return Recipe(**settings)
