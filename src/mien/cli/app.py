"""The command line: parse, call, print. The only place that prints.

Results go to stdout, progress and remarks to stderr. Bad input gives one line and exit code 2.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import TextIOWrapper

import tyro

from mien._version import __version__
from mien.cli.console import say
from mien.errors import MienError

_INTERRUPTED = 130
_GREETING = """\
Mien names the expression on a face: prepare data, train, evaluate, explain, predict.

To begin with:
  mien predict photo.jpg        name the expression on each face of a photo
  mien explain photo.jpg        draw where the model looks
  mien demo                     the whole way, from drawn faces to a report

Images stay on this machine. `mien COMMAND --help` shows the options of a command.
"""

COMMANDS = {  # the module of each in this room: only that of the chosen one is imported
    "predict": "predict",
    "batch": "batch",
    "explain": "evaluate",
    "serve": "serve",
    "page": "serve",
    "prepare": "data",
    "explore": "data",
    "audit": "data",
    "recipes": "train",
    "train": "train",
    "evaluate": "evaluate",
    "compare": "evaluate",
    "calibrate": "models",
    "report": "report",
    "card": "report",
    "export": "models",
    "demo": "demo",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK") != "0":  # the first of torchrun's speaks for all
        with open(os.devnull, "w", encoding="utf-8") as silence, redirect_stdout(silence), redirect_stderr(silence):
            return _run(arguments)
    return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"mien {__version__}")
        return 0
    try:
        with _caches():
            _call(words or ["--help"])
    except MienError as error:
        text = str(error)
        say(text if text.startswith("mien ") else f"mien: {text}")
        return 2
    except KeyboardInterrupt as interrupt:
        say(f"stopped by Ctrl-C{interrupt}")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` perhaps, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder in a file's place, a place that is not ours
        say(f"mien: {error.filename or 'a file'}: cannot be used ({error.strerror or error}); give another place")
        return 2
    return 0


def _call(words: Sequence[str]) -> None:
    """Call the command that the words name, with what they say."""
    config = (tyro.conf.OmitArgPrefixes,)
    if words[0] in COMMANDS:
        tyro.cli(_command(words[0]), prog=f"mien {words[0]}", args=words[1:], config=config)
    else:
        commands = {name: _command(name) for name in COMMANDS}
        tyro.extras.subcommand_cli_from_dict(commands, prog="mien", args=words, description=_GREETING, config=config)


def _command(name: str) -> Callable[..., None]:
    command = getattr(import_module(f"mien.cli.{COMMANDS[name]}"), name)
    # tyro would keep the line breaks within a description.
    command.__doc__ = re.sub(r"\n {12}", " ", command.__doc__ or "")
    return command


@contextmanager
def _caches() -> Iterator[None]:
    """A folder for what matplotlib, Keras and torch would leave elsewhere, which goes when the command ends."""
    try:
        folder = tempfile.mkdtemp(prefix="mien-")
    except OSError:  # nothing can be written here; they make do
        yield
        return
    ours = [name for name in ("MPLCONFIGDIR", "KERAS_HOME", "TORCHINDUCTOR_CACHE_DIR") if name not in os.environ]
    os.environ.update(dict.fromkeys(ours, folder))
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        shutil.rmtree(folder, ignore_errors=True)
