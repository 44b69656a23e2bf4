"""Lists the probes: functions that find out one thing without load. `python -m bench.claims.probes NAME` runs one.

A probe returns named facts and judges nothing. It raises NotRun if something is not installed here.
"""

from typing import NamedTuple


class Probe(NamedTuple):
    """The module that has the function of the probe's name, and how long it may take."""

    module: str
    within_s: float = 60.0


DOCUMENTS = ("traps", "calls", "traces", "a_methods")
"""Probes whose results have a file of their own in `results/reference`; the others are kept in `claims.json`."""

PROBES = {
    "traps": Probe("documents", 90.0),
    "calls": Probe("documents", 90.0),
    "traces": Probe("documents", 90.0),
    "a_methods": Probe("documents"),
    "whereabouts": Probe("view_and_interface"),
    "waits_at_once": Probe("view_and_interface"),
    "blocking_calls": Probe("view_and_interface"),
    "polls": Probe("view_and_interface"),
    "contact_form": Probe("view_and_interface", 90.0),
    "query_hops": Probe("view_and_interface"),
    "handshakes": Probe("stock_project"),
    "runserver": Probe("stock_project"),
    "behind_nginx": Probe("deployment", 90.0),
    "live_preview": Probe("stock_project"),
    "admin_files": Probe("stock_project"),
    "sockets_at_once": Probe("websockets_redis"),
    "rooms_of_two_processes": Probe("websockets_redis"),
    "background_coroutine": Probe("websockets_redis"),
    "bare_interfaces": Probe("documentation_examples"),
    "consumer_without_layer": Probe("websockets_redis"),
    "scopes": Probe("asgi_handler"),
    "events": Probe("asgi_handler"),
    "adapted_in_the_log": Probe("asgi_handler"),
    "held_thread": Probe("asgi_handler"),
    "wsgi_as_printed": Probe("documentation_examples"),
    "asgi_as_printed": Probe("documentation_examples"),
    "class_based_views": Probe("orm"),
    "flipped_view": Probe("orm"),
    "alist": Probe("orm"),
    "a_methods_hop": Probe("orm"),
    "forms": Probe("orm"),
    "kept_in_its_thread": Probe("orm"),
    "exceptions": Probe("asgiref_adapters"),
    "gathered_sleeps": Probe("asgiref_adapters"),
    "hop_cost": Probe("asgiref_adapters"),
    "async_test_client": Probe("asked_today"),
    "task_after_the_answer": Probe("asked_today"),
    "task_that_hops": Probe("asked_today"),
    "inside_one_worker": Probe("asked_today", 90.0),
    "gunicorn_threads": Probe("asked_today"),
    "killed_worker": Probe("asked_today"),
    "async_middleware_behind_wsgi": Probe("asked_today"),
    "rest_framework": Probe("other_packages", 180.0),
    "ninja": Probe("other_packages", 180.0),
    "whitenoise": Probe("other_packages", 180.0),
    "newest_django": Probe("other_packages", 180.0),
}
