"""Heat maps by either method, and the groups of faces over which they are averaged."""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.explain.occlusion import occlusion
from mien.models.architectures import Mean
from mien.models.model import Model
from mien.records.figures import Method

MethodChoice = Literal["auto", "gradcam", "occlusion"]


class Group(NamedTuple):
    """The faces of class `truth` that were predicted as `answer`, by their indices: int64 [M]."""

    truth: int
    answer: int
    members: NDArray[np.int64]


def has_gradients(model: Model) -> bool:
    """Whether torch runs the model, so that it gives gradients."""
    torch = sys.modules.get("torch")  # what never was loaded runs no network, and need not be there
    return torch is not None and isinstance(model.network, torch.nn.Module) and not isinstance(model.architecture, Mean)


def choose_method(model: Model, wanted: MethodChoice) -> Method:
    """The method `wanted`; for "auto" Grad-CAM where the model has gradients, else occlusion."""
    if wanted != "auto":
        return wanted
    return "gradcam" if has_gradients(model) else "occlusion"


def heat_maps(
    model: Model, images: NDArray[np.uint8], targets: NDArray[np.int64], method: Method
) -> NDArray[np.float32]:
    """The evidence for the classes `targets` [N] at each pixel: float32 [N, S, S], in the method's own unit.

    Raises ModelError where Grad-CAM is asked of a model without gradients.
    """
    if method == "occlusion":
        return occlusion(model, images, targets)
    from mien.explain.gradcam import grad_cam

    return grad_cam(model, images, targets)


def groups(labels: NDArray[np.int64], answers: NDArray[np.int64], classes: int, pairs: int) -> list[Group]:
    """The right answers of each class, and the `pairs` most common confusions; those without faces are left out."""
    cells = labels * classes + answers
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    confused = counts - np.diag(counts.diagonal())
    commonest = [cell for cell in np.argsort(-confused, axis=None, kind="stable")[:pairs] if confused.flat[cell]]
    right = [cell for cell in range(0, classes**2, classes + 1) if counts.flat[cell]]
    return [Group(*divmod(int(cell), classes), np.flatnonzero(cells == cell)) for cell in [*right, *commonest]]
