"""A Locust master and its workers, as far as `closed.py` needs them: which take part, were lost, have handed in.

Files that the master leaves for its caller beside those of `closed.py`: `worker-N` for each worker that has arrived,
`lost-N` for one that went silent or left before it had handed in, `refused` with the sentence of one that refuses.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent

from bench.measure.load.driver import POLL_S, wait_for, write_json
from bench.measure.load.protocol import DONE, MASTER_GONE, REFUSED, WORKING
from bench.model.servers import LOOPBACK, OWN_HOST_VARIABLE

TICK_S = 0.25  # silence is counted in ticks of this process: while it is paused itself, no time passes
LOST_AFTER_S = 3.0  # a worker shows itself every second
GONE_AFTER_S = 4.0  # and the master answers each time; the worker is the more patient of the two
SEND_MS = 3000  # for a message to leave before the process does


class Master:
    """Lets the first workers in, up to the number expected, and gathers what they recorded."""

    def __init__(self, runner: Any, options: Any, folder: Path) -> None:
        self.runner, self.expected, self.folder = runner, options.expect_workers, folder
        self.workers: list[str] = []
        self.set_up: set[str] = set()
        self.handed_in: set[str] = set()
        self.silent_ticks: Counter[str] = Counter()
        self.pass_message_on = runner.handle_message
        runner.handle_message = self.let_in
        runner.register_message("lab_set_up", lambda environment, msg, **_: self.set_up.add(msg.node_id))
        runner.register_message("lab_recorded", self.on_recorded)
        runner.register_message("lab_refused", self.on_refused)
        events = runner.environment.events
        events.heartbeat_sent.add_listener(lambda client_id, **_: self.silent_ticks.pop(client_id, None))
        gevent.spawn(self.watch)

    def let_in(self, client_id: str, msg: Any) -> None:
        """Hand a message on to Locust. One worker too many gets no answer: it asks again, perhaps the next master.

        Locust would give it users in the middle of a window.
        """
        if msg.type == "client_ready" and client_id not in self.workers:
            if len(self.workers) == self.expected:
                return
            self.workers.append(client_id)
            (self.folder / f"worker-{len(self.workers)}").touch()
        self.pass_message_on(client_id, msg)

    def wait_for_workers(self) -> None:
        """Wait until all are ready; the caller ends the process when that takes too long.

        Locust would look once a second, and counts a worker that may be sent users before it has run this file.
        """
        while len(self.set_up) < self.expected:
            gevent.sleep(POLL_S)

    def open_window(self) -> None:
        """Tell the workers to measure: each fixes the window by its own clock, from the moment this message comes."""
        self.runner.send_message("lab_window", {})
        gevent.spawn(self.pass_stop_on)

    def pass_stop_on(self) -> None:
        """Wait until the caller's file `stop` is there, then tell the workers to stop."""
        wait_for(self.folder / "stop")
        self.runner.send_message("lab_stop", {})

    def on_recorded(self, environment: Any, msg: Any, **_: Any) -> None:
        """Write a recording. Before the last one, thank all workers: its reader may end this process at once."""
        self.handed_in.add(msg.node_id)
        all_there = len(self.handed_in) == self.expected
        if all_there:
            self.runner.send_message("lab_thanks", {})
        write_json(self.folder / f"recording-{len(self.handed_in)}.json", msg.data)
        if all_there:
            self.runner.quit()

    def on_refused(self, environment: Any, msg: Any, **_: Any) -> None:
        """Write the refusal of a worker to the file `refused`."""
        write_json(self.folder / "refused", msg.data)

    def watch(self) -> None:
        """Leave a file for each worker that went silent, or left, without having handed in."""
        while True:
            gevent.sleep(TICK_S)
            for number, client_id in enumerate(self.workers, 1):
                self.silent_ticks[client_id] += 1
                silent_s = self.silent_ticks[client_id] * TICK_S
                has_left = silent_s > 2 * TICK_S and client_id not in self.runner.clients
                if client_id not in self.handed_in and (silent_s > LOST_AFTER_S or has_left):
                    (self.folder / f"lost-{number}").touch()


class Worker:
    """Does what the master says, and leaves when that is done or the master is silent."""

    def __init__(self, runner: Any, measure: Callable[[], None], stop: Callable[[], None]) -> None:
        self.runner, self.measure, self.stop = runner, measure, stop
        self.silent_ticks: Counter[str] = Counter()
        runner.register_message("lab_window", self.on_window)
        # Not at once: what `on_window` has spawned may not have begun to measure.
        runner.register_message("lab_stop", lambda environment, msg, **_: gevent.spawn(self.stop))
        runner.register_message("lab_thanks", lambda environment, msg, **_: leave(0, DONE))
        runner.environment.events.heartbeat_received.add_listener(lambda **_: self.silent_ticks.clear())
        gevent.spawn(self.watch)
        runner.send_message("lab_set_up", {})

    def check_target(self, url: str) -> None:
        """Leave instead of loading a host that the user of this machine has not claimed."""
        if urlsplit(url).hostname in LOOPBACK or os.environ.get(OWN_HOST_VARIABLE) == "1":
            return
        sentence = f"The master asks to load {url}, which is not loopback"
        self.runner.send_message("lab_refused", {"sentence": sentence})
        context = self.runner.client.socket.context
        self.runner.client.close(SEND_MS)
        context.term()  # once it has left
        leave(REFUSED, sentence)

    def on_window(self, environment: Any, msg: Any, **_: Any) -> None:
        """Print that the work begins, and start to measure."""
        print(WORKING, flush=True)
        gevent.spawn(self.measure)

    def hand_in(self, recording: dict[str, Any]) -> None:
        """Send the recording. The users go on until all have handed in, so that the load on other windows stays."""
        self.runner.send_message("lab_recorded", recording)

    def watch(self) -> None:
        """Leave the process when the master has been silent for GONE_AFTER_S seconds."""
        while self.silent_ticks["master"] * TICK_S < GONE_AFTER_S:
            self.silent_ticks["master"] += 1
            gevent.sleep(TICK_S)
        leave(MASTER_GONE, f"Nothing was heard of the master for {GONE_AFTER_S:.0f} s.")


def leave(status: int, last_words: str) -> None:
    """End this process at once: Locust catches SystemExit in listeners, and would rebalance users on a farewell."""
    print(last_words, flush=True)
    os._exit(status)
