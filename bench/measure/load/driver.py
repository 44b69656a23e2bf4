"""What all load drivers share: the command line, the files that they exchange with their caller, classes of errors.

It stands on the standard library alone, because the Locust process imports it too.
"""

import argparse
import errno
import gc
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

NS_PER_S = 1_000_000_000
POLL_S = 0.005
HEARTBEAT_S = 0.02
STALL_NS = 100_000_000
"""A heartbeat that comes so much later than it was due says that the driver itself, not the server, stood still."""


@dataclass(frozen=True, kw_only=True)
class DriverOptions:
    """The command line of a driver: each field is an option, with its help and, if there are any, its choices.

    Each driver adds its own. A field with a default is not required.
    """

    url: Annotated[str, "scheme, host and port"]
    path: Annotated[str, "path and query of every request"]
    folder: Annotated[Path, "where the file `go` and the results are"]


Options = TypeVar("Options", bound=DriverOptions)


def read_options(kind: type[Options], description: str | None) -> Options:
    """Read the command line of a driver, which is started as `python -m`, into its options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.measure.load.{Path(sys.argv[0]).stem}",
        description=description,
        argument_default=argparse.SUPPRESS,
    )
    for name, hint in get_type_hints(kind, include_extras=True).items():
        text, *choices = hint.__metadata__
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=hint.__origin__,
            required=not hasattr(kind, name),
            help=text,
            choices=choices or None,
        )
    return kind(**vars(parser.parse_args()))


def wait_for(path: Path) -> None:
    """Wait until the file exists. All that takes long is done before, while the server boots.

    In the Locust process `time.sleep` is gevent's, which lets others run.
    """
    while not path.exists():
        time.sleep(POLL_S)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file, and rename it at the end, so that a reader finds it whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    yield partial
    partial.rename(path)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write data as a JSON file that is either absent or whole."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(data))


def spare_the_collector() -> None:
    """Hide the objects that exist now from the garbage collector: a full collection would show in the latencies.

    The collector stays on, because every failed connect leaves a cycle of 10 kB, and a dead server would fill the
    memory. What it sees from here on is little, and the lateness is the same as without it.
    """
    gc.collect()
    gc.freeze()


def cut_to_window(spans_ns: Iterable[tuple[int, int]], start_ns: int, end_ns: int) -> list[list[float]]:
    """Return the spans that overlap the window, cut at its edges, as [from, to] in seconds from its start."""
    inside = [(since_ns, until_ns) for since_ns, until_ns in spans_ns if since_ns < end_ns and until_ns > start_ns]
    cut = [(max(since_ns, start_ns), min(until_ns, end_ns)) for since_ns, until_ns in inside]
    return [[round((at_ns - start_ns) / NS_PER_S, 3) for at_ns in span_ns] for span_ns in cut]


def exception_class(error: BaseException) -> str:
    """The exception's name, with the system's where there is one: `ClientConnectorError ECONNREFUSED`."""
    symbol = errno.errorcode.get(getattr(error, "errno", None) or 0)
    return f"{type(error).__name__} {symbol}" if symbol else type(error).__name__
