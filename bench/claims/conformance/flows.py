"""Questions about what flows, part by part, and about clients that leave; each takes a Subject, returns an Answer."""

from bench.claims.conformance import waits
from bench.claims.conformance.answers import Answer, answer
from bench.claims.conformance.client import request
from bench.claims.conformance.messages import CLOSE
from bench.claims.conformance.subject import CouldNotAsk, Subject, settled
from labs.conformance.answers import LARGE_PARTS, MIB

PART = b"x" * 65536
UPLOAD = b"x" * (32 * MIB)
UPLOAD_TEXT, LARGE_TEXT = f"{len(UPLOAD) // MIB} MiB", f"{LARGE_PARTS} MiB"


def cancelled_view(subject: Subject) -> Answer:
    """Leave while Django's async view waits: is it cancelled?"""
    cancelled, key = _leave(subject)
    subject.has_noted(key, "request_finished", waits.NEVER_S)  # some servers cannot have two async views at a time
    return answer(cancelled, "The view was cancelled." if cancelled else "The view went on until it was let end.")


def finished_signal(subject: Subject) -> Answer:
    """Leave while Django's async view waits: does `request_finished` fire, once the view is cancelled or has ended?"""
    cancelled, key = _leave(subject)
    finished = subject.has_noted(key, "request_finished")
    when = "after the view was cancelled" if cancelled else "after the view had run to its end"
    return answer(finished, f"It {'fired' if finished else 'did not fire'} {when}.")


def _leave(subject: Subject) -> tuple[bool, str]:
    """Leave while Django's async view waits; return whether it was cancelled, and the request's key."""
    with subject.asking("/django/held") as (client, target, key):
        client.send(request(target))
        if not subject.has_noted(key, "entered"):
            raise CouldNotAsk("The request did not reach Django's view.")
        client.socket.close()
        cancelled = subject.has_noted(key, "cancelled", waits.NEVER_S)
    return cancelled, key


def streamed_answer(subject: Subject) -> Answer:
    """Read the first part of an answer while the application is held before the last one."""
    with subject.asking("/stream") as (client, target, key):
        client.send(request(target, CLOSE))
        came = client.read_until(b"first", waits.NEVER_S)
        subject.go_on(key)
        if not client.read_until(b"last"):
            raise CouldNotAsk("The last part of the answer did not come.")
        seen = "The first part came" if came else "Nothing came"
        return answer(came, f"{seen} while the application was held before the last.")


def streamed_upload(subject: Subject) -> Answer:
    """Send a part of a body and hold back the rest: does the application read that part?"""
    with subject.asking("/upload") as (client, target, key):
        client.send(request(target, f"Content-Length: {2 * len(PART)}", CLOSE, method="POST", body=PART))
        came = subject.has_noted(key, "part", waits.NEVER_S)
        client.send(PART)
        client.read_to_the_end()
        if not client.received.endswith(str(2 * len(PART)).encode()):
            raise CouldNotAsk(f"The upload {client.outcome}, but not with its size.")
        seen = "read the first part" if came else "read nothing"
        return answer(came, f"The application {seen} while the client held back the last.")


def bounded_upload(subject: Subject) -> Answer:
    """Send a large body while the application reads nothing: how much does the server take, and into memory?"""
    before_bytes = subject.memory_bytes
    with subject.asking("/unread") as (client, target, key):
        client.send(request(target, f"Content-Length: {len(UPLOAD)}", CLOSE, method="POST"))
        sent = client.send_until_held_back(UPLOAD, waits.QUIET_S)
        is_small = subject.memory_bytes - before_bytes < len(UPLOAD) / 2
        subject.go_on(key)
        client.send(UPLOAD[sent:])
        client.read_to_the_end()
        if client.status < 400 and not client.received.endswith(str(len(UPLOAD)).encode()):
            raise CouldNotAsk(f"The upload of {UPLOAD_TEXT} {client.outcome}, but not with its size.")
    if client.status >= 400:
        return answer(True, f"The server refused an upload of {UPLOAD_TEXT} with {client.status}.")
    took = f"took all of {UPLOAD_TEXT}" if sent == len(UPLOAD) else f"stopped reading before {UPLOAD_TEXT} were sent"
    grew = "less than" if is_small else "at least"
    return answer(is_small, f"The server {took}; its memory grew by {grew} half of that.")


def slow_reader(subject: Subject) -> Answer:
    """Ask for a large answer and read nothing of it: does the application stop?"""
    with subject.asking("/large", small=True) as (client, target, key):
        client.send(request(target, CLOSE))
        taken = settled(lambda: len(subject.events(key)), LARGE_PARTS)
        if len(client.read_to_the_end()) < LARGE_PARTS * MIB:
            raise CouldNotAsk(f"The answer of {LARGE_TEXT} did not come whole when it was read.")
    if taken < LARGE_PARTS:
        return answer(True, f"The application was stopped before it had sent {LARGE_TEXT}.")
    return answer(False, f"The server took all of {LARGE_TEXT} from the application while the client read nothing.")
