"""A network with two heads, one for FER+ votes and one for FER-2013 labels: wide early pairs of convolutions.

    python bench/two_heads.py --data data/archive.zip --votes data/ferplus.csv --out runs/pairs

A probe for teachers: one body learns both label sources, half of the loss each. After each epoch PublicTest is scored
(plurality of the ten votes; FER-2013 labels), a line goes to OUT/log.jsonl and a checkpoint to OUT/checkpoint.pt, from
which the same command goes on. At the end OUT/ema.pt holds the averaged weights.
"""

from __future__ import annotations

import csv
import json
import math
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from mien import atomic, open_data
from mien.emotions import EMOTIONS
from mien.models.kernels import fused
from mien.models.networks import Block
from mien.train.augment import warp

FERPLUS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
OTHERS = ("contempt", "unknown", "NF")
K = len(EMOTIONS)

# Widths of the stages, units of the dense layer over the flattened maps (0: mean of each map), dropout after each stage
# and before the heads.
NETWORKS = {
    "pairs": (((64, 64), (128, 128), (256, 256), (256, 256)), 1024, 0.2, 0.5),
    "pairs-mean": (((64, 64), (128, 128), (256, 256), (256, 256)), 0, 0.1, 0.2),
    "slim": (((32, 64), (96, 96), (192, 192), (256, 256)), 512, 0.15, 0.4),
    "base": (((32,), (64,), (128, 128, 128), (256, 256, 256)), 0, 0.0, 0.2),
}


class Faces(NamedTuple):
    """Faces uint8 [N, 1, 48, 48], labels int64 [N], and votes float32 [N, 10] (zeros where nobody voted)."""

    images: Tensor
    labels: Tensor
    votes: Tensor

    def shares(self) -> tuple[Tensor, Tensor]:
        """Shares of the votes for our classes [N, K], and whether one of these got the most votes, bool [N]."""
        ours, others = self.votes[:, :K], self.votes[:, K:]
        learned = ours.amax(1) > others.amax(1)
        return ours / ours.sum(1, keepdim=True).clamp(min=1e-9), learned

    def plurality(self) -> Tensor:
        """The single most voted class, int64 [N]; -1 where there is a tie or it is none of ours."""
        most, second = self.votes.topk(2, 1).values.unbind(1)
        winner = self.votes.argmax(1)
        return torch.where((most > second) & (winner < K), winner, -1)


