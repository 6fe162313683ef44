"""The live page's server: one page, its style and script, and a stream of what is new."""

import asyncio
import ipaddress
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fanin.errors import FaninError
from fanin.lab.live import LiveRun, Watched, overview
from fanin.lab.study_progress import duration

LOOK = 1.0  # seconds between two looks at the folder, however many pages are open
SLICES = 10  # of that second, after each of which a server that is to end does
TELL = 5.0  # seconds after which the time left is told again
CHUNK = 200  # runs in one message
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ASSETS = {
    "/": ("fanin.reports.live", "watch.html", "text/html"),
    "/watch.css": ("fanin.reports.live", "watch.css", "text/css"),
    "/watch.js": ("fanin.reports.live", "watch.js", "text/javascript"),
    "/figure.js": ("fanin.reports.live", "figure.js", "text/javascript"),
    "/report.css": ("fanin.reports", "report.css", "text/css"),
}


def application(watched: Watched, host: str = "127.0.0.1", stopping: Callable[[], bool] = lambda: False) -> Starlette:
    """The page of a study.

    Args:
        host: that is listened on; it decides which names a request may call this server by.
        stopping: whether the server is to end: streams, which have no end of their own, then do.
    """
    look = _Look(watched, stopping)

    async def events(request: Request) -> Response:
        text = request.query_params.get("context", "0")
        context = int(text) if text.isdecimal() and len(text) < 9 else 0
        return StreamingResponse(_stream(watched, look, context), media_type="text/event-stream")

    routes = [Route(path, _asset, methods=["GET"]) for path in ASSETS]
    return Starlette(
        routes=[*routes, Route("/events", events, methods=["GET"])], middleware=[Middleware(_Guard, host=host)]
    )


class _Look:
    """One look at the folder for all pages that are open, at most every `LOOK` seconds."""

    def __init__(self, watched: Watched, stopping: Callable[[], bool]) -> None:
        self.watched, self.stopping = watched, stopping
        self.lock, self.last, self.trouble = asyncio.Lock(), -LOOK, ""

    async def __call__(self) -> None:
        async with self.lock:
            if time.monotonic() - self.last >= LOOK:
                try:
                    await asyncio.to_thread(self.watched.look)
                    self.trouble = ""
                except FaninError as error:
                    self.trouble = str(error)
                self.last = time.monotonic()

    async def rest(self) -> None:
        """Until it is time to look again, or the server is to end."""
        for _ in range(SLICES):
            if not self.stopping():
                await asyncio.sleep(LOOK / SLICES)


async def _stream(watched: Watched, look: _Look, context: int) -> AsyncIterator[str]:
    """What is new: first all there is, then what changed."""
    yield "retry: 2000\n\n"
    sent = Sent()
    version, told, trouble = -1, -TELL, ""
    while not look.stopping():
        await look()
        if look.trouble != trouble:
            trouble = look.trouble
            yield _event("trouble", {"says": trouble})
        now = time.monotonic()
        if version != watched.version or now - told >= TELL:
            found = await asyncio.to_thread(_overview, watched, context)
            yield _event("overview", found)
            told = now
        if version != watched.version:
            version = watched.version
            for runs in sent.news(watched, context):
                yield _event("runs", runs)
        await look.rest()


def _overview(watched: Watched, context: int) -> dict[str, Any]:
    found = overview(watched, context)
    return {**found, "left_words": "" if found["left"] is None else duration(found["left"])}


class Sent:
    """What one page has been sent of each run: which attempt, how many points, which state."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, int, str]] = {}

    def news(self, watched: Watched, context: int) -> Iterator[list[dict[str, Any]]]:
        """What is new of the runs of a context, some at a time."""
        chunk: list[dict[str, Any]] = []
        for run in runs_of(watched, context):
            epoch, points, state = self.known.get(run.number, (-1, 0, ""))
            if (run.epoch, len(run.points), run.state) == (epoch, points, state):
                continue
            start = points if run.epoch == epoch else 0
            self.known[run.number] = run.epoch, len(run.points), run.state
            chunk.append(
                {
                    "n": run.number, "plan": run.config.plan, "lr": run.config.lr, "seed": run.config.seed,
                    "state": run.state, "error": run.row.error, "from": start, "points": run.points[start:],
                }
            )  # fmt: skip
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


def runs_of(watched: Watched, context: int) -> list[LiveRun]:
    """The runs of one context, in the order of the grid."""
    from fanin.lab.analysis.axes import context_of, key_of

    groups: dict[Any, list[LiveRun]] = {}
    for run in list(watched.runs.values()):
        groups.setdefault(key_of(context_of(run.config)), []).append(run)
    found = list(groups.values())
    return found[context if 0 <= context < len(found) else 0] if found else []


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'), allow_nan=False)}\n\n"


async def _asset(request: Request) -> Response:
    package, name, kind = ASSETS[request.url.path]
    return Response(_read(package, name), media_type=kind)


@cache
def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")


class _Guard:
    """Answers only requests that call this machine by a name of its own, and says with each answer what a page may do.

    A page of somebody else's, whose name was made to lead to this machine (DNS rebinding), sends that name as Host.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app, self.host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        if scope["type"] != "http":
            return
        named = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if known_host(named, self.host):
            await self.app(scope, receive, with_headers)
        else:
            answer = PlainTextResponse(f"This server is not called {named!r}.\n", status_code=421)
            await answer(scope, receive, with_headers)


def known_host(named: str, host: str) -> bool:
    """Whether a request's Host header names this machine.

    Args:
        named: the header, with or without a port.
        host: that is listened on. On loopback only loopback's names will do; else any address (an attacker needs a name),
            and this machine's own name.

    Example:
        >>> known_host("localhost:8765", "127.0.0.1"), known_host("[::1]:8765", "::1"), known_host("evil.example", "127.0.0.1")
        (True, True, False)
        >>> known_host("10.0.0.7:8765", "0.0.0.0"), known_host("10.0.0.7", "127.0.0.1")
        (True, False)
    """
    name = named[1:].partition("]")[0] if named.startswith("[") else named.partition(":")[0]
    name = name.lower().rstrip(".")
    if name in ("localhost", host.lower()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return not loopback(host) and name in (socket.gethostname().lower(), socket.getfqdn().lower())
    return address.is_loopback or not loopback(host)


def loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
