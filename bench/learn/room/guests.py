"""The phones of the room: each visits the lanes through the page's server, so that the labs stay on loopback."""

import io
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

import segno
from aiohttp import web

from bench.base.errors import UsageError
from bench.learn.room.stage import Stage

PAGE = Path(__file__).parent / "page" / "guest.html"
MOST_OF_A_PHONE, MOST_IN_ALL = 8, 500
"""Requests in flight: of one address, and of all guests."""


class Guests:
    """What a phone may do with the address in the QR code: look which lanes there are, and visit one."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.in_flight: Counter[str | None] = Counter()

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer the page of a phone."""
        return web.FileResponse(PAGE)

    async def lanes(self, request: web.Request) -> web.StreamResponse:
        """Answer the names of the lanes."""
        return web.json_response([lane.stack.name for lane in self.stage.lanes])

    async def visit(self, request: web.Request) -> web.StreamResponse:
        """Send one request to a lane and answer how long it took; 429 for a phone that has too many under way."""
        lane = self._lane(await request.json())
        if self.in_flight[request.remote] >= MOST_OF_A_PHONE or self.in_flight.total() >= MOST_IN_ALL:
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many at once")
        if lane.state != "serving":
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"the server is {lane.state}")
        self.in_flight[request.remote] += 1
        began_s = time.monotonic()
        try:
            ended_well = await lane.visitors.visit(None)
        finally:
            self.in_flight[request.remote] -= 1
        if not ended_well:
            return _refusal(HTTPStatus.BAD_GATEWAY, "no answer")
        return web.json_response({"took_ms": round(1000 * (time.monotonic() - began_s))})

    def _lane(self, said: Any) -> Any:
        place = said.get("lane") if isinstance(said, dict) else None
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(self.stage.lanes):
            raise UsageError(f"There is no such lane: the room has {len(self.stage.lanes)}.")
        return self.stage.lanes[place]


def _refusal(status: HTTPStatus, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


def qr_svg(address: str) -> bytes:
    """Return the address as a QR code, dark on white in any colour scheme."""
    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="svg", scale=10, border=4, light="#ffffff")
    return picture.getvalue()
