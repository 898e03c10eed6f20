"""What commands print: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import tyro

from mien.errors import DataError

if TYPE_CHECKING:
    from tqdm import tqdm

    from mien.data.dataset import Split
    from mien.predict.video.follow import FrameResult
    from mien.records.recipe import Recipe
    from mien.train.progress import Listener


def say(text: str) -> None:
    """A remark, on stderr."""
    print(text, file=sys.stderr, flush=True)


def command_line(command: Callable[..., None], arguments: Mapping[str, Any]) -> str:
    """The line that runs `command` with these arguments; those that are the default are left out."""
    words = ["mien", command.__name__]
    kinds = get_type_hints(command, include_extras=True)
    for name, parameter in signature(command).parameters.items():
        value, default = arguments.get(name, parameter.default), parameter.default
        if is_dataclass(value):
            for field in fields(value):
                usual = field.default if default is Parameter.empty else getattr(default, field.name)
                words += _words(field.name, getattr(value, field.name), usual)
        elif tyro.conf.Positional[Any].__metadata__[0] in getattr(kinds[name], "__metadata__", ()):
            words += _words("", value, default)
        else:
            words += _words(name, value, default)
    return shlex.join(words)


def _words(name: str, value: Any, default: Any) -> list[str]:
    """The words of one argument: of a flag, of each of several values, of a value in its place (without a name)."""
    if value == default:
        return []
    flag = [f"--{name.replace('_', '-')}"] if name else []
    if value is True:
        return flag
    return [word for one in (value if isinstance(value, tuple) else (value,)) for word in (*flag, str(one))]


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def as_json(value: Any) -> str:
    """Indented JSON."""
    return dumps(value, indent=2)


def say_sizes(data: Path, split: Split) -> None:
    """How many faces each part has."""
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in split.parts().items())
    say(f"{data}: {sizes} ({split.origin})")


def progress(what: str, total: int | None, unit: str = " images", items: Iterable[Any] | None = None) -> tqdm[Any]:
    """A bar on stderr where that is a terminal; it moves by itself where it is given items."""
    from tqdm import tqdm

    return tqdm(items, what, total, unit=unit, unit_scale=True, disable=None, leave=False)


def progress_bar(what: str, total: int, unit: str = " images") -> Callable[[Iterable[Any]], Iterable[Any]]:
    """What wraps items to show progress over them, where a terminal shows it."""
    return (lambda items: progress(what, total, unit, items)) if sys.stderr.isatty() else lambda items: items


def training_progress(recipe: Recipe, faces: int) -> Listener:
    """A live line on stderr where that is a terminal; lasting lines for epochs and remarks."""
    from mien.train.progress import ProgressBar

    return ProgressBar(recipe.epochs, faces, lasting=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print above the progress bar, if there is one."""
    if not sys.stderr.isatty():
        for line in lines:
            print(line)
        return
    from tqdm import tqdm

    for line in lines:
        tqdm.write(line)


def raise_failures(failed: Sequence[str], total: int) -> None:
    """Raise DataError if anything failed; of several things, each is said first."""
    if not failed:
        return
    if total == 1:
        raise DataError(failed[0])
    for line in failed:
        say(line)
    raise DataError(f"{len(failed):,} of {total:,} could not be predicted on; see above")


def frame_listener(bar: tqdm[Any], lines: bool) -> Callable[[FrameResult], None]:
    """Moves the bar and, if `lines`, prints each frame that was looked at as a line of JSON."""

    def listen(watched: FrameResult) -> None:
        bar.update()
        if lines and watched.fresh:
            bar.clear()
            sys.stdout.write(dumps(watched.to_dict()) + "\n")  # in one go: Ctrl-C leaves whole lines
            sys.stdout.flush()

    return listen


def list_paths(paths: Iterable[Path]) -> None:
    """Paths, a line each."""
    for path in paths:
        print(path)
