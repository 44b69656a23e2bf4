"""Questions about a server's start, its end and its workers; each takes a Subject, returns an Answer."""

import os
import signal

from bench.base.polling import eventually
from bench.claims.conformance import waits
from bench.claims.conformance.answers import Answer, answer
from bench.claims.conformance.client import connected, request
from bench.claims.conformance.messages import CLOSE, ECHO
from bench.claims.conformance.subject import CouldNotAsk, Subject, pids_of
from bench.model.servers import GRACEFUL_STOP_S

STOPS_TAKING_WITHIN_S = GRACEFUL_STOP_S / 2
"""Some servers take connections until their end: a request that they have then is let go on within their grace."""


def sigterm(subject: Subject) -> Answer:
    """Send SIGTERM while a request is held, and let it go on when the server takes no new connection any more."""
    with subject.holding("/held") as (client, key):
        subject.process.popen.send_signal(signal.SIGTERM)
        eventually(lambda: subject.refuses, STOPS_TAKING_WITHIN_S)
        subject.go_on(key)
        status = client.read_answer()
        return answer(status == 200, f"The request {client.outcome}.")


def lifespan(subject: Subject) -> Answer:
    """Look whether the application was told of the start before its first request, and of the end by SIGTERM."""
    told = [*subject.events("lifespan")[:1]]
    subject.process.popen.send_signal(signal.SIGTERM)
    if not eventually(lambda: subject.has_ended, waits.ANSWERS_S):
        raise CouldNotAsk("The server did not end by SIGTERM.")
    told += subject.events("lifespan")[1:]
    return answer(told == ["startup", "shutdown"], f"The application was told of: {', '.join(told) or 'nothing'}.")


def lifespan_state(subject: Subject) -> Answer:
    """Look whether a request has what the application put into the state at the start."""
    with connected(subject.port) as client:
        client.send(request(ECHO, CLOSE))
        client.read_answer()
        has_state = bool(client.bodies) and client.bodies[0]["state"] == "startup"
        return answer(has_state, f"The state of a request {'has' if has_state else 'lacks'} what was put there.")


def killed_worker(subject: Subject) -> Answer:
    """Kill the process that has a request, and look whether another one answers the next."""
    with subject.holding("/held") as (client, key):
        pid = int(subject.events(key)[0].split()[1])
        if pid not in pids_of(subject):
            raise CouldNotAsk("The process that has the request is not one of the server's.")
        os.kill(pid, signal.SIGKILL)
        client.read_answer()
        outcome = client.outcome
    replaced = eventually(lambda: subject.has_ended or subject.is_ready, waits.ANSWERS_S) and not subject.has_ended
    after = "another process answered the next one" if replaced else "nothing answered the next one"
    return answer(replaced, f"The request {outcome}; {after}.")
