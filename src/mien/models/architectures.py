"""What the networks are made of, in numbers alone: for the code that builds them and the code that exports them."""

from __future__ import annotations

from dataclasses import dataclass

SIDE = 48  # of the faces that every network takes


@dataclass(frozen=True)
class Architecture:
    """A network apart from its weights and from the library that runs it.

    stages: widths of the 3x3 convolutions; each stage ends in a 2x2 max pool. dropout: before the last layer.
    dense: units of a dense layer over the flattened maps; 0 for global average pooling instead.
    """

    stages: tuple[tuple[int, ...], ...]
    dropout: float
    dense: int = 0

    def convolutions(self) -> list[tuple[int, int, bool]]:
        """Channels in, channels out, and whether a pool follows, of each convolution in order."""
        widths = [width for stage in self.stages for width in stage]
        ends = [i == len(stage) - 1 for stage in self.stages for i in range(len(stage))]
        return list(zip([1, *widths], widths, ends, strict=False))

    def features(self) -> int:
        """Numbers a face that the convolutions leave: every position of every map, or each map's mean."""
        positions = (SIDE >> len(self.stages)) ** 2 if self.dense else 1
        return self.stages[-1][-1] * positions


ARCHITECTURES = {
    "classic": Architecture(((32,), (64,), (128,)), dropout=0.5, dense=128),
    "pooled": Architecture(((32,), (64,), (128,)), dropout=0.5),
    "quick": Architecture(((32,), (64,), (128,), (256,)), dropout=0.0),
    "deep": Architecture(((24,), (48, 48), (96, 96), (192, 192)), dropout=0.2),
    "base": Architecture(((32,), (64,), (128, 128, 128), (256, 256, 256)), dropout=0.2),
    "tiny": Architecture(((16,), (32, 32), (64, 64), (128, 128)), dropout=0.1),
}
