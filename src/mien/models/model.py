"""A trained network with all it needs to be used rightly: class names, preprocessing, and where it comes from.

Nothing here needs torch: what runs the network is the network's own affair.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

import numpy as np

from mien._version import __version__
from mien.errors import ModelError, UsageError
from mien.models.architectures import (
    LABEL_SOURCES,
    SIDE,
    Described,
    Mean,
    are_sources,
    from_plain,
    network_name,
    to_plain,
)
from mien.preprocess import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

Prior = Literal["natural", "uniform"]

_BATCH = 64  # larger ones leave the caches: torch takes half as long again for each face
_MOST_CLASSES = 1000
_COLDEST, _WARMEST = 0.01, 100


class LogitsProtocol(Protocol):
    """What a model asks of its network, whichever library runs it."""

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, S, S] in [0, 1]."""
        ...


class HeadsProtocol(LogitsProtocol, Protocol):
    """What a model of several heads asks of its network as well."""

    def answering(self, head: int) -> LogitsProtocol:
        """The same network, with the logits of another of its heads."""
        ...


class Head(NamedTuple):
    """What a last layer has learned; see `Model`."""

    labels: str
    temperature: float = 1.0
    prior: tuple[float, ...] = ()


@dataclass(frozen=True)
class Model:
    """A network and what travels with its weights.

    architecture: the name of one of `ARCHITECTURES`, or what the network is made of. notes: provenance in words
    (recipe, seed, data, version). temperature: what the logits are divided by before they become probabilities. prior:
    how frequent each class was in training, which the probabilities assume; empty where that is unknown. labels: the
    label source that it answers by, "votes" or "fer2013"; "" where its file does not say. others: the heads by which
    it can answer as well.

    >>> from mien import read_model
    >>> model = read_model("tiny")
    >>> model.architecture, len(model.classes), model.notes["recipe"]
    ('tiny', 7, 'tiny')
    """

    network: LogitsProtocol
    architecture: Described
    classes: tuple[str, ...]
    preprocess: Preprocess = field(default_factory=Preprocess)
    notes: Mapping[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    prior: tuple[float, ...] = ()
    labels: str = ""
    others: tuple[Head, ...] = ()

    @property
    def heads(self) -> tuple[Head, ...]:
        """All its heads, in the order in which the network has them."""
        heads = (Head(self.labels, self.temperature, self.prior), *self.others)
        return tuple(sorted(heads, key=lambda head: ("", *LABEL_SOURCES).index(head.labels)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The label sources by which it can answer; empty where its file does not say.

        >>> from mien import read_model
        >>> read_model("base").sources
        ('votes',)
        """
        return tuple(head.labels for head in self.heads) if self.labels else _learned(self.notes)

    def answering(self, labels: str) -> Model:
        """The model answering by this label source; raises ModelError where it has not learned it."""
        if labels == self.labels or self.sources == (labels,):
            return self
        names = [head.labels for head in self.heads]
        if labels not in names:
            has = " and ".join(self.sources) or "a label source that its file does not name"
            raise ModelError(f"the model answers by {has}; leave out --labels {labels}")
        chosen = self.heads[names.index(labels)]
        network = cast("HeadsProtocol", self.network).answering(names.index(labels))
        others = tuple(head for head in self.heads if head is not chosen)
        return replace(self, network=network, **chosen._asdict(), others=others)

    def header(self) -> dict[str, Any]:
        """What travels beside the weights in a file, as plain values: temperature and prior are the first head's."""
        first, *others = self.heads
        fields: dict[str, Any] = {
            "mien": __version__,
            "architecture": to_plain(self.architecture),
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "notes": dict(self.notes),
            "temperature": first.temperature,
            "prior": list(first.prior),
        }
        if self.labels:
            fields["labels"] = first.labels
            fields["others"] = [head._asdict() | {"prior": list(head.prior)} for head in others]
        return fields


def parse_header(text: str) -> dict[str, Any]:
    """The fields of a `Model` beside its network, from the JSON of `Model.header()`; raises ModelError unless sound."""
    fields = json.loads(text)
    preprocess, classes = Preprocess(**fields["preprocess"]), fields["classes"]
    architecture = from_plain(fields["architecture"])
    if preprocess.size != SIDE:
        name = network_name(architecture)
        raise ModelError(f"made by another version of Mien (network '{name}'); export it again")
    if not isinstance(classes, list) or not _are_names(classes):
        raise ModelError(f"its classes are not 2 to {_MOST_CLASSES} different names; export it again")
    heads = [_head(head, len(classes)) for head in (fields, *fields.get("others", ()))]
    sources = tuple(head.labels for head in heads)
    if sources != ("",) and not are_sources(sources):
        raise ModelError(f"its heads are not some of {', '.join(LABEL_SOURCES)}; export it again")
    if isinstance(architecture, Mean) and architecture.heads() != sources:
        raise ModelError("its heads are not those of its members; export it again")
    return {
        "architecture": architecture,
        "classes": tuple(classes),
        "preprocess": preprocess,
        "notes": {str(key): str(note) for key, note in fields["notes"].items()},
        **heads[0]._asdict(),
        "others": tuple(heads[1:]),
    }


def _head(fields: Mapping[str, Any], classes: int) -> Head:
    """What a header says of one head."""
    temperature = float(fields.get("temperature", 1))
    if not _COLDEST <= temperature <= _WARMEST:
        raise ModelError(f"its temperature is {temperature}, not {_COLDEST} to {_WARMEST}; export it again")
    prior = tuple(float(share) for share in fields.get("prior", ()))
    if prior and (len(prior) != classes or not all(share > 0 for share in prior) or not isclose(sum(prior), 1)):
        raise ModelError("its prior is not one positive share a class, together 1; export it again")
    return Head(str(fields.get("labels", "")), temperature, prior)


def _learned(notes: Mapping[str, str]) -> tuple[str, ...]:
    """The label source of a model of one head, as far as its notes on the data tell."""
    data = notes.get("data", "")
    if "labels by the votes of" in data:
        return ("votes",)
    return ("fer2013",) if "FER-2013's official parts" in data else ()


def check_class_names(classes: Sequence[str]) -> None:
    """Raise UsageError unless these can be the names of a model's classes."""
    if isinstance(classes, str) or not _are_names(classes):
        raise UsageError(f"--classes {classes}: give 2 to {_MOST_CLASSES} different names, in the order of the outputs")


def _are_names(classes: Sequence[object]) -> bool:
    names = {name for name in classes if isinstance(name, str) and name and name.isprintable()}
    return 2 <= len(classes) == len(names) <= _MOST_CLASSES


def checksum(header: str, arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 over a header and the weights, in hexadecimal: tells damage, but not malice, which can count too."""
    total = hashlib.sha256(header.encode())
    for array in arrays:
        total.update(array.tobytes())
    return total.hexdigest()


def check_numbers(array: NDArray[Any], name: str) -> None:
    """Raise ModelError if a weight is infinite or not a number."""
    if not np.isfinite(array).all():
        raise ModelError(f"'{name}' holds numbers that no training leaves; train it again")


def predict_proba(
    model: Model, images: NDArray[np.uint8], device: str = "cpu", prior: Prior = "natural"
) -> NDArray[np.float32]:
    """Class probabilities, float32 [N, K], of gray faces uint8 [N, S, S]; the network runs in float32.

    prior: "natural" where expressions are as frequent as in training, "uniform" where each is as likely as any other
    (Menon et al. 2021, arXiv:2007.07314). Raises ModelError where the model does not know how frequent they were.

    >>> from mien import read_model
    >>> predict_proba(read_model("tiny"), np.zeros((2, 48, 48), np.uint8)).shape
    (2, 7)
    """
    answers = logits(model, images, device)
    return softmax(answers / model.temperature - _log_prior(model, prior)).astype(np.float32)


def logits(model: Model, images: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float64]:
    """What the network gives before any temperature, [N, K], of gray faces uint8 [N, S, S]."""
    batches = [images[start : start + _BATCH] for start in range(0, max(len(images), 1), _BATCH)]
    answers = np.concatenate([model.network.logits(model.preprocess.scale(batch), device) for batch in batches])
    if not np.isfinite(answers).all():
        raise ModelError("the model answers with numbers that are infinite or none; its weights are of no use")
    return answers.astype(np.float64)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [N, K] of logits [N, K]."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def _log_prior(model: Model, prior: Prior) -> NDArray[np.float64]:
    """Log of the prior that the logits assume, 0 where it is to stay, float64 [K] or [1]."""
    if prior == "natural":
        return np.zeros(1)
    if not model.prior:
        raise ModelError("the model does not tell how frequent each class was in training; leave out --prior uniform")
    return np.log(np.array(model.prior))
