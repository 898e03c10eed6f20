"""Heat maps lie where the evidence is, by either method, and the check of them tells learned maps from edges."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FACES, NETWORKS, lively

from mien.explain import sanity
from mien.explain.gradcam import grad_cam
from mien.explain.heat import choose_method, groups, heat_maps
from mien.explain.occlusion import occlusion
from mien.explain.photo import PhotoMaps, heat_overlay, photo_picture
from mien.explain.sanity import cascade, likeness, sanity_csv
from mien.models.files import read_model, write_model
from mien.models.model import Model, predict_proba
from mien.models.networks import build
from mien.records.figures import Method


def bright_spot_model() -> Model:
    """A classic network whose first logit grows with brightness anywhere."""
    network = build("classic", 2)
    assert network.dense is not None
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
                module.weight[0, 0, 1, 1] = 1
        network.dense.weight.zero_()
        network.dense.weight[0, :36] = 1
        network.head.weight[0, 0] = 1
    return Model(network.eval(), "classic", ("bright", "dark"))


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_the_map_lies_where_the_evidence_is(method: Method) -> None:
    faces = np.zeros((1, 48, 48), np.uint8)
    faces[0, 4:14, 30:40] = 255
    (heat,) = heat_maps(bright_spot_model(), faces, np.array([0]), method)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= y < 14
    assert 30 <= x < 40
    assert heat[30:, :20].max() < 0.05


@pytest.mark.parametrize("name", list(NETWORKS))
def test_maps_are_sound_for_every_network(name: str) -> None:
    torch.manual_seed(0)
    network = build(NETWORKS[name], 3)
    torch.nn.init.normal_(network.head.weight)
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    maps = grad_cam(Model(network, name, ("a", "b", "c")), faces, np.array([0, 1, 2, 0, 1]))
    assert maps.shape == (5, 48, 48)
    assert maps.min() >= 0
    assert maps.max() <= 1 + 1e-6
    alone = grad_cam(Model(network, name, ("a", "b", "c")), faces[2:3], np.array([2]))
    assert np.allclose(alone[0], maps[2], atol=1e-4)


def test_occlusion_is_the_fall_in_probability_where_the_patch_was() -> None:
    """A model that knows one corner: only patches over that corner cost anything, and each costs what it hides."""
    faces = np.full((1, 48, 48), 100, np.uint8)
    faces[0, :6, :6] = 240

    class Corner:
        def logits(self, faces: np.ndarray, device: str) -> np.ndarray:
            bright = faces[:, 0, :6, :6].mean((1, 2))
            return np.stack([8 * bright, np.zeros_like(bright)], 1)

    model = Model(Corner(), "classic", ("bright", "dark"))
    (heat,) = occlusion(model, faces, np.array([0]))
    gray = faces.copy()
    gray[0, :6, :6] = round(float(faces.mean()))
    whole, hidden = predict_proba(model, np.concatenate([faces, gray]))[:, 0]
    assert heat[0, 0] == pytest.approx(whole - hidden, abs=1e-4)  # four patches hide it all
    assert heat[14:, 14:].max() == pytest.approx(0, abs=1e-6)
    against = occlusion(model, faces, np.array([1]))[0]
    assert np.allclose(against, -heat, atol=1e-6)


def test_occlusion_of_a_blank_face_is_nothing() -> None:
    blank = np.full((2, 48, 48), 90, np.uint8)
    assert np.abs(occlusion(lively(), blank, np.array([0, 1]))).max() < 1e-6
    assert occlusion(lively(), blank[:0], np.zeros(0, np.int64)).shape == (0, 48, 48)


def test_occlusion_needs_only_answers(tmp_path: Path) -> None:
    """The same maps from torch and from onnxruntime, and the same by Grad-CAM."""
    pytest.importorskip("onnxruntime")
    model = lively()
    write_model(model, tmp_path / "model.onnx")
    served = read_model(tmp_path / "model.onnx")
    targets = predict_proba(model, FACES[:2]).argmax(1)
    assert choose_method(model, "auto") == "gradcam"
    assert choose_method(served, "auto") == choose_method(model, "occlusion") == "occlusion"
    maps = [occlusion(one, FACES[:2], targets) for one in (model, served)]
    assert np.allclose(*maps, atol=1e-4)
    maps = [grad_cam(one, FACES[:2], targets) for one in (model, served)]
    assert np.allclose(*maps, atol=1e-4)


def test_groups_are_the_right_answers_and_the_commonest_confusions() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    answers = np.array([0, 1, 1, 1, 0, 2, 2, 0])
    found = [(group.truth, group.answer, group.members.tolist()) for group in groups(labels, answers, 3, pairs=2)]
    assert found == [(0, 0, [0]), (1, 1, [3]), (0, 1, [1, 2]), (1, 2, [5, 6])]
    assert len(groups(labels, answers, 3, pairs=99)) == 6


@pytest.mark.parametrize(("method", "count"), [("gradcam", 4), ("occlusion", 2)])
def test_maps_change_when_the_network_forgets(method: Method, count: int) -> None:
    """The published check: learned maps are lost with the weights, and the model itself stays as it was."""
    model = bright_spot_model()
    faces = np.zeros((count, 48, 48), np.uint8)
    for index, face in enumerate(faces):
        face[4 + 8 * index : 14 + 8 * index, 30:40] = 255
    targets = np.zeros(count, np.int64)
    before = heat_maps(model, faces, targets, method)
    stages = cascade(model, faces, targets, method)
    assert [stage.layer for stage in stages] == ["trained", "head", "dense", "conv 3", "conv 2", "conv 1"]
    assert stages[0].likeness == pytest.approx(1)
    assert abs(stages[-1].likeness.mean()) < 0.5
    assert np.array_equal(heat_maps(model, faces, targets, method), before)
    again = cascade(model, faces, targets, method)
    assert all(np.array_equal(one.maps, two.maps) for one, two in zip(stages, again, strict=True))
    assert sanity_csv(stages).splitlines()[1] == "trained,1.0000,1.0000,1.0000,0"


def test_the_check_finds_maps_that_show_edges_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that never asks the network passes for an explanation, until the weights are shuffled."""

    def edges(model: Model, images: np.ndarray, targets: np.ndarray, method: Method) -> np.ndarray:
        return np.abs(np.diff(images.astype(np.float32), axis=1, prepend=0))

    monkeypatch.setattr(sanity, "heat_maps", edges)
    stages = cascade(lively(), FACES[:4], np.zeros(4, np.int64), "gradcam")
    assert all(stage.likeness == pytest.approx(1) for stage in stages)


