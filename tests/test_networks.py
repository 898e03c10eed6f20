"""The networks: shapes, a neutral start, every weight in use."""

import math

import numpy as np
import pytest
import torch
from conftest import NETWORKS, lively
from torch.nn.functional import cross_entropy

from mien.errors import UsageError
from mien.explain.gradcam import grad_cam
from mien.models.networks import Network, build, torch_network

FACES = torch.rand(6, 1, 48, 48, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 4, 5])


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    return build(NETWORKS[request.param], 7)


def test_an_untrained_network_knows_nothing(network: Network) -> None:
    assert cross_entropy(network(FACES), LABELS).item() == pytest.approx(math.log(7), abs=1e-5)


def test_every_weight_gets_a_gradient(network: Network) -> None:
    torch.nn.init.normal_(network.head.weight)  # at its start, zero, the head passes nothing back
    cross_entropy(network(FACES), LABELS).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_a_faces_answer_does_not_depend_on_its_batch_mates(network: Network) -> None:
    torch.nn.init.normal_(network.head.weight)
    network(FACES)  # moves the batch norm's statistics
    network.eval()
    with torch.inference_mode():
        assert torch.allclose(network(FACES)[2], network(FACES[2:3])[0], atol=1e-5)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A device other than the CPU that every machine has: it computes no numbers, but keeps count of where they are."""
    monkeypatch.setattr("mien.models.networks.pick_device", lambda name: torch.device(name))
    return torch.device("meta")


@pytest.mark.parametrize("training", [True, False])
def test_predicting_neither_moves_nor_switches_the_network(training: bool, elsewhere: torch.device) -> None:
    model = lively(architecture="tiny")
    network = torch_network(model).train(training)
    network.blocks[1].eval()  # as a frozen block is
    before = state_of(network)
    faces = FACES.numpy()
    in_train_mode = network.logits(faces, "cpu")
    with pytest.raises(NotImplementedError):  # meta tensors hold no numbers to bring back
        network.logits(faces, "meta")
    assert state_of(network) == before
    np.testing.assert_array_equal(in_train_mode, network.eval().logits(faces, "cpu"))


@pytest.mark.parametrize("training", [True, False])
def test_grad_cam_neither_moves_nor_switches_the_network(training: bool) -> None:
    model = lively(architecture="tiny")
    network = torch_network(model).train(training)
    before = state_of(network)
    images, targets = (FACES[:, 0].numpy() * 255).astype(np.uint8), LABELS.numpy()
    maps = grad_cam(model, images, targets)
    assert maps.std() > 0
    assert state_of(network) == before
    network.to("meta")
    with pytest.raises(NotImplementedError):
        grad_cam(model, images, targets)
    assert {weight.device.type for weight in network.parameters()} == {"meta"}


def state_of(network: Network) -> tuple[object, ...]:
    weights = [(tensor.device, tensor.tolist()) for tensor in network.state_dict().values()]
    gradients = [weight.grad is None for weight in network.parameters()]
    hooks = [len(module._forward_hooks) for module in network.modules()]
    return weights, gradients, hooks, [module.training for module in network.modules()]


def test_one_batch_can_be_learned_by_heart(network: Network) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        loss = cross_entropy(network(FACES), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    assert (network(FACES).argmax(1) == LABELS).all()


def test_the_classic_network_has_the_tutorials_size() -> None:
    sizes = {name: tuple(weight.shape) for name, weight in build("classic", 7).named_parameters()}
    kernels = [shape for name, shape in sizes.items() if name.endswith("weight") and len(shape) > 1]
    assert kernels == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (128, 4608), (7, 128)]


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(UsageError, match="unknown network 'vgg'"):
        build("vgg", 7)
