"""The mean of several models, as one model: `Mean` of their networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mien.errors import ModelError
from mien.models.architectures import Mean, Member
from mien.models.formats.onnx import OnnxNetwork, stored_form
from mien.models.model import Head, LogitsProtocol, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_of(models: Sequence[Model], mirror: bool = False) -> Model:
    """One model whose probabilities are the mean of those of `models`; with `mirror`, for the mirrored face as well.

    Each head is the mean over the models that have it. What is averaged is each one's probabilities at its own
    temperature, as if classes had been as frequent for it as for the first of them; both go into its last layer. The
    mean's own temperature is 1: it waits to be calibrated. Its parts are those of `.onnx` files, so int8 stays int8.
    Raises ModelError for models that do not go together.

    >>> from mien import read_model
    >>> mean_of([read_model("base"), read_model("base-fer2013")], mirror=True).sources
    ('votes', 'fer2013')
    """
    if not models:
        raise ModelError("the mean of no models; give one at least")
    classes, preprocess = models[0].classes, models[0].preprocess
    known = any(model.sources for model in models)
    priors: dict[str, tuple[float, ...]] = {}
    members, arrays, precisions = [], [], set()
    for model in models:
        if model.classes != classes or model.preprocess != preprocess:
            others = ", ".join(model.classes)
            raise ModelError(f"one model names {', '.join(classes)}, another {others}; no mean of these")
        if known and not model.sources:
            raise ModelError("one model says what labels it has learned, another does not; no mean of these")
        if isinstance(model.architecture, Mean):
            raise ModelError("a mean of means; give the single models")
        heads = [head._replace(labels=name) for head, name in zip(model.heads, model.sources or ("",), strict=True)]
        precision, own = stored_form(model)
        first = len(own) - 2 * len(heads)
        arrays += own[:first]
        for head, weight, bias in zip(heads, own[first::2], own[first + 1 :: 2], strict=True):
            arrays += _at(head, priors.setdefault(head.labels, head.prior), weight, bias)
        members.append(Member(model.architecture, tuple(head.labels for head in heads)))
        precisions.add(precision)
    if len(precisions) > 1:
        raise ModelError("some models are in int8, others in float32; export all of them to int8, or none")
    mean = Mean(tuple(members), mirror)
    own_heads = [Head(source, prior=priors[source]) for source in mean.heads()]
    notes = {"mean of": "; ".join(model.notes.get("recipe", "?") for model in models)}
    nothing = cast("LogitsProtocol", None)
    model = Model(nothing, mean, classes, preprocess, notes, **own_heads[0]._asdict(), others=tuple(own_heads[1:]))
    return replace(model, network=OnnxNetwork.of(model, precisions.pop(), arrays))


def _at(
    head: Head, prior: tuple[float, ...], weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A head's weights [K, F] and biases [K] with its temperature in them, for classes as frequent as `prior`."""
    shift = np.log(prior) - np.log(head.prior) if prior and head.prior else np.zeros(len(bias))
    return (weight / head.temperature).astype(np.float32), (bias / head.temperature + shift).astype(np.float32)
