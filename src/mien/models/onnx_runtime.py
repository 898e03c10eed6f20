"""onnxruntime, imported here and nowhere else, with its telemetry off.

From 1.29 on it leaves a device id below `~/.cache` unless ORT_DISABLE_TELEMETRY is set before the import. Processes
started from this one inherit the variable.
"""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import UsageError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import onnxruntime
    from onnxruntime import InferenceSession
except ImportError:
    raise UsageError(".onnx models need onnxruntime: pip install onnxruntime") from None

__all__ = ["InferenceSession", "onnxruntime", "open_session"]

_ERRORS_ONLY = 3


def open_session(model: Path | bytes, threads: int | None = None, memory_pattern: bool = True) -> InferenceSession:
    """A session on the CPU for an `.onnx` file or its bytes, which must be known to be harmless.

    threads: how many a call uses; None for as many as OMP_NUM_THREADS says, which torch heeds as well, or one a core.
    memory_pattern: False where inputs change their shape, or memory grows with every new one.

    Between calls the threads sleep: spinning, as they would, they take the cores from torch where a model teaches.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = threads or (int(wanted) if wanted.isdecimal() else 0)  # 0: one a core
    options.enable_mem_pattern = memory_pattern
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
