"""Removes the user and the password of a database from texts: they are never printed or stored."""

import os
import re
from urllib.parse import parse_qsl, quote, quote_plus, unquote

VARIABLE = "LAB_DATABASE_URL"
VARIABLES = (VARIABLE, "LAB_REDIS_URL")
"""Environment variables whose URL may hold a password."""
HIDDEN = "***"
# Up to the last @, because people forget to quote an @ in a password.
USER_AND_PASSWORD = re.compile(r"^[^:]*:/*([^:@]*):?(.*)@")


def hide_own_credentials(text: str) -> str:
    """Replace the credentials of the URLs in VARIABLES: any program that we start could quote them in its log."""
    for name in VARIABLES:
        text = hide_credentials(text, os.environ.get(name, ""))
    return text


def hide_credentials(text: str, url: str) -> str:
    """Replace the user and the password of the URL, quoted or not, by `***`.

    A user is replaced only as a whole word, because many names of users are part of other words.
    """
    users, passwords = _users_and_passwords(url)
    for password in _longest_first(passwords):
        text = text.replace(password, HIDDEN)
    for user in _longest_first(users):
        text = re.sub(rf"(?<!\w){re.escape(user)}(?!\w)", HIDDEN, text)
    return text


def _users_and_passwords(url: str) -> tuple[set[str], set[str]]:
    """Return users and passwords: a URL may also have them behind its question mark."""
    found = USER_AND_PASSWORD.match(url)
    user, password = found.groups() if found else ("", "")
    asked = parse_qsl(url.partition("?")[2])
    users = {user, *(value for name, value in asked if name == "user")}
    return users, {password, *(value for name, value in asked if "password" in name)}


def _longest_first(words: set[str]) -> list[str]:
    plain = words | {unquote(word) for word in words}
    forms = plain | {quote(word, safe="") for word in plain} | {quote_plus(word) for word in plain}
    return sorted(forms - {""}, key=len, reverse=True)
