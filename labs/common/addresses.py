"""Addresses that hold a password. No framework in here."""

import re


def is_quoted(url: str) -> bool:
    """False where a slash, a question mark or a hash in a password is not quoted: a part of it would be the host."""
    behind_the_host = re.sub("^[^:]*://[^/?#]*", "", url)
    return not re.search("[@#]", behind_the_host)
