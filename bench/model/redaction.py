"""Who may enter a database is nobody's to read: a text without the user and the password of an address."""

import os
import re
from urllib.parse import parse_qsl, quote, quote_plus, unquote

VARIABLE = "LAB_DATABASE_URL"
VARIABLES = (VARIABLE, "LAB_REDIS_URL")
"""Those whose address may hold a password."""
HIDDEN = "***"
# Up to the last @, because people forget to quote one in a password.
USER_AND_PASSWORD = re.compile(r"^[^:]*:/*([^:@]*):?(.*)@")


def hidden_here(text: str) -> str:
    """Without those of VARIABLES, where they are set: any program of ours could quote them in its log."""
    for name in VARIABLES:
        text = hidden(text, os.environ.get(name, ""))
    return text


def hidden(text: str, url: str) -> str:
    """The text without the user and the password that the URL has, quoted or not.

    A user is hidden as a whole word only: many are called like a part of something else.
    """
    users, passwords = _who(url)
    for password in _longest_first(passwords):
        text = text.replace(password, HIDDEN)
    for user in _longest_first(users):
        text = re.sub(rf"(?<!\w){re.escape(user)}(?!\w)", HIDDEN, text)
    return text


def _who(url: str) -> tuple[set[str], set[str]]:
    """Users and passwords: a URL may also have them behind its question mark."""
    found = USER_AND_PASSWORD.match(url)
    user, password = found.groups() if found else ("", "")
    asked = parse_qsl(url.partition("?")[2])
    users = {user, *(value for name, value in asked if name == "user")}
    return users, {password, *(value for name, value in asked if "password" in name)}


def _longest_first(words: set[str]) -> list[str]:
    plain = words | {unquote(word) for word in words}
    forms = plain | {quote(word, safe="") for word in plain} | {quote_plus(word) for word in plain}
    return sorted(forms - {""}, key=len, reverse=True)