def test_likeness_is_spearmans() -> None:
    one = np.array([[[0.0, 1], [2, 3]]])
    assert likeness(one, np.exp(one)) == pytest.approx(1)
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one, one * 0) == pytest.approx(0)
    assert likeness(one, np.array([[[1.0, 0], [2, 3]]])) == pytest.approx(0.8)


def test_a_photos_picture_shows_each_face_twice_and_its_likeliest_classes() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8)
    maps = np.zeros((2, 48, 48), np.float32)
    maps[1, 30:40, 10:20] = 1
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]], np.float32)
    classes = ("a", "b", "a very long name of a class")
    alone = photo_picture(PhotoMaps(faces[:1], maps[:1], probabilities[:1], classes), "base on a.jpg")
    both = photo_picture(PhotoMaps(faces, maps, probabilities, classes), "base on a.jpg")
    assert both.mode == "RGB"
    assert both.width == alone.width
    assert both.height > alone.height


@pytest.mark.parametrize("sign", [0, -1])
def test_a_map_without_heat_leaves_the_face_as_it_is(sign: int) -> None:
    face = np.full((48, 48), 100, np.uint8)
    assert (np.asarray(heat_overlay(face, np.full((48, 48), 0.5 * sign))) == 100).all()


def test_heat_colours_the_region_it_lies_in() -> None:
    heat = np.zeros((48, 48))
    heat[8:16, 32:40] = 0.2
    picture = np.asarray(heat_overlay(np.full((48, 48), 100, np.uint8), heat, side=96)).astype(int)
    red, _, blue = picture[24, 72]
    assert red > blue + 50
    assert (picture[80:, :40] == 100).all()
