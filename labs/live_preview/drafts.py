"""Drafts by name: the newest text and its preview, and whoever waits for a newer one. In this process only."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from weakref import WeakValueDictionary

from labs.common.news import News
from labs.live_preview.render import rendered

MOST_CHARACTERS = 20_000
KEPT = 100


class BadDraft(ValueError):
    """The sentence to show where the preview would be."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A text and its preview, made together; told apart by identity."""

    text: str
    html: str


EMPTY = Shown("", "")


class Draft:
    """Listeners are told that there is something newer, and look at `shown`: one who is slow skips what is past."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shown = EMPTY
        self.news = News()

    def change(self, text: str) -> Shown:
        """Show the text to all listeners; raises BadDraft."""
        # Forms send CR LF, sockets LF; one character for each, so that the ways agree on length and HTML.
        text = "\n".join(text.splitlines())
        if len(text) > MOST_CHARACTERS:
            raise BadDraft(too_long())
        self.shown = shown = Shown(text, rendered(text))
        self.news.publish("newer")
        return shown


class Drafts:
    """The last KEPT drafts that were opened, and all that somebody still listens to."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._alive = WeakValueDictionary[str, Draft]()
        self._kept = OrderedDict[str, Draft]()

    def open(self, name: str) -> Draft:
        """Return the draft of this name, a new one if there is none; the oldest beyond KEPT is forgotten."""
        with self._lock:
            draft = self._alive.setdefault(name, Draft(name))
            self._kept[name] = draft
            self._kept.move_to_end(name)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return draft


def too_long() -> str:
    """Return the sentence for a draft of more than MOST_CHARACTERS."""
    return f"A draft has at most {MOST_CHARACTERS:,} characters; this one is longer, so it is not shown."


DRAFTS = Drafts()
