"""Prepares commands for run.json: free ports and folders get names, and each command is stored once."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, pairwise

Commands = dict[str, list[str]]
"""Of one trial: the words of its `server`, its `load` and, if it has them, its `upstream` and its `front`."""
FOLDER, PORT, FRONT_PORT, LOAD_PORT = "FOLDER", "PORT", "FRONT_PORT", "MASTER_PORT"
"""Replace values that were free at that moment: a folder, the port of server or upstream, that of a front, that of
Locust's master.
"""
_ADDRESS = re.compile(r"\w+://\S*:\d+")


def normalise(commands: Commands, folder: str = "", behind: int | None = None) -> Commands:
    """Replace ports and folders, which differ from trial to trial and mean nothing, by PORT and FOLDER.

    The server's port is taken from the URL of the load, which behind a front has the front's: then it is `behind`. The
    upstream's is taken from its own `--port`. The URL stays as it is if the lab did not start the server.
    """
    load, upstream = commands.get("load", []), _after("--port", commands.get("upstream", []))
    addresses = [word for word in load if _ADDRESS.fullmatch(word)] if "server" in commands else []
    asked = next((word for word in addresses if word.rpartition(":")[2] != upstream), "")
    ports = {"server": str(behind or asked.rpartition(":")[2]), "upstream": upstream}
    found = {part: _with_port_named(words, ports.get(part, "")) for part, words in commands.items()}
    named = {word: f"{word.rpartition(':')[0]}:{PORT}" for word in addresses}
    named |= {folder: FOLDER} | ({asked: f"{asked.rpartition(':')[0]}:{FRONT_PORT}"} if behind else {})
    masters = [LOAD_PORT if before == "--master-bind-port" else word for before, word in pairwise(["", *load])]
    return found | ({"load": [named.get(word, word) if word else word for word in masters]} if load else {})


def _after(option: str, words: Sequence[str]) -> str:
    return next((word for before, word in pairwise(words) if before == option), "")


def _with_port_named(words: Sequence[str], port: str) -> list[str]:
    return [re.sub(rf"(?<!\d){re.escape(port)}(?!\d)", PORT, word) if port else word for word in words]


def share(trials: Iterable[tuple[str, Commands]]) -> tuple[Commands, list[dict[str, str]]]:
    """Store each command once. `trials`: pairs of stack and commands.

    Returns the commands by name, and for each trial the name of each of its commands. A server's command is named
    after its stack, any other after its part; if a name is taken, a number follows it.
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
