"""The commands for the page: serve, with the HTTP API, and page, for a host of files alone."""

from __future__ import annotations

import os
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.cli.console import say
from mien.cli.options import Repeated, Switch, option
from mien.errors import UsageError
from mien.extras import require

if TYPE_CHECKING:
    from mien.models.model import Model
    from mien.serve.engine import Engine


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    model: Annotated[Repeated[tuple[str, ...]], option("MODEL", "all that come with Mien")] = (),
    workers: Annotated[int | None, option("INT", "one a core")] = None,
    token: Annotated[str, option("SECRET", "MIEN_TOKEN of the environment, or none")] = "",
    allow_origin: Annotated[Repeated[tuple[str, ...]], option("ORIGIN", "none")] = (),
    open: Switch = False,
) -> None:
    """Serve a page for people and an HTTP API for programs, on this machine alone.

    Args:
        host: address to listen on. Any but this machine's own (127.0.0.1) needs a token.
        port: port to listen on; if it is taken, the next free one. 0 takes any.
        model: a model file, run folder or name to answer by; may be given several times, the first one is the
            default.
        workers: pictures looked at at the same time.
        token: secret that programs send as `Authorization: Bearer SECRET`.
        allow_origin: another site's page that may ask, as https://example.org; may be given several times.
        open: open the page in the browser.
    """
    require("mien serve", "fastapi", "fastapi-offline", "prometheus-client", "python-multipart", "uvicorn")
    os.environ["OMP_NUM_THREADS"] = "1"  # each worker is a thread already
    from mien.serve.app import create_app
    from mien.serve.guard import is_loopback
    from mien.serve.server import bind, url
    from mien.serve.server import serve as run
    from mien.serve.settings import Settings

    token = token or os.environ.get("MIEN_TOKEN", "")
    if not is_loopback(host) and not token:
        raise UsageError(f"--host {host}: others could ask this server; give --token SECRET, or leave --host out")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: give 1 or more")
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: give a number from 0 to 65535")
    settings = Settings(host, port, token, tuple(allow_origin), **({"workers": workers} if workers else {}))
    app = create_app(_engine(model, settings.max_pixels), settings)
    listener, wanted = bind(settings)
    address = url(host, listener)

    def ready() -> None:
        if not wanted and port:
            say(f"port {port} is taken; using {listener.getsockname()[1]}")
        print(f"Mien is at {address} (Ctrl-C ends it)", flush=True)
        if open:  # without waiting for a browser to start
            page = f"{address}#token={token}" if token else address
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()

    run(app, listener, settings, ready)


def page(
    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT", help_behavior_hint="")]],
    model: Annotated[Repeated[tuple[str, ...]], option("MODEL", "all that come with Mien")] = (),
) -> None:
    """Write the page as files for any static host; its models run in the browser.

    Args:
        out: folder to write; an earlier page there is replaced.
        model: a model file, run folder or name to answer by; may be given several times, the first one (base, of
            those that come with Mien) is the default, the others are loaded when they are chosen.
    """
    from mien.serve.folder import write_folder

    sizes = write_folder(_models(model), out)
    whole, first, gzipped = (f"{size / 1e6:.1f} MB" for size in sizes)
    print(f"{out / 'index.html'}: {whole} in all; a first visit loads {first}, {gzipped} gzipped")


def _models(names: tuple[str, ...]) -> dict[str, Model]:
    """The models to answer by, or all that come with Mien, base first."""
    from mien.models.files import SHIPPED, model_name, read_model
    from mien.serve.catalogue import loaded

    shipped = sorted((file.stem for file in SHIPPED.glob("*.onnx")), key=lambda name: (name != "base", name))
    return loaded(list(names) or shipped, read_model, lambda name: model_name(Path(name)))


def _engine(names: tuple[str, ...], max_pixels: int) -> Engine:
    """The models to answer by, each loaded once, the detector too."""
    from mien.explain.occlusion import occlusion
    from mien.serve.engine import Engine, warm_up

    engine = Engine(_models(names), occlusion, max_pixels)
    warm_up(engine)
    return engine
