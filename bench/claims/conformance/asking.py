"""Starts servers and asks each of them all questions; several servers at a time, for most of it is waiting."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from importlib import metadata
from typing import NamedTuple

from bench.base.console import announce
from bench.base.errors import NotRun
from bench.claims.conformance.answers import Answer
from bench.claims.conformance.kept import Row
from bench.claims.conformance.questions import QUESTIONS, Question
from bench.claims.conformance.subject import CouldNotAsk, Subject, serving_subject
from bench.model.servers import Interface, ServerKind

AT_ONCE, TRIES_ALONE = 6, 3


class Behind(NamedTuple):
    """One interface of a server."""

    kind: ServerKind
    interface: Interface

    @property
    def version(self) -> str:
        """The version of the server's own package, empty if it is not installed."""
        try:
            return metadata.version(self.kind.packages[0])
        except metadata.PackageNotFoundError:
            return ""


class Running:
    """The servers that run now, so that an interrupt can end them all."""

    def __init__(self) -> None:
        self.subjects: set[Subject] = set()
        self.is_over = False

    @contextmanager
    def serve(self, behind: Behind) -> Iterator[Subject]:
        """Serve the application. Raises NotRun if the server does not boot, also on another port, or all is over."""
        with ExitStack() as serving:
            try:
                subject = self._start(behind, serving)
            except NotRun:
                subject = self._start(behind, serving)
            yield subject
        self.subjects.discard(subject)

    def _start(self, behind: Behind, serving: ExitStack) -> Subject:
        if self.is_over:
            raise NotRun("Interrupted.")
        subject = serving.enter_context(serving_subject(*behind))
        self.subjects.add(subject)
        if self.is_over:  # since then, too late for `end` to find it
            raise NotRun("Interrupted.")
        return subject

    def end(self) -> None:
        """End all at once: whoever waits for a server sees that it has gone."""
        self.is_over = True
        for subject in set(self.subjects):
            subject.process.stop(0)


def ask_servers(kinds: Sequence[ServerKind]) -> list[Row]:
    """Ask every server, behind each of its interfaces, every question."""
    every = [Behind(kind, interface) for kind in kinds for interface in kind.interfaces]
    running = Running()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(rows_behind, behind, running): behind for behind in every}
        try:
            for future in as_completed(asked):
                kind, interface = asked[future]
                announce(f"asked {kind.name} behind {interface.upper()}: {len(future.result())} questions")
        except BaseException:
            running.end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [row for future in asked for row in future.result()]


def rows_behind(behind: Behind, running: Running) -> list[Row]:
    """Ask a server behind one interface every question; if it does not boot, what is left could not be asked."""
    found, missing = dict[str, Answer](), Answer("could not ask", "The server was not asked.")
    try:
        _ask_in_turn(behind, running, found)
        for question in QUESTIONS:
            if question.ends_server and behind.interface in question.interfaces:
                found[question.name] = _ask_alone(question, behind, running)
    except NotRun as reason:
        missing = Answer("could not ask", _in_a_line(str(reason)))
    return [
        Row(behind.kind.name, behind.version, behind.interface, question.name, *found.get(question.name, missing))
        if behind.interface in question.interfaces
        else Row(
            *(behind.kind.name, behind.version, behind.interface, question.name, "does not apply"),
            f"{behind.interface.upper()} does not have it.",
        )
        for question in QUESTIONS
    ]


def _in_a_line(reason: str) -> str:
    """Shorten what has a log below it, of a server that did not boot, to what happened and the last line of the log."""
    first, *log = reason.splitlines()
    return f"{first.partition(':')[0]}: {log[-1]}" if log else first


def _ask_in_turn(behind: Behind, running: Running, found: dict[str, Answer]) -> None:
    """Ask on one server all that does not end it; on a new one if it has ended, or does not answer any more."""
    left = deque(each for each in QUESTIONS if behind.interface in each.interfaces and not each.ends_server)
    while left:
        with running.serve(behind) as subject:
            is_ready = True
            while left and is_ready:
                question = left.popleft()
                found[question.name] = ask_twice(question, subject)
                is_ready = subject.is_ready


def _ask_alone(question: Question, behind: Behind, running: Running) -> Answer:
    """Ask on a server that may end by it; on a few more until an event has proved the answer: its grace is short."""
    for _ in range(TRIES_ALONE):
        with running.serve(behind) as subject:
            found = ask(question, subject)
        if found.answer == question.proved_by:
            break
    return found


def ask_twice(question: Question, subject: Subject) -> Answer:
    """Ask, and again unless an event has proved the answer: a busy machine may just have been late."""
    first = ask(question, subject)
    return first if first.answer in (question.proved_by, "does not apply") else ask(question, subject)


def ask(question: Question, subject: Subject) -> Answer:
    """Ask once; a server that cannot be asked is an answer, too."""
    try:
        return question.ask(subject)
    except CouldNotAsk as reason:
        return Answer("could not ask", str(reason))
    except OSError as error:
        return Answer("could not ask", f"The connection failed ({error.strerror or error}).")
