"""The command line: parse, call, print. The only place that prints.

Results go to stdout, progress and remarks to stderr. Bad input gives one line and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

import tyro

from mien.cli.console import say, words
from mien.cli.data import audit, explore, prepare
from mien.cli.demo import demo
from mien.cli.evaluate import compare, evaluate, explain
from mien.cli.models import calibrate, export
from mien.cli.predict import predict
from mien.cli.report import card, report
from mien.cli.serve import serve
from mien.cli.train import recipes, train
from mien.errors import MienError

_INTERRUPTED = 130


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "explore": explore,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "explain": explain,
    "predict": predict,
    "calibrate": calibrate,
    "export": export,
    "audit": audit,
    "serve": serve,
    "report": report,
    "card": card,
    "demo": demo,
    "recipes": recipes,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    try:
        call(sys.argv[1:] if arguments is None else arguments)
    except MienError as error:
        say(f"mien: {error}")
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


def call(arguments: Sequence[str]) -> None:
    """Parse one command and do it; its words are kept for the record of what it writes."""
    words[:] = ["mien", *arguments]
    tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="mien", args=arguments, description=__doc__)
