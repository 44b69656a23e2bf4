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
    "whereabouts": Probe("cells"),
    "waits_at_once": Probe("cells"),
    "blocking_calls": Probe("cells"),
    "polls": Probe("cells"),
    "contact_form": Probe("cells", 90.0),
    "query_hops": Probe("cells"),
    "handshakes": Probe("doors"),
    "runserver": Probe("doors"),
    "behind_nginx": Probe("deployment", 90.0),
    "live_preview": Probe("doors"),
    "admin_files": Probe("doors"),
    "sockets_at_once": Probe("live"),
    "rooms_of_two_processes": Probe("live"),
    "background_coroutine": Probe("live"),
    "bare_interfaces": Probe("bare"),
    "consumer_without_layer": Probe("consumer"),
    "scopes": Probe("interface"),
    "events": Probe("interface"),
    "adapted_in_the_log": Probe("interface"),
    "held_thread": Probe("interface"),
    "wsgi_as_printed": Probe("printed"),
    "asgi_as_printed": Probe("printed"),
    "class_based_views": Probe("orm"),
    "flipped_view": Probe("orm"),
    "alist": Probe("orm"),
    "a_methods_hop": Probe("orm"),
    "forms": Probe("orm"),
    "kept_in_its_thread": Probe("orm"),
    "exceptions": Probe("adapters"),
    "gathered_sleeps": Probe("adapters"),
    "hop_cost": Probe("adapters"),
}
