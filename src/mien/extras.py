"""What the light install leaves out, and the one line that says how to get it.

`pip install .` brings what prediction needs. Whatever needs more asks `require` for it before any work is done.
"""

from __future__ import annotations

from importlib.util import find_spec

from mien.errors import UsageError

OPTIONAL: dict[str, tuple[str, str]] = {  # what pip installs: the module it brings, and the extra it belongs to
    "torch": ("torch", "train"),
    "safetensors": ("safetensors", "train"),
    "scikit-learn": ("sklearn", "train"),
    "scipy": ("scipy", "train"),
    "matplotlib": ("matplotlib", "report"),
    "jinja2": ("jinja2", "report"),
    "keras": ("keras", "keras"),
    "h5py": ("h5py", "keras"),
    "cleanlab": ("cleanlab", "audit"),
    "pandas": ("pandas", "pandas"),
    "kagglehub": ("kagglehub", "hub"),
    "fastapi": ("fastapi", "serve"),
    "fastapi-offline": ("fastapi_offline", "serve"),
    "prometheus-client": ("prometheus_client", "serve"),
    "python-multipart": ("python_multipart", "serve"),
    "uvicorn": ("uvicorn", "serve"),
    "pyarrow": ("pyarrow", "scale"),
    "ray": ("ray", "ray"),
}


def require(what: str, *packages: str) -> None:
    """Raise UsageError unless all `packages` that `what` needs are installed."""
    if line := missing(what, *packages):
        raise UsageError(line)


def missing(what: str, *packages: str) -> str:
    """Which of the `packages` that `what` needs are not installed, and the command that brings them; "" if all are."""
    lacking = [package for package in packages if find_spec(OPTIONAL[package][0]) is None]
    if not lacking:
        return ""
    *some, last = lacking
    listed = f"{', '.join(some)} and {last}" if some else last
    extras = ",".join(dict.fromkeys(OPTIONAL[package][1] for package in lacking))
    return f"{what} needs {listed}: pip install '.[{extras}]'"
