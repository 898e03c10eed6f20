"""What the networks are made of, in numbers alone: for the code that builds them and the code that exports them.

A network is plain data, which travels in the model file: the name of one of `ARCHITECTURES`, or an `Architecture` or
`Mean` of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

from mien.errors import ModelError

SIDE = 48  # of the faces that every network takes
LABEL_SOURCES = ("votes", "fer2013")  # what a head may have learned, in the order in which a network has its heads

LEAST_PROBABILITY = 1e-12  # in a mean of probabilities: its logarithm stays a number

BlockKind = Literal["plain", "residual"]

_MOST_STAGES = 5  # each halves the side
_MOST_LAYERS, _WIDEST, _MOST_UNITS, _MOST_MEMBERS = 64, 512, 4096, 8
_MOST_WEIGHTS = 16 << 20  # of one network: 64 MiB in float32


@dataclass(frozen=True)
class Architecture:
    """A network apart from its weights and from the library that runs it.

    stages: widths of the 3x3 convolutions; each stage ends in a 2x2 max pool. dropout: before the last layer.
    dense: units of a dense layer over the flattened maps; 0 for global average pooling instead. stage_dropout: after
    each stage. block: "residual" for blocks of two convolutions with a way around them (He et al. 2016,
    arXiv:1512.03385), all but the first, which stays a convolution. squeeze: a residual block weighs its maps by what
    all of them hold on average, through width / squeeze units (Hu et al. 2018, arXiv:1709.01507); 0 for none.
    """

    stages: tuple[tuple[int, ...], ...]
    dropout: float
    dense: int = 0
    stage_dropout: float = 0.0
    block: BlockKind = "plain"
    squeeze: int = 0

    def convolutions(self) -> list[tuple[int, int, bool]]:
        """Channels in, channels out, and whether a pool follows, of each block in order."""
        widths = [width for stage in self.stages for width in stage]
        ends = [i == len(stage) - 1 for stage in self.stages for i in range(len(stage))]
        return list(zip([1, *widths], widths, ends, strict=False))

    def features(self) -> int:
        """Numbers a face that the convolutions leave: every position of every map, or each map's mean."""
        positions = (SIDE >> len(self.stages)) ** 2 if self.dense else 1
        return self.stages[-1][-1] * positions

    def plan(self) -> list[Layer]:
        """The layers from the face to the numbers that the heads take, in the order in which their arrays are stored.

        >>> [layer.kind for layer in Architecture(((8,), (8,)), dropout=0.0, block="residual").plan()]
        ['convolution', 'convolution', 'convolution', 'sum']
        """
        layers: list[Layer] = []
        for channels_in, width, pool in self.convolutions():
            before = len(layers) - 1
            if self.block == "plain" or before < 0:
                layers.append(Layer("convolution", (before,), (width, channels_in, 3, 3), pool=pool))
                continue
            layers.append(Layer("convolution", (before,), (width, channels_in, 3, 3)))
            layers.append(Layer("convolution", (before + 1,), (width, width, 3, 3), relu=False))
            if self.squeeze:
                layers.append(Layer("gate", (before + 2,), (squeezed(width, self.squeeze), width, 1, 1), relu=False))
            body, around = len(layers) - 1, before
            if channels_in != width:
                layers.append(Layer("convolution", (before,), (width, channels_in, 1, 1), relu=False))
                around = len(layers) - 1
            layers.append(Layer("sum", (body, around), (width,), pool=pool))
        if self.dense:
            side = SIDE >> len(self.stages)
            layers.append(Layer("dense", (len(layers) - 1,), (self.dense, self.stages[-1][-1], side, side)))
        return layers


class Layer(NamedTuple):
    """One layer with its ReLU and the max pool after it.

    kind: "convolution", "dense" (a convolution whose kernel covers the whole map), "gate" (squeeze-excitation) or
    "sum". sources: indices of the layers that it takes, -1 for the face. shape: of its weight; of a gate the first of
    two, of a sum the channels.
    """

    kind: Literal["convolution", "dense", "gate", "sum"]
    sources: tuple[int, ...]
    shape: tuple[int, ...]
    relu: bool = True
    pool: bool = False


class Member(NamedTuple):
    """A network of a `Mean`: its name or what it is made of, and what its heads have learned, "" where unknown."""

    architecture: str | Architecture
    heads: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Mean:
    """The mean of the probabilities of several networks; with `mirror`, of those for the mirrored face as well.

    Each head is the mean over the members that have it.
    """

    members: tuple[Member, ...]
    mirror: bool = False

    def heads(self) -> tuple[str, ...]:
        """What the heads of the members have learned, in the order of `LABEL_SOURCES`."""
        found = {head for member in self.members for head in member.heads}
        return tuple(source for source in ("", *LABEL_SOURCES) if source in found)


Described = str | Architecture | Mean  # a name is one of ARCHITECTURES

