"""What a server is given in an application's place by `lab trace --serve`: the application, traced.

    LAB_TRACE_APP=mysite.asgi:application uvicorn bench.hops.serving:application

Each request leaves a line on standard error and a `Server-Timing` header. For looking, never for measuring.
"""

import os
import sys

from bench.hops.apps import APP_VARIABLE, load
from bench.hops.collect import Collector
from bench.hops.layers import Layers
from bench.hops.observe import best_observer
from bench.hops.trace import hops_text
from bench.hops.traced import TracedASGI, TracedWSGI

NOTHING_KNOWN = Layers()


def tell(collector: Collector) -> None:
    """One line: what was asked, what was answered, hops, threads, time handed off of all its time."""
    trace = collector.trace(real.name, NOTHING_KNOWN, "")
    threads = f"{len(trace.lanes)} thread{'' if len(trace.lanes) == 1 else 's'}"
    print(
        f"{trace.method} {trace.path} · {trace.status or trace.error} · {hops_text(trace.hops)} · {threads} · "
        f"{trace.handed_off_us / 1000:.2f} of {trace.took_us / 1000:.2f} ms handed off",
        file=sys.stderr,
        flush=True,
    )


real = load(os.environ[APP_VARIABLE])
best_observer().install()
application = (TracedASGI if real.interface == "asgi" else TracedWSGI)(real.call, tell, says_timing=True)
