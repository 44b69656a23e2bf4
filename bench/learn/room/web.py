"""The page's own server: its files, a stream of frames, and the controls, behind a random token in the address."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from bench.base.errors import LabError
from bench.learn.room.scenes import SCENES
from bench.learn.room.stage import Stage

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
WRONG_TOKEN = "This address is not the room's: copy the whole address that `lab room` prints.\n"
MOST_BYTES = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """The routes of the room. Everything but the page's files needs the token."""

    def __init__(self, stage: Stage, token: str) -> None:
        self.stage, self.token = stage, token

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        application.router.add_static("/page", PAGE)
        application.router.add_get("/{token}/", self._index)
        application.router.add_get("/{token}/scenes", self._scenes)
        application.router.add_get("/{token}/frames", self._frames)
        application.router.add_post("/{token}/change", self._change)
        application.router.add_post("/{token}/predict", self._predict)
        application.router.add_post("/{token}/slow_motion", self._trace)
        application.router.add_get("/{token}/slow_motion", self._traced)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/page/"):
            given = request.match_info.get("token", "")
            if not secrets.compare_digest(given.encode(), self.token.encode()):
                return web.Response(status=HTTPStatus.FORBIDDEN, text=WRONG_TOKEN)
        try:
            response = await handler(request)
        except (LabError, json.JSONDecodeError) as error:
            response = web.json_response({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _scenes(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([scene.to_json() for scene in SCENES])

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


async def serve(stage: Stage, token: str, host: str, port: int) -> None:
    """Serve the page until cancelled."""
    runner = web.AppRunner(Pages(stage, token).application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
