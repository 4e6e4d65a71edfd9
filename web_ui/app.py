"""The control page: what the speaker does now, live, and the few things that a person can tell it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from flask import Flask, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from device import wire
from device.domain.labels import LABELS
from device.errors import MoodifyError
from device.ports import Controls, LibraryView
from web_ui.guard import Guard, Site
from web_ui.pairing import TOKEN_LIFE_SECONDS

COOKIE = "moodify"
HEARTBEAT_SECONDS = 10.0
BEAT = ": here\n\nevent: beat\ndata: 1\n\n"
"""A comment for whatever is in between, and an event because a page cannot see comments."""
SLICE_SECONDS = 0.5
"""How long a stream looks away before it sees that the server closes or its reader is gone."""
OPEN_TO_ALL = frozenset({"static", "pair", "redeem", "healthz"})
"""Endpoints for devices that are not paired yet."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Streams:
    """The open event streams: at most `most`, so that threads are always left for commands."""

    def __init__(self, most: int) -> None:
        self.closing = threading.Event()
        self._free = threading.BoundedSemaphore(most)

    def enter(self) -> Callable[[], None] | None:
        """What gives the place back, or None when all are taken."""
        return self._free.release if self._free.acquire(blocking=False) else None


def create_app(controls: Controls, library: LibraryView, guard: Guard, streams: Streams | None = None) -> Flask:
    """The WSGI application; `streams` is shared with the server that closes it."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = wire.LONGEST_PAYLOAD_BYTES
    _add_door(app, guard)
    _add_pairing(app, guard)
    _add_views(app, controls, guard, streams or Streams(most=4))

    @app.get("/library")
    def show_library() -> Response:
        return jsonify(wire.library_json(library.report()))

    @app.post("/command/<name>")
    def command(name: str) -> tuple[Response, int]:
        try:
            asked = wire.parse_command(name, wire.parse_json(request.get_data()))
        except ValueError as error:
            return _error(str(error), 400)
        controls.ask(asked, "page")
        return jsonify(accepted=True), 202

    return app


def _add_door(app: Flask, guard: Guard) -> None:
    @app.before_request
    def check() -> tuple[Response, int] | Response | None:
        return _refuse_foreign(guard) or _refuse_unpaired(guard)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
        return response

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> tuple[Response, int]:
        return _error(f"{error.name}: {request.path}", error.code or 500)


def _refuse_foreign(guard: Guard) -> tuple[Response, int] | None:
    if not guard.host_is_ours(request.host):
        return _error("this name does not belong to the speaker; use its address, its own name or localhost", 421)
    site = guard.site_of(dict(request.headers), request.host)
    if request.method in ("GET", "HEAD"):
        # A link from elsewhere may open the page, but nothing of ours is handed to a foreign page.
        foreign = site is Site.FOREIGN and request.endpoint in ("events", "snapshot", "show_library")
        return _error("asked from another site", 403) if foreign else None
    if site is not Site.OURS:
        return _error("only the speaker's own page may change anything (Origin must be its address)", 403)
    if request.mimetype != "application/json":
        return _error("commands are application/json", 415)
    return None


def _refuse_unpaired(guard: Guard) -> tuple[Response, int] | Response | None:
    if request.endpoint in OPEN_TO_ALL or _admitted(guard):
        return None
    if request.endpoint == "index":
        return _see(url_for("pair"))
    return _error("this device is not paired; run `sudo moodify pair` on the speaker and open /pair", 401)


def _add_pairing(app: Flask, guard: Guard) -> None:
    @app.get("/pair")
    def pair() -> str | Response:
        return _see(url_for("index")) if _admitted(guard) else render_template("pair.html")

    @app.post("/pair")
    def redeem() -> tuple[Response, int] | Response:
        try:
            given = wire.parse_json(request.get_data())
        except ValueError as error:
            return _error(str(error), 400)
        code = given.get("code") if isinstance(given, dict) else None
        if not isinstance(code, str):
            return _error('code is missing; write {"code": "123456"}', 400)
        try:
            token = guard.pairing.redeem(code, time.time(), _device_name(request.user_agent.string))
        except MoodifyError as error:
            return _error(str(error), 503)
        if token is None:
            return _error("That code is wrong or has run out. Make a new one on the speaker: sudo moodify pair", 403)
        response = jsonify(paired=True)
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(TOKEN_LIFE_SECONDS),
            httponly=True,
            samesite="Strict",
            secure=request.is_secure,
        )
        return response


def _add_views(app: Flask, controls: Controls, guard: Guard, streams: Streams) -> None:
    @app.get("/")
    def index() -> str:
        return render_template("index.html", labels=LABELS)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @app.get("/snapshot")
    def snapshot() -> Response:
        return Response(wire.json_text(wire.snapshot_json(controls.snapshot)), mimetype="application/json")

    @app.get("/events")
    def events() -> tuple[Response, int] | Response:
        if request.method == "HEAD":
            return Response(mimetype="text/event-stream")
        leave = streams.enter()
        if leave is None:
            refusal, status = _error("too many open pages; close one or try again", 503)
            refusal.headers["Retry-After"] = "5"
            return refusal, status
        peer, token, gone = _peer(), request.cookies.get(COOKIE), request.environ.get("waitress.client_disconnected")

        def over() -> bool:
            return streams.closing.is_set() or (gone is not None and gone())

        def admitted() -> bool:
            return guard.admits(peer, token, time.time())

        response = Response(_messages(controls, over, admitted), mimetype="text/event-stream")
        response.call_on_close(leave)  # also when the first message was never asked for
        response.headers["X-Accel-Buffering"] = "no"
        return response


def _messages(controls: Controls, over: Callable[[], bool], admitted: Callable[[], bool]) -> Iterator[str]:
    """Server-sent events (WHATWG HTML 9.2): every new snapshot, and a comment when there was none for a while."""
    latest = controls.snapshot
    yield f"retry: 2000\n{_message(wire.json_text(wire.snapshot_json(latest)), latest.sequence)}"
    beaten_at = time.monotonic()
    while not over():
        newer = controls.wait_for_change(latest.sequence, SLICE_SECONDS)
        if time.monotonic() - beaten_at >= HEARTBEAT_SECONDS:
            if not admitted():
                return
            beaten_at = time.monotonic()
            yield BEAT
        if newer is not None:
            latest = newer
            yield _message(wire.json_text(wire.snapshot_json(latest)), latest.sequence)


def _message(text: str, sequence: int) -> str:
    return f"id: {sequence}\ndata: {text}\n\n"


def _admitted(guard: Guard) -> bool:
    return guard.admits(_peer(), request.cookies.get(COOKIE), time.time())


def _peer() -> str:
    """The other end of the connection; X-Forwarded-For is anybody's claim and not looked at."""
    return request.remote_addr or ""


def _see(address: str) -> Response:
    response = redirect(address, 303)
    assert isinstance(response, Response)
    return response


def _error(line: str, status: int) -> tuple[Response, int]:
    return jsonify(error=line), status


def _device_name(user_agent: str) -> str:
    """What the list of pairings calls the device: coarse, but enough to tell a phone from a laptop."""
    kinds = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Mac OS": "Mac", "Windows": "Windows"}
    browsers = {"Firefox": "Firefox", "Edg": "Edge", "Chrome": "Chrome", "Safari": "Safari"}
    kind = next((name for sign, name in kinds.items() if sign in user_agent), "Linux" if "Linux" in user_agent else "")
    browser = next((name for sign, name in browsers.items() if sign in user_agent), "")
    return ", ".join(part for part in (kind, browser) if part) or user_agent.split("/", maxsplit=1)[0] or "unnamed"
