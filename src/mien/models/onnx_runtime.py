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
_PROVIDER = "ExecutionProvider"  # what onnxruntime adds to the name of a device
_REMOTE = "Azure"  # sends its input to a server


def open_session(
    model: Path | bytes, threads: int | None = None, memory_pattern: bool = True, device: str = "cpu"
) -> InferenceSession:
    """A session for an `.onnx` file or its bytes, which must be known to be harmless.

    device: "cpu", or another that this onnxruntime was built for, such as "cuda", "coreml" or "openvino"; raises
    UsageError where it was not, or the device cannot be used.
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
    provider = _provider(device)
    session = onnxruntime.InferenceSession(source, options, providers=[provider])
    if provider not in session.get_providers():  # it falls back to the CPU, silently
        raise UsageError(f"device '{device}': onnxruntime cannot use it here; see to its driver, or use cpu")
    return session


def _provider(device: str) -> str:
    """What onnxruntime calls a device."""
    names = [name for name in onnxruntime.get_available_providers() if not name.startswith(_REMOTE)]
    devices = {name.removesuffix(_PROVIDER).lower(): name for name in names}
    if device not in devices:
        raise UsageError(
            f"device '{device}': the installed onnxruntime runs .onnx models on {', '.join(sorted(devices))} alone; "
            "use that, install its build for the device (onnxruntime-gpu for cuda), or take a .safetensors model"
        )
    return devices[device]
