"""An argument parser whose errors are one sentence, and readers of option values that say what is wrong with a word."""

import argparse
import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

from bench.base.errors import UsageError, nearest

MAX_DURATION_S = 3600.0
MAX_RATE_PER_S = 100_000.0


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the sentence of argparse, made a full one, and near names for a wrong command."""
        unknown = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if unknown:
            known = re.findall(r"[a-z_-]+", unknown[2])
            message = f"Unknown command {unknown[1]!r}: {nearest(unknown[1], known)}"
        sentence = message[0].upper() + message[1:].rstrip(".")
        stop = "" if sentence.endswith("?") else "."
        raise UsageError(f"{sentence}{stop} See `{self.prog} --help`.")


def words(text: str) -> list[str]:
    """A comma-separated list, empty words left out."""
    return [word.strip() for word in text.split(",") if word.strip()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def wholes(low: int, high: int) -> Callable[[str], list[int]]:
    """A reader of comma-separated whole numbers within bounds."""
    return lambda text: [whole(low, high)(word) for word in words(text)]


def seconds(text: str) -> float:
    """A duration above 0 s and up to an hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= MAX_DURATION_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to {MAX_DURATION_S:.0f}")
    return value


def positive_numbers(text: str) -> list[float]:
    """A comma-separated list of requests per second."""
    try:
        values = [float(word) for word in words(text)]
    except ValueError:
        values = [-1.0]
    if not values or not all(0 < value <= MAX_RATE_PER_S for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests/s up to {MAX_RATE_PER_S:,.0f}")
    return values


class Address(NamedTuple):
    """HOST or HOST:PORT, as typed."""

    host: str
    port: int | None


def address(text: str) -> Address:
    """A reader of HOST and HOST:PORT."""
    try:
        return _address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write HOST or HOST:PORT") from None


def host(text: str) -> str:
    """A reader of HOST."""
    try:
        found = _address(text)
    except ValueError:
        found = None
    if found is None or found.port:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write HOST")
    return found.host


def http_address(text: str) -> str:
    """A reader of http://HOST:PORT; a user and a password are refused, because runs are published."""
    try:
        scheme, _, where = text.removesuffix("/").partition("://")
        _address(where)
    except ValueError:
        scheme = ""
    if scheme.lower() != "http":
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write http://HOST:PORT")
    return f"http://{where}"


def _address(text: str) -> Address:
    """ValueError where it is none, also for a port beyond 65535 and a name that DNS cannot hold."""
    parts = urlsplit(f"//{text}")
    found = parts.hostname
    if not found or not re.fullmatch(r"[\w.:%\[\]-]+", text) or parts.port == 0:
        raise ValueError
    found.encode("idna")
    return Address(found, parts.port)


def header(text: str) -> tuple[str, str]:
    """A reader of `NAME: VALUE`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header: write NAME: VALUE")
    return name.strip(), value.strip()
