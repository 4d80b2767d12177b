"""The server of the labelling page: its addresses and answers, on this machine only."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from afsd_jax.errors import UserError, WriteError, printable
from afsd_jax.labelling.access import Guard
from afsd_jax.labelling.changes import ClassChange
from afsd_jax.labelling.label_project import Conflict, LabelProject, VideoPost, decode_post
from afsd_jax.report.label_page import label_page

log = logging.getLogger(__name__)

_MOST_BYTES = 32 << 20  # of a request
_TYPES = {".js": "text/javascript", ".css": "text/css"}
# A report has its script inside, and its own policy, which allows only that; it may ask nothing.
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; media-src data:; frame-ancestors 'none'"
)
_KEPT = {"Cache-Control": "private, max-age=600"}
_Answer = Callable[[Request], Awaitable[Response]]


def listen(port: int) -> socket.socket:
    """Returns a socket that listens on this machine only.

    Args:
      port: port; 0: a free one.

    Raises:
      UserError: the port is taken or not allowed.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port}: cannot be used ({error}); give another one") from error


def serve(project: LabelProject, listener: socket.socket, token: str) -> None:
    """Answers requests until the process is interrupted; then writes the labels file.

    Args:
      project: what is labelled.
      listener: of `listen`.
      token: of `access.new_token`.
    """
    app = Guard(application(project), token, listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, project)
    try:
        server.run(sockets=[listener])
    finally:
        project.close()


class _Server(uvicorn.Server):
    """Ends the streams of events when it stops; it would wait for them."""

    def __init__(self, config: uvicorn.Config, project: LabelProject):
        super().__init__(config)
        self._project = project

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._project.events.end()
        await super().shutdown(sockets)


def application(project: LabelProject) -> Starlette:
    """Returns the application that answers for a project, without its guard."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        project.begin()
        keeping = asyncio.create_task(project.keep_file())
        try:
            yield
        finally:
            keeping.cancel()

    routes = [
        Route(path, _answering(answer), methods=methods)
        for path, answer, methods in _Answers(project).routes()
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Answers:
    """The answers to the requests of a project's page."""

    def __init__(self, project: LabelProject):
        self._project = project
        self._readers = asyncio.Semaphore(2)  # videos that are decoded at once
        self._assets = {
            part.name: part
            for part in resources.files("afsd_jax.report").iterdir()
            if Path(part.name).suffix in _TYPES
        }

    def routes(self) -> list[tuple[str, _Answer, list[str]]]:
        return [
            ("/", self._page, ["GET"]),
            ("/assets/{name}", self._asset, ["GET"]),
            ("/api/project", self._overview, ["GET"]),
            ("/api/videos/{number:int}", self._video, ["GET"]),
            ("/api/videos/{number:int}", self._change_video, ["POST"]),
            ("/api/classes", self._change_classes, ["POST"]),
            ("/api/events", self._events, ["GET"]),
            ("/media/{number:int}", self._media, ["GET"]),
            ("/thumbnail/{number:int}", self._thumbnail, ["GET"]),
            ("/waveform/{number:int}", self._waveform, ["GET"]),
            ("/api/learn", self._learn, ["POST"]),
            ("/api/statistics", self._statistics, ["GET"]),
            ("/report/{number:int}", self._report, ["GET"]),
        ]

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(label_page(self._project.store.path.name))

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        content = self._assets[name].read_bytes()
        return Response(content, media_type=_TYPES[Path(name).suffix])

    async def _overview(self, _: Request) -> Response:
        return _json(self._project.overview())

    async def _video(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self._project.opened, _number(request)))

    async def _change_video(self, request: Request) -> Response:
        number, post = _number(request), decode_post(await _body(request), VideoPost)
        try:
            knew_all = self._project.change_video(number, post)
        except Conflict:
            video = await run_in_threadpool(self._project.opened, number)
            return _json({"video": video}, 409)
        answer: dict[str, Any] = {"version": self._project.store.labels.version}
        if not knew_all:  # a page that skipped the others' changes would undo them later
            answer["video"] = await run_in_threadpool(self._project.opened, number)
        return _json(answer)

    async def _change_classes(self, request: Request) -> Response:
        self._project.change_classes(decode_post(await _body(request), ClassChange))
        labels = self._project.store.labels
        return _json({"classes": list(labels.classes.values()), "version": labels.version})

    async def _events(self, _: Request) -> Response:
        stream = self._project.events.stream()
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _media(self, request: Request) -> Response:
        media = self._project.media(_number(request))
        if media is None:
            return _error("the copy that browsers can play is not ready", 409)
        path, media_type = media
        return FileResponse(path, media_type=media_type, headers=_KEPT)

    async def _thumbnail(self, request: Request) -> Response:
        async with self._readers:
            content = await run_in_threadpool(self._project.picture, _number(request))
        return Response(content, media_type="image/jpeg", headers=_KEPT)

    async def _waveform(self, request: Request) -> Response:
        async with self._readers:
            content = await run_in_threadpool(self._project.loudness, _number(request))
        return Response(content, media_type="application/json", headers=_KEPT)

    async def _learn(self, request: Request) -> Response:
        post = decode_post(await _body(request), _LearnPost)
        act = {"start": self._project.learner.start, "stop": self._project.learner.stop}
        await run_in_threadpool(act[post.action])
        return _json(self._project.learner.status)

    async def _statistics(self, _: Request) -> Response:
        return _json(self._project.statistics())

    async def _report(self, request: Request) -> Response:
        content = self._project.learner.report(_number(request))
        return HTMLResponse(content, headers={"Content-Security-Policy": _REPORT_POLICY})


class _LearnPost(msgspec.Struct, frozen=True):
    """What shall happen to learning."""

    action: Literal["start", "stop"]


def _answering(answer: _Answer) -> _Answer:
    """Returns an answer whose errors are one line each."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except LookupError:
            return _error("there is nothing at this address", 404)
        except WriteError as error:
            return _error(str(error), 507)
        except UserError as error:
            return _error(str(error), 400)
        except Exception:
            log.exception("%s %s", request.method, request.url.path)
            return _error("an error in the program; the terminal shows it", 500)

    return answered


def _number(request: Request) -> int:
    return int(request.path_params["number"])


async def _body(request: Request) -> bytes:
    """Returns the body of a request.

    Raises:
      UserError: it is not JSON, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UserError("the request must be application/json")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise UserError("the request is too large")
    return bytes(content)


def _error(text: str, status: int) -> Response:
    return _json({"error": printable(" ".join(text.split()))}, status)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
