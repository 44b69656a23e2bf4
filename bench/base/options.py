"""An argument parser whose errors are one sentence, and readers of option values.

A reader raises ArgumentTypeError that says which word is wrong, and what it should be.
"""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

from bench.base.errors import UsageError, nearest

MAX_DURATION_S = 3600.0
MAX_RATE_PER_S = 100_000.0


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the sentence of argparse, made a full one, and near names for a wrong choice."""
        unknown = re.search(r"(--\S+)?: invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if unknown:
            known = re.findall(r"[a-z_-]+", unknown[3])
            message = f"Unknown {unknown[1] or 'command'} {unknown[2]!r}: {nearest(unknown[2], known)}"
        sentence = message[0].upper() + message[1:].rstrip(".")
        stop = "" if sentence.endswith("?") else "."
        raise UsageError(f"{sentence}{stop} See `{self.prog} --help`.")


def words(text: str) -> list[str]:
    """Split a comma-separated list, without empty words."""
    return [word.strip() for word in text.split(",") if word.strip()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def wholes(low: int, high: int) -> Callable[[str], list[int]]:
    """Make a reader of comma-separated whole numbers from `low` to `high`."""
    return lambda text: [whole(low, high)(word) for word in words(text)]


def seconds(text: str) -> float:
    """Read a duration above 0 s and up to an hour."""
    return _positive_numbers(text, [text], "seconds", MAX_DURATION_S, "")[0]


def milliseconds(text: str) -> float:
    """Read a duration of 1 ms up to an hour."""
    found = _positive_numbers(text, [text], "milliseconds", MAX_DURATION_S * 1000, "")[0]
    if found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: 1 ms is the least")
    return found


def minutes(text: str) -> float:
    """Read a number of minutes from 0 up to a day."""
    with suppress(ValueError):
        if 0 <= (found := float(text)) <= 24 * 60:
            return found
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes up to 1440")


def percent(text: str) -> float:
    """Read a share in percent, above 0 and up to 100."""
    return _positive_numbers(text, [text], "percent", 100, "")[0]


def size(text: str) -> int:
    """Read a size in bytes, such as `512M` or `2G` (powers of 1024)."""
    found = re.fullmatch(r"([1-9]\d{0,6})([KMGT])i?B?", text.strip(), re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 512M or 2G")
    return int(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1)


def cookie(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`."""
    return _pair(text, "=", "cookie", "NAME=VALUE")


def _pair(text: str, separator: str, what: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}: write {form}")
    return name.strip(), value.strip()


def rates_per_s(text: str) -> list[float]:
    """Read a comma-separated list of requests per second."""
    return _positive_numbers(text, words(text), "requests/s", MAX_RATE_PER_S, ",")


def _positive_numbers(text: str, numbers: list[str], unit: str, most: float, separator: str) -> list[float]:
    with suppress(ValueError):
        values = [float(number) for number in numbers]
        if values and all(0 < value <= most for value in values):
            return values
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit} up to {most:{separator}.0f}")


class HostPort(NamedTuple):
    """HOST or HOST:PORT, as typed."""

    host: str
    port: int | None


def address(text: str) -> HostPort:
    """Read HOST or HOST:PORT."""
    return _address(text, text, "HOST or HOST:PORT")


def host(text: str) -> str:
    """Read HOST."""
    return _address(text, text, "HOST", may_have_port=False).host


def http_address(text: str) -> str:
    """Read http://HOST:PORT. A user and a password are refused, because runs are published."""
    scheme, _, where = text.removesuffix("/").partition("://")
    _address(text, where if scheme.lower() == "http" else "", "http://HOST:PORT")
    return f"http://{where}"


def web_address(text: str) -> str:
    """Read the address of a page, such as https://HOST/PATH."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a page: write https://HOST/PATH")
    return text.rstrip("/")


def _address(text: str, where: str, form: str, *, may_have_port: bool = True) -> HostPort:
    """Read the part `where` of a text. Ports beyond 65535 and names that DNS cannot hold are refused as well."""
    try:
        parts = urlsplit(f"//{where}")
        name, port = parts.hostname, parts.port
        if not name or not re.fullmatch(r"[\w.:%\[\]-]+", where) or port == 0 or (port and not may_have_port):
            raise ValueError
        name.encode("idna")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write {form}") from None
    return HostPort(name, port)


def header(text: str) -> tuple[str, str]:
    """Read `NAME: VALUE`."""
    return _pair(text, ":", "header", "NAME: VALUE")
