"""The commands of a run as they are kept: without what chance chose, and each once, under a name. Pure functions."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, pairwise

Commands = dict[str, list[str]]
"""Of one trial: the words of its `server`, its `load` and, where it has one, its `upstream`."""
FOLDER, PORT, MASTER_PORT = "FOLDER", "PORT", "MASTER_PORT"
"""Stand for what was free just then: a folder, the port of the server or the upstream, the port of Locust's master."""
_ADDRESS = re.compile(r"\w+://\S*:\d+")


def normalise(commands: Commands, folder: str = "") -> Commands:
    """The commands of a trial with PORT and FOLDER for what differs from trial to trial and means nothing.

    The server's port is read off the address that the load asks, the upstream's off its own `--port`. The address
    stays where it is no server of the lab.
    """
    load = commands.get("load", [])
    asked = next(filter(_ADDRESS.fullmatch, load), "") if "server" in commands else ""
    ports = {"server": asked.rpartition(":")[2], "upstream": _after("--port", commands.get("upstream", []))}
    found = {part: _with_port_named(words, ports.get(part, "")) for part, words in commands.items()}
    named = {folder: FOLDER, asked: f"{asked.rpartition(':')[0]}:{PORT}"}
    masters = [MASTER_PORT if before == "--master-bind-port" else word for before, word in pairwise(["", *load])]
    return found | ({"load": [named.get(word, word) if word else word for word in masters]} if load else {})


def _after(option: str, words: Sequence[str]) -> str:
    return next((word for before, word in pairwise(words) if before == option), "")


def _with_port_named(words: Sequence[str], port: str) -> list[str]:
    return [re.sub(rf"(?<!\d){re.escape(port)}(?!\d)", PORT, word) if port else word for word in words]


def share(trials: Iterable[tuple[str, Commands]]) -> tuple[Commands, list[dict[str, str]]]:
    """Each command once, by name, and for each trial (its stack, its commands) the name of each of its parts.

    A server's command has the name of its stack, any other the name of its part; of several, the later ones have
    numbers behind it.
    """
    shared: Commands = {}
    names: dict[tuple[str, ...], str] = {}
    endings: dict[str, Iterator[str]] = defaultdict(lambda: chain([""], (f" {number}" for number in count(2))))

    def name_of(first: str, words: Sequence[str]) -> str:
        key = (first, *words)
        if key not in names:
            names[key] = next(name for ending in endings[first] if (name := first + ending) not in shared)
            shared[names[key]] = list(words)
        return names[key]

    return shared, [
        {part: name_of(stack if part == "server" else part, words) for part, words in commands.items()}
        for stack, commands in trials
    ]