class TwoHeads(nn.Module):
    """Stages of blocks, then logits [B, 2 K]: FER-2013 labels first, FER+ votes second."""

    def __init__(self, name: str) -> None:
        super().__init__()
        stages, dense, self.stage_dropout, head_dropout = NETWORKS[name]
        widths = [width for stage in stages for width in stage]
        self.ends = [i == len(stage) - 1 for stage in stages for i in range(len(stage))]
        sizes = zip([1, *widths[:-1]], widths, self.ends, strict=True)
        blocks = [Block(*size, pool=pool) for *size, pool in sizes]
        self.blocks = nn.ModuleList(blocks)
        features = widths[-1] * ((48 >> len(stages)) ** 2 if dense else 1)
        self.dense = nn.Linear(features, dense) if dense else None
        self.drop = nn.Dropout(head_dropout)
        self.head = nn.Linear(dense or features, 2 * K)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.weight)
        if fused.available():
            for block in blocks:
                block.fused = block.width % 32 == 0
            blocks[0].fused_first = self.ends[0]

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, 2 K] of faces [B, 1, 48, 48] in [0, 1]."""
        maps = faces
        for block, end in zip(self.blocks, self.ends, strict=True):
            maps = dropout(block(maps), self.stage_dropout if end else 0.0, self.training)
        features = maps.mean((2, 3)) if self.dense is None else torch.relu(self.dense(maps.flatten(1)))
        return self.head(self.drop(features))


def read(archive: Path, votes: Path) -> tuple[Faces, Faces]:
    """Training and PublicTest."""
    with open(votes, newline="", encoding="utf-8") as file:
        columns = (*FERPLUS, *OTHERS)
        table = {row["file"].split("/", 1)[1]: [float(row[name]) for name in columns] for row in csv.DictReader(file)}
    split, parts = open_data(archive), []
    for part in (split.train, split.val):
        counts = np.array([table.get(path, [0.0] * 10) for path in part.paths], np.float32)
        parts.append(
            Faces(torch.from_numpy(part.images)[:, None], torch.from_numpy(part.labels), torch.from_numpy(counts))
        )
    return parts[0], parts[1]


def augmented(faces: Tensor, args: Namespace, generator: torch.Generator) -> Tensor:
    """Faces [B, 1, H, W] rotated, zoomed, sheared, shifted and brightened, each with probability one half; flipped."""

    def uniform() -> Tensor:
        return torch.rand(len(faces), generator=generator)

    def draw(limit: float) -> Tensor:
        return (uniform() * 2 - 1) * limit * (uniform() < 0.5)

    angle, scale, shear = draw(math.radians(args.rotation)), 1 / (1 + draw(args.zoom)), draw(args.shear)
    right, down, mirror = draw(args.shift), draw(args.shift), (uniform() < 0.5) * -2 + 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [cos * mirror, cos * shear - sin, 2 * right, sin * mirror, sin * shear + cos, 2 * down]
    brightness = 1 + draw(0.3)
    return (warp(faces, torch.stack(rows, 1).view(-1, 2, 3)) * brightness[:, None, None, None]).clamp_(0, 1)


@torch.inference_mode()
def score(network: nn.Module, faces: Faces, flip: bool) -> dict[str, float]:
    """Cross-entropy and accuracy against either label source, macro F1 against the votes; with flip, of mean
    probabilities over each face and its mirror image.
    """
    network.eval()
    logs = []
    for batch in faces.images.split(256):
        views = [batch.float() / 255]
        with torch.autocast("cpu", torch.bfloat16):
            outputs = [network(view).float() for view in (*views, *([views[0].flip(3)] if flip else []))]
        logs.append(torch.stack([out.view(-1, 2, K).softmax(2) for out in outputs]).mean(0).log())
    labels, votes = torch.cat(logs).unbind(1)
    (shares, learned), winner = faces.shares(), faces.plurality()
    judged = winner >= 0
    table = torch.zeros(K, K).index_put_((winner[judged], votes[judged].argmax(1)), torch.ones(()), accumulate=True)
    f1 = 2 * table.diagonal() / (table.sum(0) + table.sum(1)).clamp(min=1)
    return {
        "label_cross_entropy": cross_entropy(labels, faces.labels).item(),
        "label_accuracy": (labels.argmax(1) == faces.labels).float().mean().item(),
        "vote_cross_entropy": cross_entropy(votes[learned], shares[learned]).item(),
        "vote_accuracy": (table.trace() / table.sum()).item(),
        "vote_macro_f1": f1.mean().item(),
    }


class Training:
    """Network, average, optimiser and the number of updates done."""

    def __init__(self, args: Namespace, updates: int) -> None:
        torch.manual_seed(args.seed)
        self.args, self.updates, self.step, self.epoch = args, updates, 0, 0
        self.network, self.average = TwoHeads(args.net), TwoHeads(args.net)
        for network in (self.network, self.average):
            for weight in network.parameters():
                if weight.ndim == 4:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.average.load_state_dict(self.network.state_dict())
        kernels = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": 2 * args.l2}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, args.rate, momentum=0.9, nesterov=True, fused=True)
        if (path := args.out / "checkpoint.pt").exists():
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["net"])
            self.average.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["opt"])
            self.step, self.epoch = state["step"], state["epoch"]

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {"net": self.network.state_dict(), "ema": self.average.state_dict(), "opt": self.optimizer.state_dict()}
        state |= {"step": self.step, "epoch": self.epoch}
        atomic.write_with(self.args.out / "checkpoint.pt", lambda path: torch.save(state, path))

    def rate(self) -> float:
        """One cycle: up by cosine for a quarter of the updates, then down to zero."""
        up = self.updates // 4
        if self.step < up:
            return self.args.rate * (0.04 + 0.96 * (1 - math.cos(math.pi * self.step / up)) / 2)
        return self.args.rate * (1 + math.cos(math.pi * (self.step - up) / (self.updates - up))) / 2

    def update(self, faces: Tensor, labels: Tensor, shares: Tensor, learned: Tensor) -> tuple[float, float]:
        """One update; returns the loss of either head."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(faces).float()
        by_label = cross_entropy(logits[:, :K], labels, label_smoothing=self.args.smoothing)
        by_vote = cross_entropy(logits[:, K:], shares, reduction="none") * learned
        by_votes = by_vote.sum() / learned.sum().clamp(min=1)
        self.optimizer.zero_grad()
        ((by_label + by_votes) / 2).backward()
        self.optimizer.step()
        self.step += 1
        left = 1 - min(self.args.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, latest in zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                average.lerp_(latest, left) if average.is_floating_point() else average.copy_(latest)
        return by_label.item(), by_votes.item()


def main() -> None:
    """Train to the end, from the checkpoint if there is one."""
    flags = ArgumentParser(description=__doc__)
    flags.add_argument("--data", type=Path, required=True, help="FER-2013 as an archive")
    flags.add_argument("--votes", type=Path, required=True, help="ferplus.csv")
    flags.add_argument("--out", type=Path, required=True, help="folder for log, checkpoint and weights")
    flags.add_argument("--net", choices=list(NETWORKS), default="pairs")
    for name, default in (("epochs", 44), ("batch", 64), ("seed", 0), ("threads", 2)):
        flags.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("rate", 0.05), ("l2", 2.5e-4), ("smoothing", 0.1), ("ema", 0.998)):
        flags.add_argument(f"--{name}", type=float, default=default)
    for name, default in (("rotation", 15.0), ("zoom", 0.2), ("shear", 0.1), ("shift", 0.1)):
        flags.add_argument(f"--{name}", type=float, default=default)
    args = flags.parse_args()
    torch.set_num_threads(args.threads)
    faces, public = read(args.data, args.votes)
    shares, learned = faces.shares()
    updates = len(faces.labels) // args.batch
    args.out.mkdir(parents=True, exist_ok=True)
    atomic.write_text(args.out / "config.json", json.dumps(vars(args), default=str))
    training = Training(args, updates * args.epochs)
    while training.epoch < args.epochs:
        training.epoch += 1
        generator = torch.Generator().manual_seed(args.seed * 100003 + training.epoch)
        torch.manual_seed(args.seed * 77777 + training.epoch)
        order = torch.randperm(len(faces.labels), generator=generator)[: updates * args.batch]
        training.network.train()
        start, losses = time.perf_counter(), []
        for some in order.split(args.batch):
            batch = augmented(faces.images[some].float() / 255, args, generator)
            losses.append(training.update(batch, faces.labels[some], shares[some], learned[some].float()))
        seconds = time.perf_counter() - start
        by_label, by_votes = np.mean(losses, 0).tolist()
        line = {"epoch": training.epoch, "label_loss": by_label, "vote_loss": by_votes, "seconds": round(seconds, 1)}
        line |= score(training.average, public, flip=False)
        if training.epoch == args.epochs:
            line |= {f"flip_{name}": value for name, value in score(training.average, public, flip=True).items()}
        with open(args.out / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        training.save()
    torch.save(training.average.state_dict(), args.out / "ema.pt")


if __name__ == "__main__":
    main()
