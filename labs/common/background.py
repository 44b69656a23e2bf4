"""A coroutine beside the requests: it hears Redis and tells the open feeds, polls and sockets of this process.

ASGI's lifespan protocol starts and ends it. Django refuses that protocol: `with_background` answers it around Django.
https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from labs.common.news import NEWS
from labs.common.redis_news import CHANNEL, LONGEST_TEXT, REDIS_URL, TIMEOUTS, require_good_url

RETRY_AFTER_S = 0.5
QUIET_S = 5.0  # after so long without a word Redis is asked whether it is there, and has as long to answer


def with_background(application: Any) -> Any:
    """The application with its background coroutine; ends the process where LAB_REDIS_URL cannot be used."""
    if REDIS_URL:
        require_good_url(REDIS_URL)
    return Background(application, REDIS_URL)


class Background:
    """Around an ASGI application: answers lifespan, runs the listener in between, passes everything else through."""

    def __init__(self, application: Any, url: str) -> None:
        self.application, self.url = application, url
        self.listener: Listener | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer lifespan; pass everything else on, and start the listener first if no lifespan came."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        if self.url and self.listener is None:
            tell("No lifespan from this server: the coroutine starts with the first request.")
            await self.start()
        elif self.listener:
            await self.listener.has_tried.wait()  # also for who asks while the first request waits
        await self.application(scope, receive, send)

    async def live(self, receive: Any, send: Any) -> None:
        """Answer the lifespan messages, and run the listener from startup to shutdown."""
        await receive()
        if self.url:
            await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.listener:
            await self.listener.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Returns when Redis has been tried once, so that whoever is let in then is told what is published."""
        self.listener = Listener(self.url)
        await self.listener.has_tried.wait()
        if self.listener.task.done():
            self.listener.task.result()  # raises what ended it


class Listener:
    """Puts what comes over Redis into NEWS; says once when Redis is lost, and once when it is back."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # No retry in the client: `run` retries, and says so.
        self.client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **TIMEOUTS)
        self.has_tried = asyncio.Event()
        self.is_lost = False
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        """Listen until cancelled; after a loss try again each RETRY_AFTER_S seconds."""
        from redis.exceptions import RedisError

        try:
            while True:
                try:
                    await self.hear()
                except (RedisError, OSError) as error:
                    self.lose(error)
                await asyncio.sleep(RETRY_AFTER_S)
        finally:
            self.has_tried.set()  # nobody waits for a listener that has failed

    async def hear(self) -> None:
        """Subscribe to the channel and take each message. Raises RedisError or OSError when Redis is lost."""
        async with self.client.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            while True:
                self.take(await self.next(pubsub))

    async def next(self, pubsub: Any) -> dict[str, Any]:
        """The next message; TimeoutError from a Redis that says nothing even when asked, as a frozen one."""
        message = await pubsub.get_message(timeout=QUIET_S)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=QUIET_S)
        if message is None:
            raise TimeoutError("no answer")
        return dict(message)

    def take(self, message: dict[str, Any]) -> None:
        """Publish a message to NEWS, or note that the subscription stands."""
        if message["type"] == "subscribe":
            self.find()
        elif message["type"] == "message":
            NEWS.publish(message["data"].decode(errors="replace")[:LONGEST_TEXT])

    def find(self) -> None:
        """Note that Redis answers, and print so if it was lost before."""
        if self.is_lost:
            tell("Redis is back.")
        self.is_lost = False
        self.has_tried.set()

    def lose(self, error: Exception) -> None:
        """Note that Redis does not answer, and print so once."""
        if not self.is_lost:
            tell(f"Redis is lost ({error}); what is open stays open, and hears nothing until it is back.")
        self.is_lost = True
        self.has_tried.set()

    async def end(self) -> None:
        """Cancel the listening task, wait for it, and close the client."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.client.aclose()


def tell(sentence: str) -> None:
    """Print a sentence to stderr."""
    print(f"background: {sentence}", file=sys.stderr, flush=True)
