"""What is published goes through Redis when LAB_REDIS_URL is set, so that every process that listens hears it."""

import os
from functools import cache
from typing import Any

from labs.common.addresses import is_quoted

REDIS_URL = os.environ.get("LAB_REDIS_URL", "")
CHANNEL = "lab.news"
LONGEST_TEXT = 1000
TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0}


class RedisIsAway(Exception):
    """The sentence to answer with status 503."""


def require_good_url(url: str) -> None:
    """Ends the process, with one sentence, where no client could be made; the URL may hold a password: never quoted."""
    from redis import ConnectionPool

    try:
        is_good = is_quoted(url) and ConnectionPool.from_url(url).make_connection()  # which does not connect
    except (ValueError, TypeError):
        is_good = False
    if not is_good:
        raise SystemExit("LAB_REDIS_URL is no address of a Redis server: write redis://127.0.0.1:6379/0.")


def publish_to_redis(text: str) -> int:
    """Gives how many processes listen; raises RedisIsAway. Waits in this thread."""
    from redis.exceptions import RedisError

    try:
        return int(_client().publish(CHANNEL, text))
    except (RedisError, ValueError):
        raise RedisIsAway("Nobody has heard this: Redis at LAB_REDIS_URL does not answer. Publish it again.") from None


@cache
def _client() -> Any:
    """One client, with its pool of connections, for all threads of this process."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Once more at once: after a restart of Redis the pool still holds connections to the one that is gone.
    retry = Retry(NoBackoff(), 1)
    return Redis.from_url(REDIS_URL, retry=retry, **TIMEOUTS)
