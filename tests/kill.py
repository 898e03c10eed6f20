"""A death that tests choose: SIGKILL at the n-th call of this process that changes the disk."""

import os
import signal
from collections.abc import Callable
from typing import Any

WRITING = ("fsync", "replace", "unlink", "chmod")


def kill_at(place: int) -> None:
    """Have this process killed at its `place`-th call that changes the disk."""
    count = 0

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **others: Any) -> Any:
            nonlocal count
            count += 1
            if count == place:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **others)

        return counted

    for name in WRITING:
        setattr(os, name, before(getattr(os, name)))
