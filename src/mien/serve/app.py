"""The routes: pictures in, lines of JSON out."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from threading import Event
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from mien._version import __version__
from mien.predict.detector import MIN_FACE
from mien.serve import schema
from mien.serve.bodies import JSON, MULTIPART, Bodies, media_type, uploads
from mien.serve.catalogue import describe
from mien.serve.engine import Engine, Options
from mien.serve.guard import Guard, unread
from mien.serve.metrics import CONTENT_TYPE, Metrics
from mien.serve.problems import Problem, ProblemResponse
from mien.serve.settings import Settings
from mien.serve.workers import Workers

PAGE = Path(__file__).with_name("page")
_NDJSON = "application/x-ndjson"


class QueryOptions(BaseModel):
    """What may stand behind the question mark."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("", description="A name that `/v1/models` lists; the first of them if not given.")
    labels: Literal["", "votes", "fer2013"] = Field(
        "",
        description="Label source to answer by: FER+ `votes`, or the labels of `fer2013`; by default votes, if it can.",
    )
    prior: Literal["natural", "uniform"] = Field(
        "natural",
        description="`natural` expects expressions as often as training showed them, `uniform` each equally often.",
    )
    crop: Literal["detect", "none"] = Field(
        "detect", description="`detect` finds the faces; `none` takes the picture as one ready-made crop."
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Faces below it are marked `uncertain`.")
    min_face: int = Field(
        MIN_FACE, ge=20, le=10_000, description="Side in pixels of the faces to look for; small ones take time."
    )
    upright: bool = Field(False, description="The picture is known not to lie on its side or stand on its head.")
    max_faces: int = Field(0, ge=0, le=10_000, description="So many faces at most, the largest ones; 0 for all.")
    tta: bool = Field(False, description="Mean of the answers for the face and its mirror image; twice the time.")


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """The application: routes, page, and what guards them. `app.state.drain()` ends what waits."""
    workers, bodies = Workers(settings.workers, settings.queue), Bodies(settings)
    metrics = Metrics(lambda: workers.pending)
    app = FastAPIOffline(
        title="Mien",
        version=__version__,
        summary="Names the expressions on the faces in a picture.",
        description=schema.DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    service = _Service(engine, settings, workers, bodies, metrics)

    def drain() -> None:
        workers.close()
        bodies.close()

    app.state.drain, app.state.workers = drain, workers
    _add_pictures(app, service)
    _add_status(app, service)
    _add_page(app)
    _add_problems(app)
    _complete(app, engine)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    return app


class _Service:
    """What the routes share."""

    def __init__(self, engine: Engine, settings: Settings, workers: Workers, bodies: Bodies, metrics: Metrics) -> None:
        self.engine, self.settings, self.workers, self.metrics = engine, settings, workers, metrics
        self._bodies = bodies

    async def predict(self, request: Request, query: QueryOptions) -> Response:
        """Predictions for the pictures in a request's body."""

        def answer(data: bytes, name: str, options: Options) -> dict[str, Any]:
            prediction = self.engine.predict(data, name, options)
            self.metrics.faces.inc(len(prediction.faces))
            return prediction.to_dict()

        return await self._answer(request, query, answer)

    async def explain(self, request: Request, query: QueryOptions) -> Response:
        """Predictions and maps for the pictures in a request's body."""
        return await self._answer(request, query, self.engine.explain)

    async def _answer(self, request: Request, query: QueryOptions, answer: Any) -> Response:
        options = self._options(query)
        kind, content_type = media_type(request), request.headers["content-type"] if media_type(request) else ""
        async with self._bodies.read(request) as data:

            def job(stop: Event) -> list[dict[str, Any]]:
                pictures = uploads(kind, content_type, data, self.settings)
                several = kind == MULTIPART
                return [
                    _or_error(answer, picture.data, picture.name or _number(i, several), options)
                    if several
                    else answer(picture.data, picture.name, options)
                    for i, picture in enumerate(pictures)
                    if not stop.is_set()
                ]

            answers = await self.workers.run(job, request, self.settings.answer_seconds)
        if kind == MULTIPART:
            return Response("".join(dumps(each) + "\n" for each in answers), media_type=_NDJSON)
        [single] = answers
        if "error" in single:
            raise Problem(422, single["error"])
        return Response(dumps(single) + "\n", media_type="application/json")

    def _options(self, query: QueryOptions) -> Options:
        if query.model and query.model not in self.engine.models:
            names = ", ".join(self.engine.models)
            raise Problem(400, f"model '{query.model[:100]}': this server has {names}")
        name = query.model or self.engine.default
        return Options(**query.model_dump())._replace(model=name)


def _number(i: int, several: bool) -> str:
    return f"image {i + 1}" if several else ""


def _or_error(answer: Any, data: bytes, name: str, options: Options) -> dict[str, Any]:
    """One of several pictures: what is wrong with it does not cost the others."""
    try:
        return answer(data, name, options)
    except Problem as problem:
        if problem.status != 413:
            raise
        return {"source": name, "frame": None, "faces": [], "error": f"{name}: {problem.detail}"}


def _add_pictures(app: FastAPI, service: _Service) -> None:
    """The routes that take pictures."""

    @app.post(
        "/v1/predict",
        tags=["pictures"],
        summary="Name the expressions on the faces in pictures",
        description=schema.PREDICT,
        response_class=Response,
        responses=schema.answers(schema.PREDICTION),
        openapi_extra=schema.BODY,
    )
    async def predict(request: Request, query: Annotated[QueryOptions, Query()]) -> Response:
        return await service.predict(request, query)

    @app.post(
        "/v1/explain",
        tags=["pictures"],
        summary="Show what on each face speaks for the answer",
        description=schema.EXPLAIN,
        response_class=Response,
        responses=schema.answers(schema.EXPLANATION),
        openapi_extra=schema.BODY,
    )
    async def explain(request: Request, query: Annotated[QueryOptions, Query()]) -> Response:
        return await service.explain(request, query)


def _add_status(app: FastAPI, service: _Service) -> None:
    """The routes about the server itself."""

    @app.get("/v1/models", tags=["server"], summary="The models that this server has", responses=schema.MODELS)
    async def models() -> JSONResponse:
        return JSONResponse({"models": describe(service.engine.models), "default": service.engine.default})

    @app.get("/healthz", tags=["server"], summary="Whether the server lives", responses=schema.STATE)
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", tags=["server"], summary="Whether it takes pictures", responses=schema.STATE_OR_BUSY)
    async def readyz() -> JSONResponse:
        if service.workers.closed:
            raise Problem(503, "the server is ending", {"Retry-After": "1"})
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", tags=["server"], summary="Counters for Prometheus", responses=schema.METRICS)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    """The page's files, all in one folder: a mount would take what other routes refuse."""
    files = StaticFiles(directory=PAGE)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.api_route("/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        return await files.get_response(name, request.scope)


def _complete(app: FastAPI, engine: Engine) -> None:
    """What the OpenAPI document of FastAPI leaves out: this server's models, and examples that hold a null."""
    for route, example in schema.EXAMPLES.items():
        described = app.openapi()["paths"][route]["post"]
        [model] = [each for each in described["parameters"] if each["name"] == "model"]
        model["schema"] |= {"enum": [*engine.models], "default": engine.default}
        described["responses"]["200"]["content"][JSON]["example"] = example


def _add_problems(app: FastAPI) -> None:
    """What FastAPI itself finds wrong, as problem+json; `Problem` is the guard's affair."""

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        detail = {404: "nothing is here; /docs lists what is", 405: "not this way; /docs says how"}
        problem = Problem(error.status_code, detail.get(error.status_code, error.detail), dict(error.headers or {}))
        return ProblemResponse(problem, unread(request.scope))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        detail = "no such option; /docs lists them" if first["type"] == "extra_forbidden" else first["msg"]
        return ProblemResponse(Problem(400, f"{name}: {detail}"), unread(request.scope))
