"""A bounded set of threads for the sync code of all requests, instead of a thread for each request."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext


class PinnedPool:
    """Around an ASGI application: each request's sync code runs on one of `threads` threads, the least taken.

    A thread keeps its database connections between requests, so there are at most as many as threads, and
    CONN_MAX_AGE means again what it says. Requests on the same thread take turns, hop by hop.
    """

    def __init__(self, application: Any, threads: int) -> None:
        self.application = application
        # One thread each: an executor that is given to a context must run one call at a time on one thread.
        self.taken = {ThreadPoolExecutor(1, thread_name_prefix=f"pinned-{number}"): 0 for number in range(threads)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request with the thread that has the fewest requests now."""
        executor = min(self.taken, key=self.taken.__getitem__)
        self.taken[executor] += 1
        try:
            async with ThreadSensitiveContext(executor=executor):
                await self.application(scope, receive, send)
        finally:
            self.taken[executor] -= 1
