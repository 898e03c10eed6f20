"""How training reports its progress: a listener, and the one that shows it on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from mien.train.state import State


@dataclass(frozen=True)
class Progress:
    """Where a running epoch stands: samples seen and to see, mean loss and accuracy so far."""

    epoch: int
    epochs: int
    samples_seen: int
    faces: int
    loss: float
    accuracy: float


class Listener:
    """Hears of steps (a few a second), of each epoch's end, and of what deserves a remark.

    Override a method, or give a function for it.

    >>> Listener(on_remark=print).on_remark("starting anew")
    starting anew
    """

    def __init__(
        self,
        on_step: Callable[[Progress], None] | None = None,
        on_epoch: Callable[[State], None] | None = None,
        on_remark: Callable[[str], None] | None = None,
    ) -> None:
        self._step, self._epoch, self._remark = on_step, on_epoch, on_remark

    def on_step(self, progress: Progress) -> None:
        """A few times a second, and at the end of an epoch."""
        if self._step:
            self._step(progress)

    def on_epoch(self, state: State) -> None:
        """After each epoch."""
        if self._epoch:
            self._epoch(state)

    def on_remark(self, text: str) -> None:
        """What deserves a remark, such as where a resumed run goes on."""
        if self._remark:
            self._remark(text)


class ProgressBar(Listener):
    """A live line on stderr where that is a terminal (loss, accuracy, images/s, time left), and a lasting one an epoch.

    lasting: show the lasting lines and remarks even where there is no terminal.
    """

    def __init__(self, epochs: int, faces: int, *, lasting: bool = False) -> None:
        super().__init__()
        self.epochs, self.faces = epochs, faces
        self.lasting = lasting or sys.stderr.isatty()
        self.bar = tqdm(total=epochs * faces, unit=" images", unit_scale=True, disable=None, leave=False, smoothing=0.1)

    def on_step(self, progress: Progress) -> None:
        """Move the bar on."""
        bar, before = self.bar, (progress.epoch - 1) * self.faces
        if not bar.n:  # what a resumed run did before says nothing about its speed now
            bar.initial = bar.n = bar.last_print_n = before
        bar.set_description(f"epoch {progress.epoch}/{progress.epochs}", refresh=False)
        bar.set_postfix_str(f"loss {progress.loss:.3f}, accuracy {100 * progress.accuracy:.1f} %", refresh=False)
        bar.update(before + progress.samples_seen - bar.n)

    def on_epoch(self, state: State) -> None:
        """Print the epoch's figures."""
        last = state.last
        self.on_remark(
            f"epoch {last.epoch:>2}/{self.epochs}  loss {last.loss:.4f}  accuracy {100 * last.accuracy:5.1f} %  "
            f"val loss {last.val_loss:.4f}  val accuracy {100 * last.val_accuracy:5.1f} %  rate {last.lr:.2g}  "
            f"{last.images_per_second:,.0f} images/s{'  * saved' if state.best is last else ''}"
        )
        if state.ended:
            self.bar.close()

    def on_remark(self, text: str) -> None:
        """Print a line above the bar."""
        if self.lasting:
            self.bar.clear()
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is what it is for
