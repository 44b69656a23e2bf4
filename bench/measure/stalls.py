"""Stretches without an answer: whether the server was silent, or the client or the lab itself was held up. Pure."""

from collections.abc import Sequence

from bench.measure.load.recording import Stretch
from bench.measure.monitor import WindowEvidence
from bench.model.trial_record import ASKED_FOR, Event, Trial

SILENT_S = 0.3
TIMES_THE_USUAL = 3.0
SLACK_S = 0.05
WORKING_SHARE = 0.5
"""Of a core: a server that uses more in a silence was not paused from outside."""
MOST_LISTED = 20


def gap_events(trial: Trial, seen: WindowEvidence) -> list[Event]:
    """Return the client's stalls, the lab's, and the server's silences that nothing known explains, longest first."""
    stalls = seen.recording.stalls
    planned = [(event.at_s, event.at_s + event.for_s) for event in seen.events if event.code in ASKED_FOR]
    silences = [
        stretch
        for stretch in seen.recording.silences
        if _length(stretch) > silent_s(trial) and not any(_explains(known, stretch) for known in [*stalls, *planned])
    ]
    events = [
        *(_event("client-gap", stall, "The load generator itself was held up for") for stall in stalls),
        *lab_gaps(seen.held_up),
        *(_silence(trial, silence) for silence in silences),
    ]
    return sorted(events, key=lambda event: -event.for_s)[:MOST_LISTED]


def lab_gaps(held_up: Sequence[Stretch]) -> list[Event]:
    """Return an event for each time the lab did not look, which changes no answer but leaves the server unread."""
    return [_event("lab-gap", gap, "The lab itself was held up, and read nothing, for") for gap in held_up]


def silent_s(trial: Trial) -> float:
    """Return the seconds beyond which a silence is remarkable: three waits, and three usual spacings of answers."""
    spacing_s = trial.duration_s / max(1, sum(trial.answered))
    return max(SILENT_S, TIMES_THE_USUAL * trial.io_wait_s, TIMES_THE_USUAL * spacing_s)


def _silence(trial: Trial, stretch: Stretch) -> Event:
    """Call it a pause of the server, unless it worked meanwhile: then it is a property of the stack, as its rate is."""
    if _server_share(trial, stretch) >= WORKING_SHARE:
        return _event("server-busy", stretch, "The server worked, but answered nothing for")
    return _event("server-gap", stretch, "The client ran, but no answer came for")


def _server_share(trial: Trial, stretch: Stretch) -> float:
    """Return the cores that the server kept busy in a stretch of the window, from the samples in it; 0 without any."""
    since_s, until_s = stretch
    samples = zip(trial.samples.at_s, trial.samples.cpu_share, strict=True)
    shares = [share for at_s, share in samples if since_s < at_s <= until_s + trial.answered_every_s]
    return sum(shares) / len(shares) if shares else 0.0


def _length(stretch: Stretch) -> float:
    return stretch[1] - stretch[0]


def _explains(known: Stretch, silence: Stretch) -> bool:
    """Return whether the rest of the silence, outside the known stretch, is not remarkable."""
    common_s = min(known[1] + SLACK_S, silence[1]) - max(known[0] - SLACK_S, silence[0])
    return _length(silence) - max(0.0, common_s) < SILENT_S


def _event(code: str, stretch: Stretch, what: str) -> Event:
    at_s, for_s = round(stretch[0], 3), round(_length(stretch), 3)
    return Event(code, at_s, for_s, f"{what} {for_s:.1f} s, {at_s:.1f} s into the window.")
