"""Augmentation: exact where geometry says so, random only by its generator."""

import math

import pytest
import torch

from mien.records.recipe import Augment
from mien.train.augment import augmented, draw_maps, warp

FACES = torch.rand(5, 1, 48, 48, generator=torch.Generator().manual_seed(0))
STILL = Augment(rotation=0, zoom=0, shear=0, flip=False, brightness=(1, 1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(*rows: float) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).view(1, 2, 3).repeat(5, 1, 1)


def test_without_ranges_nothing_changes() -> None:
    assert torch.allclose(augmented(FACES, STILL, generator()), FACES, atol=1e-5)


def test_mirrored_twice_is_the_identity() -> None:
    mirror = maps(-1, 0, 0, 0, 1, 0)
    assert torch.allclose(warp(FACES, mirror), FACES.flip(3), atol=1e-5)
    assert torch.allclose(warp(warp(FACES, mirror), mirror), FACES, atol=1e-5)


def test_a_quarter_turn_is_exact() -> None:
    assert torch.allclose(warp(FACES, maps(0, -1, 0, 1, 0, 0)), FACES.rot90(1, (2, 3)), atol=1e-4)


def test_shear_is_a_factor_not_an_angle() -> None:
    """x' = x + s y with s up to 0.2: the top row moves by about 0.2 * 24 pixels against the middle."""
    drawn = draw_maps(4000, Augment(rotation=0, zoom=0, shear=0.2, flip=False), torch.device("cpu"), generator())
    shear = drawn[:, 0, 1]
    assert shear.abs().max() == pytest.approx(0.2, abs=0.001)
    assert torch.equal(drawn[:, 0, 0], torch.ones(4000))
    assert torch.equal(drawn[:, 1, 1], torch.ones(4000))


def test_ranges_are_kept() -> None:
    drawn = draw_maps(4000, Augment(shear=0, flip=False), torch.device("cpu"), generator())
    angle = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0])
    scale = 1 / drawn[:, :, :2].det().sqrt()
    assert math.degrees(angle.abs().max()) == pytest.approx(15, abs=0.1)
    assert scale.min() == pytest.approx(0.9, abs=0.001)
    assert scale.max() == pytest.approx(1.1, abs=0.001)


def test_half_of_the_faces_are_mirrored() -> None:
    drawn = draw_maps(4000, Augment(rotation=0, zoom=0, shear=0), torch.device("cpu"), generator())
    assert (drawn[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.03)


def test_brightness_is_a_factor_and_stays_in_range() -> None:
    gray = torch.full((2000, 1, 8, 8), 0.5)
    out = augmented(gray, Augment(rotation=0, zoom=0, shear=0, flip=False), generator())
    assert out.min() == pytest.approx(0.35, abs=0.002)
    assert out.max() == pytest.approx(0.65, abs=0.002)
    assert augmented(torch.ones(50, 1, 8, 8), Augment(), generator()).max() <= 1


def test_each_change_is_made_with_its_own_probability() -> None:
    one_by_one = Augment(rotation=20, zoom=0, shear=0, shift=0.1, flip=False, probability=0.3)
    drawn = draw_maps(4000, one_by_one, torch.device("cpu"), generator())
    turned, moved = drawn[:, 0, 1] != 0, drawn[:, 0, 2] != 0
    assert turned.float().mean() == pytest.approx(0.3, abs=0.03)
    assert moved.float().mean() == pytest.approx(0.3, abs=0.03)
    assert (turned & moved).float().mean() == pytest.approx(0.09, abs=0.02)
    same = augmented(torch.full((2000, 1, 8, 8), 0.5), Augment(0, 0, 0, flip=False, probability=0.3), generator())
    assert (same == 0.5).all((1, 2, 3)).float().mean() == pytest.approx(0.7, abs=0.04)


def test_borders_are_reflected() -> None:
    """A shifted white face stays white: nothing black enters from outside."""
    assert (warp(torch.ones(5, 1, 48, 48), maps(1, 0.2, 0.5, 0, 1, 0.5)) > 0.999).all()


def test_the_generator_decides() -> None:
    augment = Augment()
    assert torch.equal(augmented(FACES, augment, generator(1)), augmented(FACES, augment, generator(1)))
    assert not torch.equal(augmented(FACES, augment, generator(1)), augmented(FACES, augment, generator(2)))
