"""The routes of the server, and the errors that they answer with."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from prometheus_client.core import Metric
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from components.api import cards, chat, completions, embeddings, feedback, metrics, models, tasks
from components.api.admission import Admission
from components.api.door import Door
from components.api.errors import ApiError
from components.api.exchange import House
from components.api.live import Live
from components.api.metrics import Metrics
from components.api.page import serving as page
from components.api.requests import (
    ChatRequest,
    ClassifyRequest,
    CompletionRequest,
    EmbeddingRequest,
    FeedbackRequest,
    TaskRequest,
)
from components.api.settings import Serve
from components.api.shadow import Shadows
from components.api.tracing import TELEMETRY
from components.traffic.log import Log

CLOSED = 499  # as in nginx: the client went away, and nobody reads the answer


class ErrorContent(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error, as OpenAI's API has it."""

    error: ErrorContent


Model = Annotated[str, Query(max_length=200)]

ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}


def create(settings: Serve, recipes: Sequence[str], version: str) -> FastAPI:
    """The application for these recipes; it follows the registry from its start to its end."""
    live = Live(recipes, settings)
    admission = Admission(settings.max_concurrent, settings.max_queued, settings.max_wait_seconds)
    figures, log = Metrics(), Log(settings.log) if settings.log else None
    house = House(settings, live, admission, figures, Shadows(), log, figures.count)
    house.metrics.watch(partial(_figures, house))

    @asynccontextmanager
    async def following(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(live.follow(settings.follow_seconds))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await house.shadows.close()
        await live.close()
        if log is not None:
            await asyncio.to_thread(log.close)

    # No page of documentation: those of FastAPI load their scripts from elsewhere.
    app = FastAPI(
        title="lmforge", version=version, lifespan=following, docs_url=None, redoc_url=None, telemetry=TELEMETRY
    )
    _add_routes(app, house)
    _add_state(app, house)
    page.add(app)
    app.add_exception_handler(ApiError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=CLOSED))
    app.add_exception_handler(Exception, _of_bug)
    app.add_middleware(Door, settings=settings, metrics=house.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"],
            expose_headers=["x-lmforge-version", "x-lmforge-digest"],
        )  # fmt: skip
    return app


def _add_routes(app: FastAPI, house: House) -> None:
    @app.post("/v1/chat/completions", responses=ERRORS)
    async def chat_completions(asked: ChatRequest, request: Request) -> Response:
        """Answer a conversation, whole or as server-sent events."""
        return await house.answer(request, asked.model, partial(chat.answer, asked))

    @app.post("/v1/completions", responses=ERRORS)
    async def text_completions(asked: CompletionRequest, request: Request) -> Response:
        """Continue texts."""
        return await house.answer(request, asked.model, partial(completions.answer, asked))

    @app.post("/v1/embeddings", responses=ERRORS)
    async def embed(asked: EmbeddingRequest, request: Request) -> Response:
        """The mean of the last hidden states of each text, at unit length."""
        return await house.answer(request, asked.model, partial(embeddings.answer, asked))

    @app.post("/v1/classify", responses=ERRORS)
    async def classify(asked: ClassifyRequest, request: Request) -> Response:
        """The label of each input, with the probabilities of all labels."""
        return await house.answer(request, asked.model, partial(tasks.classify, asked))

    @app.post("/v1/tasks/{name}", responses=ERRORS)
    async def task(name: str, asked: TaskRequest, request: Request) -> Response:
        """The answer to a task that the model was trained on, from its inputs by field."""
        return await house.answer(request, asked.model, partial(tasks.answer, name, asked))

    @app.post("/v1/feedback", responses=ERRORS)
    async def judge(asked: FeedbackRequest) -> Response:
        """Keep what a user says about an answer: a thumb, or what the answer should have been."""
        return await feedback.answer(asked, house)

    @app.get("/v1/tasks", responses=ERRORS)
    async def list_tasks(model: Model) -> Response:
        """The tasks that a model was trained on, with their inputs and labels."""
        async with house.live.version(model) as version:
            return JSONResponse({"object": "list", "data": tasks.listed(version)}, headers=version.headers)

    @app.get("/v1/models", responses=ERRORS)
    async def list_models() -> Response:
        """The models, each with its aliases."""
        return JSONResponse({"object": "list", "data": models.listed(house.live)})

    @app.get("/v1/models/{model}", responses=ERRORS)
    async def one_model(model: str) -> Response:
        """One of them."""
        return JSONResponse(models.one(house.live, model))

    @app.get("/v1/models/{model}/card", responses=ERRORS)
    async def model_card(model: str) -> Response:
        """The model card, and how the gate judged the version."""
        async with house.live.version(model) as version:
            return JSONResponse(await cards.card(version, model), headers=version.headers)


def _add_state(app: FastAPI, house: House) -> None:
    @app.get("/health")
    async def health() -> Response:
        """Whether the server runs."""
        return JSONResponse({"status": "ok"})

    @app.get("/ready", responses=ERRORS)
    async def ready() -> Response:
        """Whether it has a model to answer with; and what of the registry's it has, and could not load."""
        state = house.live.state() | {"keeps_answers": house.log is not None}
        return JSONResponse(state, 200 if state["ready"] else 503)

    @app.get("/metrics")
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(house.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _figures(house: House) -> Iterator[Metric]:
    """What is read when Prometheus asks: the requests under way, and the work of the engines."""
    yield metrics.gauge("running", "Requests that are being answered", house.admission.running)
    yield metrics.gauge("queued", "Requests that wait for their turn", house.admission.queued)
    yield metrics.versions(house.live.champions)
    yield from metrics.engines(house.live.champions)
    yield from metrics.challengers({name: recipe.challenger for name, recipe in house.live.recipes.items()})
    if house.log is not None:
        yield metrics.kept(house.log)


async def _of_ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _of_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    return ApiError(error.status_code, str(error.detail), code=code, headers=error.headers).response()


async def _of_validation(_: Request, error: Exception) -> Response:
    """The first thing that is wrong with a request, by the name of its field."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    what = f"{param}: " if param else ""
    return ApiError(400, f"{what}{first['msg']}", param=param or None).response()


async def _of_bug(_: Request, __: Exception) -> Response:
    return ApiError(500, "the server failed: its log says why", kind="server_error", code="internal_error").response()
