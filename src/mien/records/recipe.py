"""Recipes as plain data: everything that decides what a training run computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Balance = Literal["weights", "sqrt", "none"]
Keep = Literal["lowest", "last"]
Number = int | float  # JSON keeps 0 and 0.0 apart, and so does the digest of a run


@dataclass(frozen=True)
class Augment:
    """How training faces are augmented; each range is sampled uniformly, once a face.

    rotation: +- degrees. zoom: scale factor 1 +- zoom, the same for both axes. shear: x' = x + s y with s within +-
    shear. shift: +- share of the width, and of the height. flip: mirror half of the faces. brightness: factors
    (low, high). probability: with which each of these but flip is applied to a face. Borders are reflected.
    """

    rotation: Number = 15.0
    zoom: Number = 0.10
    shear: Number = 0.20
    shift: Number = 0.0
    flip: bool = True
    brightness: tuple[Number, Number] = (0.7, 1.3)
    probability: Number = 1.0


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    balance: class weights n / (K n_k) ("weights"), their square roots scaled to mean 1 over the faces ("sqrt"),
    or none. optimizer: "adam", or "sgd" (Nesterov, momentum 0.9).
    network: its name, or what it is made of as plain values (`mien.models.architectures.to_plain`); "" for that of the
    model whose weights training begins with.
    l2: penalty l2 * sum(w^2) on the kernels of convolutions and dense layers, as Keras' `kernel_regularizer`.
    schedule: "plateau" halves the rate after 3 epochs without a new low of the validation loss and stops after 5;
    "onecycle" rises for a quarter of the run, falls to zero and never stops early. smoothing: label smoothing; of
    two heads, of that which learns labels.
    adjust: how much of the log prior, ln(frequency of the class), the loss adds to the logits, so that the answers
    depend less on it (logit adjustment, arXiv:2007.07314). ema: decay per update of the EMA of the weights, 0 for
    none; the EMA is what is validated and saved. freeze: how many of the first blocks of convolutions stay as they
    begin. keep: which epoch's model is saved, that of the "lowest" validation loss or the "last": then nothing is
    chosen, and the validation figures are unbiased by the choice.

    >>> Recipe("patient", epochs=100, augment=Augment(rotation=5)).rate
    0.001
    """

    name: str
    network: str | dict[str, Any] = "classic"
    epochs: int = 30
    batch_size: int = 64
    balance: Balance = "weights"
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: Number = 1e-3
    l2: Number = 1e-4
    schedule: Literal["plateau", "onecycle"] = "plateau"
    smoothing: Number = 0.0
    adjust: Number = 0.0
    ema: Number = 0.0
    freeze: int = 0
    keep: Keep = "lowest"
    augment: Augment = field(default_factory=Augment)


def upgrade_recipe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe of version 0.1, which called the EMA of the weights a running mean."""
    return {"ema" if name == "average" else name: value for name, value in fields.items()}
