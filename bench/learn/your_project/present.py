"""How a project is served today, as far as its own files say: Procfile, Dockerfile, compose, gunicorn.conf.py, units.

Nothing is run. Where no file says it, a gthread server with DEFAULT_THREADS threads is supposed, and that is said.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.learn.your_project.model import Present

DEFAULT_THREADS = 8
SUPPOSED = Present("gthread", DEFAULT_THREADS, 1)
FILES = (
    *("Procfile", "Dockerfile*", "docker-compose*.y*ml", "compose*.y*ml", "fly.toml", "render.yaml", "*.service"),
    *("supervisord*.conf", "entrypoint*", "start*.sh", "run*.sh", "deploy/*", "bin/*", "scripts/*", "docker/*"),
)
CONFIGS = ("gunicorn.conf.py", "gunicorn_config.py", "gunicorn.py", "config/gunicorn.py", "conf/gunicorn.py")
MOST_BYTES = 100_000
SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress-serve", "uwsgi")
COMMAND = re.compile(rf"(?<![\w./-])(?:\S*/)?({'|'.join(SERVERS)})[\"',]*\s+\S.*")
OPTIONS = {"workers": ("--workers", "-w", "--processes"), "threads": ("--threads",), "kind": ("--worker-class", "-k")}
MOST_PROCESSES, MOST_THREADS = 64, 2000


def read_present(root: Path) -> Present:
    """Return how the project in this folder is served; SUPPOSED where its files do not say it."""
    configured = next(_configured(root), SUPPOSED)
    command = next(_commands(root), None)
    if command is None:
        return configured
    place, program, words = command
    return _of_command(program, words, place, configured)


def _commands(root: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield commands of known servers: place, program, words."""
    for file in (file for pattern in FILES for file in sorted(root.glob(pattern)) if file.is_file()):
        if file.stat().st_size > MOST_BYTES:
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            found = COMMAND.search(line)
            if found and not line.lstrip().startswith(("#", "RUN")) and "install" not in line:
                yield f"{file.relative_to(root)}:{number}", found[1], _words(found[0])


def _words(command: str) -> list[str]:
    """Split a command, also one written as a JSON list, as in a Dockerfile."""
    plain = re.sub(r"[\"',\[\]]+", " ", command)
    try:
        return shlex.split(plain, comments=True)
    except ValueError:
        return plain.split()


def _of_command(program: str, words: list[str], place: str, configured: Present) -> Present:
    """Read budget and server of a command; of gunicorn, on top of its configuration file."""
    workers = _whole(_value(words, "workers"), MOST_PROCESSES)
    if program != "gunicorn":
        server = "gthread" if program in ("waitress-serve", "uwsgi") else "uvicorn"
        threads = (_whole(_value(words, "threads"), MOST_THREADS) or 4) if server == "gthread" else None
        return Present(server, threads, workers or 1, place)
    threads = _whole(_value(words, "threads"), MOST_THREADS)
    known = replace(configured, place=place) if configured.place else Present("sync", None, 1, place)
    changed = replace(known, processes=workers or known.processes, threads=threads or known.threads)
    return _of_kind(changed, _value(words, "kind") or "")


def _of_kind(present: Present, kind: str) -> Present:
    """Settle the server by gunicorn's worker class: more than one thread makes of its `sync` a gthread."""
    if "uvicorn" in kind.lower() or kind == "asgi":
        return replace(present, server="uvicorn", threads=None)
    threads = present.threads or 1
    if kind == "gthread" or present.server == "gthread" or threads > 1:
        return replace(present, server="gthread", threads=threads)
    return replace(present, server="sync", threads=None)


def _value(words: list[str], option: str) -> str | None:
    """Return what follows an option, `--workers 3` or `--workers=3`."""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in OPTIONS[option]:
            return value if equals else next(iter(words[number + 1 :]), None)
    return None


def _whole(text: str | None, most: int) -> int | None:
    """Read a number of at most so many; None for a variable or an expression, which only the server's machine knows."""
    found = re.fullmatch(r"(?:\$\{\w+:-)?(\d{1,4})\}?", text or "")
    return min(int(found[1]), most) if found and int(found[1]) else None


def _configured(root: Path) -> Iterator[Present]:
    """Yield what a configuration file of gunicorn's says."""
    for file in (root / name for name in CONFIGS):
        if file.is_file() and file.stat().st_size <= MOST_BYTES:
            text = file.read_text(errors="replace")
            said = {name: re.search(rf"^{name}\s*=\s*(.+)$", text, re.MULTILINE) for name in ("workers", "threads")}
            workers, threads = (
                _whole(found[1].strip() if found else None, most)
                for found, most in zip(said.values(), (MOST_PROCESSES, MOST_THREADS), strict=True)
            )
            kind = re.search(r"^worker_class\s*=\s*[\"']([\w.]+)", text, re.MULTILINE)
            present = Present("sync", threads, workers or 1, file.relative_to(root).as_posix())
            yield _of_kind(present, kind[1] if kind else "")
