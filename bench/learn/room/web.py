"""The page's own server: its files, a stream of frames, and the controls, behind a random token in the address."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.learn.room.guests import Guests, qr_svg
from bench.learn.room.scenes import SCENES
from bench.learn.room.settings import possible_lanes
from bench.learn.room.stage import Stage
from bench.model.room_recording import RoomRecording

PAGE = Path(__file__).parent / "page"
LANES = ROOT / "bench" / "show" / "lanes"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FILES = ("/page/", "/lanes/")
WRONG_TOKEN = "This address is not the room's: copy the whole address that `lab room` prints.\n"
MOST_BYTES = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """The routes of the room. Everything but the page's files needs the token."""

    def __init__(self, stage: Stage, token: str, recording: RoomRecording | None = None) -> None:
        self.stage, self.token, self.recording = stage, token, recording
        # Another token for phones, which leads to no control; the same after a restart.
        self.guest_token = hashlib.sha256(f"guest of {token}".encode()).hexdigest()[:16]

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        application.router.add_static("/page", PAGE)
        application.router.add_static("/lanes", LANES)
        application.router.add_get("/{token}/", self._index)
        application.router.add_get("/{token}/about", self._about)
        if self.recording:
            application.router.add_get("/{token}/recording", self._recorded)
            return application
        guests = Guests(self.stage)
        application.router.add_get("/guest/{guest_token}/", guests.index)
        application.router.add_get("/guest/{guest_token}/lanes", guests.lanes)
        application.router.add_post("/guest/{guest_token}/visit", guests.visit)
        application.router.add_get("/{token}/qr.svg", self._qr)
        application.router.add_get("/{token}/frames", self._frames)
        application.router.add_post("/{token}/change", self._change)
        application.router.add_post("/{token}/predict", self._predict)
        application.router.add_post("/{token}/slow_motion", self._trace)
        application.router.add_get("/{token}/slow_motion", self._traced)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._may(request):
            return web.Response(status=HTTPStatus.FORBIDDEN, text=WRONG_TOKEN)
        try:
            response = await handler(request)
        except (LabError, json.JSONDecodeError) as error:
            response = web.json_response({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _may(self, request: web.Request) -> bool:
        if request.path.startswith(FILES):
            return True
        given = request.match_info.get("token", ""), request.match_info.get("guest_token", "")
        right = self.token, self.guest_token
        return any(hmac.compare_digest(one.encode(), other.encode()) for one, other in zip(given, right, strict=True))

    def _guest_address(self, request: web.Request) -> str:
        return f"http://{request.host}/guest/{self.guest_token}/"

    async def _qr(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=qr_svg(self._guest_address(request)), content_type="image/svg+xml")

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _about(self, request: web.Request) -> web.StreamResponse:
        scenes = [scene.to_json() for scene in SCENES]
        about = {"scenes": scenes, "recording": self.recording is not None, "guests": self._guest_address(request)}
        return web.json_response({**about, "stacks": possible_lanes()})

    async def _recorded(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.recording and self.recording.to_json())

    async def _frames(self, request: web.Request) -> web.StreamResponse:
        """Send each frame as an event, until the browser leaves. It reconnects by itself."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the browser has gone
            await self._send_frames(response)
        return response

    async def _send_frames(self, response: web.StreamResponse) -> None:
        async with self.stage.listening() as frames:
            await response.write(b"retry: 500\n\n")
            while True:
                await response.write(b"data: " + await frames.get() + b"\n\n")

    async def _change(self, request: web.Request) -> web.StreamResponse:
        changed = self.stage.settings.changed(await request.json())
        await self.stage.change(changed)
        return web.json_response({})

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        changed = self.stage.settings.predicted(str(said.get("scene", ""))[:40], str(said.get("text", "")))
        await self.stage.change(changed)
        return web.json_response({})

    async def _trace(self, request: web.Request) -> web.StreamResponse:
        await self.stage.trace()
        return web.json_response({})

    async def _traced(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.stage.traced)


async def serve(pages: Pages, host: str, port: int) -> None:
    """Serve the page until cancelled."""
    runner = web.AppRunner(pages.application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
