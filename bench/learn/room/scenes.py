"""The scenes of the room, in the order of a talk: settings, a question for the room, and the speaker's text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Measured = Literal["per_s", "inside", "threads", "hops", "leavers"]
WSGI, SYNC_INSIDE, ASYNC, ZERO_HOP = (
    *("sync_wsgi@gthread:8", "sync_asgi@uvicorn"),
    *("async_asgi@uvicorn", "zero_hop@uvicorn"),
)


@dataclass(frozen=True)
class Scene:
    """One scene. What came is the number `measured` of the lane at place `lane`; `hops` is that of a traced request."""

    name: str
    title: str
    question: str
    lane: int
    measured: Measured
    settings: Mapping[str, Any]
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the page, with every setting that a scene decides."""
        return asdict(self) | {"settings": {**_NEUTRAL, **self.settings, "scene": self.name}}


_NEUTRAL: Mapping[str, Any] = {
    "visitors": 100,
    "wait_ms": 500,
    "cpu_ms": 0,
    "threads": 8,
    "middleware": False,
    "blocking": False,
    "leaves": False,
    "behind": "timer",
    "database_away": False,
}
SCENES = (
    Scene(
        "pool_and_crowd",
        "The pool and the crowd",
        "100 visitors, a view waits 500 ms. How many answers per second do 8 threads give?",
        *(0, "per_s"),
        {"lanes": [WSGI, SYNC_INSIDE, ASYNC]},
        "Watch the slots: 8 are inside, 92 wait in front. Threads divided by the wait is the rate. "
        "Behind ASGI all are inside. Then give the pool more threads.",
    ),
    Scene(
        "blocking_line",
        "One blocking line",
        "10 visitors, and one line of the view blocks. How many are inside the async view at once?",
        *(1, "inside"),
        {"lanes": [SYNC_INSIDE, ASYNC], "visitors": 10, "blocking": True},
        "time.sleep in place of await asyncio.sleep: the loop stands still for everybody, also for those it has not "
        "accepted yet. The sync view has a thread for each request. Switch the line off again.",
    ),
    Scene(
        "sync_inside",
        "Async outside, sync inside",
        "100 visitors, sync views behind ASGI. How many threads has the server?",
        *(1, "threads"),
        {"lanes": [WSGI, SYNC_INSIDE]},
        "Nobody gave it a thread budget, so it takes one for each request in flight. "
        "Send 500 visitors, and look at threads and memory.",
    ),
    Scene(
        "fifteen_hops",
        "Where a request runs",
        "An async view that does nothing, the seven middlewares. How often does one request go to a thread?",
        *(0, "hops"),
        {"lanes": [ASYNC, ZERO_HOP], "visitors": 10, "wait_ms": 0, "middleware": True},
        "Play one request in slow motion. Each middleware sends its hooks to a thread. "
        "The other lane is the same view under the same seven, which stay on the loop.",
    ),
    Scene(
        "held_streams",
        "Streams that stay open",
        "100 readers of a stream, 8 threads. How many of them hear anything?",
        *(0, "inside"),
        {"lanes": [WSGI, ASYNC, ZERO_HOP], "behind": "stream", "wait_ms": 1000},
        "A stream holds its thread for as long as it is open. Behind ASGI all hear something; "
        "stock Django keeps a thread for each of them, the lane without hops does not.",
    ),
    Scene(
        "who_leaves",
        "Who leaves",
        "40 visitors, half of them hang up early. On how many requests does the pool work for nobody?",
        *(0, "leavers"),
        {"lanes": [WSGI, SYNC_INSIDE, ASYNC], "visitors": 40, "wait_ms": 2000, "leaves": True},
        "Hollow dots are requests whose client has gone. A sync view runs to its end for nobody; "
        "an async view behind ASGI is cancelled.",
    ),
)