ARCHITECTURES = {
    "classic": Architecture(((32,), (64,), (128,)), dropout=0.5, dense=128),
    "pooled": Architecture(((32,), (64,), (128,)), dropout=0.5),
    "quick": Architecture(((32,), (64,), (128,), (256,)), dropout=0.0),
    "deep": Architecture(((24,), (48, 48), (96, 96), (192, 192)), dropout=0.2),
    "base": Architecture(((32,), (64,), (128, 128, 128), (256, 256, 256)), dropout=0.2),
    "tiny": Architecture(((16,), (32, 32), (64, 64), (128, 128)), dropout=0.1),
    "pairs": Architecture(
        ((64, 64), (128, 128), (256, 256), (256, 256)), dropout=0.5, dense=1024, stage_dropout=0.2
    ),
    "residual": Architecture(
        ((32,), (64, 64), (128, 128), (256, 256)), dropout=0.2, block="residual", squeeze=8
    ),
}  # fmt: skip


def squeezed(width: int, squeeze: int) -> int:
    """Units of a gate over maps of so many channels."""
    return max(1, width // squeeze)


def architecture_of(network: str | Architecture) -> Architecture:
    """What the network of this name, or described so, is made of."""
    return ARCHITECTURES[network] if isinstance(network, str) else network


def network_name(network: Described) -> str:
    """What a network is called: its name, or what kind it is.

    >>> network_name(Mean((Member("pairs", ("votes", "fer2013")), Member("base", ("votes",))), mirror=True))
    'mean of pairs, base and their mirror images'
    """
    if isinstance(network, str):
        return network
    if isinstance(network, Architecture):
        return f"{network.block} {'-'.join(str(width) for stage in network.stages for width in stage)}"
    names = ", ".join(network_name(member.architecture) for member in network.members)
    return f"mean of {names}{' and their mirror images' if network.mirror else ''}"


def to_plain(network: Described) -> str | dict[str, Any]:
    """A network as it travels in a file's header, as JSON has it."""
    if isinstance(network, str):
        return network
    if isinstance(network, Architecture):
        return asdict(network) | {"stages": [list(stage) for stage in network.stages]}
    members = [{"architecture": to_plain(each), "heads": list(heads)} for each, heads in network.members]
    return {"members": members, "mirror": network.mirror}


def from_plain(value: object) -> Described:
    """The network that a header describes; raises ModelError unless it is one, of a size that Mien's may have."""
    if isinstance(value, str):
        if value not in ARCHITECTURES:
            raise ModelError(f"made by another version of Mien (network '{value}'); export it again")
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"no network: {type(value).__name__}")
    network = _mean(value) if "members" in value else _architecture(value)
    if to_plain(network) != value:
        raise ModelError("describes its network in another way than Mien does; export it again")
    return network


def _architecture(fields: Mapping[str, Any]) -> Architecture:
    stages: Any = tuple(map(tuple, fields["stages"]))
    network = replace(Architecture(**fields), stages=stages)
    widths = [width for stage in network.stages for width in stage]
    numbers = [*widths, network.dense, network.squeeze]
    sound = (
        all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        and all(isinstance(share, float) and 0 <= share < 1 for share in (network.dropout, network.stage_dropout))
        and network.block in get_args(BlockKind)
        and 1 <= len(network.stages) <= _MOST_STAGES
        and all(network.stages)
        and len(widths) <= _MOST_LAYERS
        and all(1 <= width <= _WIDEST for width in widths)
        and 0 <= network.dense <= _MOST_UNITS
        and 0 <= network.squeeze <= _WIDEST
    )
    if not sound or sum(_weights(layer) for layer in network.plan()) > _MOST_WEIGHTS:
        raise ModelError("its network is none that Mien builds; export it again")
    return network


def _weights(layer: Layer) -> int:
    count = 0 if layer.kind == "sum" else 1
    for size in layer.shape:
        count *= size
    return count


def _mean(fields: Mapping[str, Any]) -> Mean:
    members = tuple(Member(_single(each["architecture"]), tuple(each["heads"])) for each in fields["members"])
    mean = Mean(members, fields["mirror"])
    if not 1 <= len(members) <= _MOST_MEMBERS or not isinstance(mean.mirror, bool):
        raise ModelError(f"its members are not 1 to {_MOST_MEMBERS} networks; export it again")
    for _, heads in members:
        if heads != ("",) and not are_sources(heads):
            raise ModelError(f"its heads are not some of {', '.join(LABEL_SOURCES)}; export it again")
    if "" in mean.heads() and len(mean.heads()) > 1:
        raise ModelError("some of its members do not say what they have learned; export it again")
    return mean


def _single(value: object) -> str | Architecture:
    network = from_plain(value)
    if isinstance(network, Mean):
        raise ModelError("a mean of means; export it again")
    return network


def are_sources(heads: tuple[str, ...]) -> bool:
    """Whether these are different label sources in the order of `LABEL_SOURCES`, one at least."""
    return bool(heads) and list(heads) == [source for source in LABEL_SOURCES if source in heads]
