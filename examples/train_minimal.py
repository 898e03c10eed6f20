"""From the zip to an accuracy in one file of plain PyTorch, to be read from top to bottom.

    python examples/train_minimal.py data/archive.zip
    python examples/train_minimal.py FOLDER --epochs 4 --seed 1

Mien only loads the faces here; everything else is on this page. In the spirit of KellerJordan/cifar10-airbench:
the whole data set lies on the device as bytes, a batch is augmented by a few tensor operations, a small network is
trained by SGD on one cycle, and the result is an accuracy with its interval, not just a number.

It learns from the train part and is scored, once, on the test part; where there is none (FER-2013's archive without
PrivateTest), on the val part. Nothing is chosen on these faces: there is no early stopping, and the last epoch counts.
`mien train` adds what this page leaves out: augmentation in full, class weights, votes, resuming, model files.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien import Dataset, open_data

BATCH = 128
PEAK_RATE = 0.1  # of the learning rate, for batches of 128
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
SMOOTHING = 0.1  # of the labels: FER-2013's are right about two times in three
SHIFT = 4  # pixels, in any direction
BRIGHTNESS = 0.3  # +- share


def to_device(faces: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Faces uint8 [N, 1, 48, 48] and labels int64 [N]: FER-2013 is 66 MB as bytes, so all of it fits anywhere."""
    return torch.from_numpy(faces.images)[:, None].to(device), torch.from_numpy(faces.labels).to(device)


def normalise(faces: Tensor) -> Tensor:
    """float32 [B, 1, 48, 48], each face with mean 0 and deviation 1: lamps differ, expressions do not."""
    deviation, mean = torch.std_mean(faces.float(), dim=(1, 2, 3), keepdim=True)
    return (faces - mean) / (deviation + 1e-3)


def augment(faces: Tensor) -> Tensor:
    """The batch as the network sees it in training: shifted, half of the faces mirrored, lit otherwise. [B, 1, 48, 48]

    A shift is a crop of the padded face. `unfold` shows all crops without copying them; one is picked for each face.
    """
    count, _, side, _ = faces.shape
    padded = F.pad(faces, (SHIFT,) * 4, mode="reflect")
    crops = padded.unfold(2, side, 1).unfold(3, side, 1)  # [B, 1, 2 SHIFT + 1, 2 SHIFT + 1, 48, 48]
    down, right = torch.randint(2 * SHIFT + 1, (2, count), device=faces.device)
    shifted = crops[torch.arange(count, device=faces.device), :, down, right]
    mirrored = torch.rand(count, 1, 1, 1, device=faces.device) < 0.5
    light = 1 + BRIGHTNESS * (2 * torch.rand(count, 1, 1, 1, device=faces.device) - 1)
    return light * torch.where(mirrored, shifted.flip(3), shifted)


def block(narrow: int, wide: int, pool: bool = True) -> nn.Sequential:
    """3x3 convolution, max pooling, batch norm, ReLU; pooling first leaves a quarter of the work to the other two."""
    convolution = nn.Conv2d(narrow, wide, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.MaxPool2d(2) if pool else nn.Identity(), nn.BatchNorm2d(wide), nn.ReLU())


class Network(nn.Module):
    """Logits [B, K] of faces [B, 1, 48, 48]: 1.0 million weights, 54 million products a face."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.features = nn.Sequential(
            stem,  # 24 x 24
            block(32, 64),  # 12 x 12
            block(64, 128),  # 6 x 6
            block(128, 256, pool=False),
            block(256, 256),  # 3 x 3
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
        )
        self.head = nn.Linear(256, classes)
        nn.init.zeros_(self.head.weight)  # at first every class is as likely as any other: the loss starts at ln K
        nn.init.zeros_(self.head.bias)

    def forward(self, faces: Tensor) -> Tensor:
        return self.head(self.features(faces.contiguous(memory_format=torch.channels_last)))


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware multiplies it, float32 elsewhere."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def train(faces: Tensor, labels: Tensor, classes: int, epochs: int) -> Network:
    """Minimise the smoothed cross-entropy with SGD; the rate rises for a quarter of the run, then falls to zero."""
    device = faces.device
    network = Network(classes).to(device)
    batches = -(-len(labels) // BATCH)
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]  # not batch norm's, not biases
    others = [weight for weight in network.parameters() if weight.ndim == 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=PEAK_RATE, momentum=MOMENTUM, nesterov=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=epochs * batches + 1, pct_start=0.25, cycle_momentum=False
    )
    for epoch in range(1, epochs + 1):
        start, total = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(labels), device=device).split(BATCH):
            batch = augment(normalise(faces[chosen]))
            with autocast(device):
                logits = network(batch)
            loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            cycle.step()
            total += loss.detach() * len(chosen)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}/{epochs}  loss {total / len(labels):.3f}  {seconds:.1f} s", flush=True)
    return network.eval()


@torch.inference_mode()
def count_right(network: Network, faces: Tensor, labels: Tensor) -> int:
    """How many faces are named as they are labelled, by the mean of the face's logits and its mirror image's."""
    right = 0
    for some, truth in zip(faces.split(512), labels.split(512), strict=True):
        batch = normalise(some)
        right += int(((network(batch) + network(batch.flip(3))).argmax(1) == truth).sum())
    return right


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): it stays within 0 and 1, and is sound for small counts too."""
    share = right / count
    middle = share + z**2 / (2 * count)
    half = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return (middle - half) / (1 + z**2 / count), (middle + half) / (1 + z**2 / count)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network and print its accuracy.")
    parser.add_argument("data", help="FER-2013's archive.zip, a folder of <class>/<image>, or a prepared folder")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    begun = time.perf_counter()
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    split = open_data(options.data)
    part = "test" if len(split.test) else "val"
    print(f"{len(split.train):,} faces to learn from; {split.origin}", flush=True)
    network = train(*to_device(split.train, device), len(split.classes), options.epochs)

    count = len(split.part(part))
    right = count_right(network, *to_device(split.part(part), device))
    low, high = wilson(right, count)
    seconds = time.perf_counter() - begun
    print(f"{part} accuracy {right / count:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {count:,})")
    print(f"{seconds:.0f} s, reading included")


if __name__ == "__main__":
    main()
