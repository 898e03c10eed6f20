"""The compiled kernels compute what PyTorch's own operations compute."""

import copy
from pathlib import Path

import pytest
import torch
from torch.nn.functional import batch_norm, max_pool2d

from mien.models.kernels import fused as kernels
from mien.models.networks import Block, build, fuse

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no C compiler with OpenMP")


def a_norm(channels: int) -> torch.nn.BatchNorm2d:
    """One with gradients of either sign, and one that is zero."""
    norm = torch.nn.BatchNorm2d(channels, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    norm.weight.data[0] = 0
    return norm


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize(("channels", "size"), [(32, 12), (48, 6), (5, 4)])
def test_values_slopes_and_statistics(window: int, channels: int, size: int) -> None:
    torch.manual_seed(window + channels)
    x = torch.randn(7, channels, size, size) * 2 + 1
    ours, theirs = a_norm(channels), a_norm(channels)
    theirs.load_state_dict(ours.state_dict())
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = kernels.norm_pool_relu(a * 1, ours, window)
    expected = max_pool2d(theirs(b), window).relu()
    dy = torch.randn_like(y)
    y.backward(dy)
    expected.backward(dy)
    for one, other in ((y, expected), (a.grad, b.grad), (ours.weight.grad, theirs.weight.grad)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad, rtol=1e-4, atol=1e-4)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_bfloat16_is_rounded_once() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 32, 8, 8).bfloat16()
    norm = a_norm(32)
    exact = max_pool2d(batch_norm(x.float(), None, None, norm.weight, norm.bias, training=True, eps=norm.eps), 2).relu()
    y = kernels.norm_pool_relu(x, norm, 2)
    torch.testing.assert_close(y.float(), exact.bfloat16().float(), rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_what_is_not_a_number_stays_so(index: int) -> None:
    """A pooling or a ReLU that took it for small would hide a diverged network."""
    x = torch.zeros(2, 32, 2, 2)
    x[..., index // 2, index % 2] = torch.nan
    assert kernels.norm_pool_relu(x.clone(), a_norm(32), 2).isnan().all()
    with torch.no_grad():
        assert kernels.norm_pool_relu(x, a_norm(32).eval(), 2).isnan().all()
        assert kernels.first_block(x[:, :1], torch.nn.Conv2d(1, 32, 3, padding=1), a_norm(32).eval()).isnan().all()


def test_the_same_bits_again() -> None:
    x = torch.randn(64, 32, 24, 24)
    norm = a_norm(32)
    first, again = (kernels.norm_pool_relu(x, norm, 2) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", ["classic", "pooled", "deep"])
def test_a_fused_network_has_the_same_loss_and_slopes(name: str) -> None:
    torch.manual_seed(0)
    plain = build(name, 7).train()
    torch.nn.init.normal_(plain.head.weight, std=0.1)
    plain.get_submodule("dropout").eval()
    fused = copy.deepcopy(plain)
    fuse(fused)
    assert any(block.fused for block in fused.modules() if isinstance(block, Block))
    faces, labels = torch.rand(8, 1, 48, 48), torch.arange(8) % 7
    losses = [torch.nn.functional.cross_entropy(network(faces), labels) for network in (plain, fused)]
    torch.testing.assert_close(losses[0], losses[1])
    gradients = (
        torch.autograd.grad(loss, list(network.parameters()))
        for loss, network in zip(losses, (plain, fused), strict=True)
    )
    for (part, _), one, other in zip(plain.named_parameters(), *gradients, strict=True):
        if not part.endswith("0.bias"):  # the norm takes a convolution's bias away: its gradient is rounding alone
            assert (one - other).norm() < 0.02 * one.norm(), part


@pytest.mark.parametrize("name", ["classic", "deep"])
def test_in_eval_mode_too(name: str) -> None:
    torch.manual_seed(0)
    plain = build(name, 7).eval()
    torch.nn.init.normal_(plain.head.weight)
    for norm in (module for module in plain.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        assert norm.running_mean is not None
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.normal_(norm.weight)
    fused = copy.deepcopy(plain)
    fuse(fused)
    faces = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(fused(faces), plain(faces))
    assert torch.equal(fused(faces), plain(faces)), "with gradients, by PyTorch's own operations"


@pytest.mark.parametrize(("channels", "size"), [(32, 48), (16, 12), (5, 4)])
def test_the_first_block_with_its_convolution(channels: int, size: int) -> None:
    torch.manual_seed(channels)
    convolution, norm = torch.nn.Conv2d(1, channels, 3, padding=1), a_norm(channels)
    ours = torch.nn.Sequential(convolution, norm)
    theirs = copy.deepcopy(ours).double()
    faces = torch.rand(7, 1, size, size)
    y = kernels.first_block(faces, convolution, norm)
    expected = max_pool2d(theirs(faces.double()), 2).relu()
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    dy = torch.randn_like(y)
    y.backward(dy)
    expected.backward(dy.double())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, check_dtype=False, rtol=1e-4, atol=1e-4)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_the_first_block_is_rounded_once() -> None:
    torch.manual_seed(0)
    convolution, norm = torch.nn.Conv2d(1, 32, 3, padding=1), a_norm(32)
    faces = torch.rand(5, 1, 12, 12)
    exact = kernels.first_block(faces, convolution, norm)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = kernels.first_block(faces, convolution, norm)
    assert torch.equal(rounded, exact.bfloat16())
    dy = torch.randn_like(exact).bfloat16()
    for one, other in zip(
        torch.autograd.grad(rounded, list(norm.parameters()), dy),
        torch.autograd.grad(exact, list(norm.parameters()), dy.float()),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_other_numbers_are_left_to_pytorch(kind: torch.dtype) -> None:
    """So are other devices: the kernels take addresses."""
    network = build("classic", 7).eval().to(kind)
    fused = copy.deepcopy(network)
    fuse(fused)
    faces = torch.rand(3, 1, 48, 48, dtype=kind)
    with torch.no_grad():
        assert torch.equal(fused(faces), network(faces))
        assert fused.to("meta")(faces.to("meta")).shape == (3, 7)


def test_a_library_that_cannot_be_loaded_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nothing may be run from the folder for temporary files."""
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nfor last; do :; done\necho broken > "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    assert kernels._library.__wrapped__(torch.float32) is None


@pytest.mark.parametrize("batch", [4, 12])
def test_faces_side_by_side_do_not_see_each_other(batch: int) -> None:
    torch.manual_seed(batch)
    maps = torch.randn(batch, 16, 6, 6).to(memory_format=torch.channels_last).requires_grad_()
    convolution = torch.nn.Conv2d(16, 32, 3, padding=1)
    y = kernels._NarrowConvolution.apply(maps, convolution.weight, convolution.bias)
    dy = torch.randn_like(y)
    exact = copy.deepcopy(convolution).double()
    expected = exact(maps.double())
    torch.testing.assert_close(y.double(), expected, rtol=0.02, atol=0.02)
    ours = torch.autograd.grad(y, (maps, convolution.weight), dy)
    theirs = torch.autograd.grad(expected, (maps, exact.weight), dy.double())
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()
