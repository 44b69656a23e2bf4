"""Drafts and their previews, without a server: what is rendered, what is refused, who hears of a change."""

import gc
import json
from collections.abc import Iterator
from itertools import islice

import pytest

from labs.live_preview import drafts
from labs.live_preview.consumers import text_in
from labs.live_preview.drafts import EMPTY, MOST_CHARACTERS, BadDraft, Draft, Drafts
from labs.live_preview.render import rendered
from labs.live_preview.streams import STILL_HERE, previews

RENDERED = {
    "": "",
    " \n\t\n": "",
    "Title": "<h3>Title</h3>",
    "A *good* title\n\n\nOne\nline\n \nTwo": "<h3>A <em>good</em> title</h3><p>One\nline</p><p>Two</p>",
    "2 * 3 * 4 and * no *": "<h3>2 * 3 * 4 and * no *</h3>",
    "T\n<script>alert(1)</script>": "<h3>T</h3><p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
    "<img src=x onerror=ran()>": "<h3>&lt;img src=x onerror=ran()&gt;</h3>",
    "*<b>* & \"'": "<h3><em>&lt;b&gt;</em> &amp; &quot;&#x27;</h3>",
}


@pytest.mark.parametrize(("text", "html"), RENDERED.items())
def test_a_draft_has_a_title_paragraphs_and_emphasis_and_all_else_is_escaped(text: str, html: str) -> None:
    assert rendered(text) == html


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["*", "* ", "*a", "\n ", " ", "<", "\n\n*"])
def test_no_draft_takes_long_to_render(piece: str) -> None:
    rendered("x" + piece * (MOST_CHARACTERS // len(piece)) + "x")


def test_line_ends_of_forms_and_of_sockets_make_the_same_draft_and_count_once() -> None:
    by_form, by_socket = (Draft("d").change(("a" + end) * (MOST_CHARACTERS // 2)) for end in ("\r\n", "\n"))
    assert (by_form.text, by_form.html) == (by_socket.text, by_socket.html)


def test_a_draft_that_is_too_long_is_refused_with_the_limit_and_the_last_one_stays() -> None:
    draft = Draft("d")
    kept = draft.change("x" * MOST_CHARACTERS)
    with pytest.raises(BadDraft, match="at most 20,000 characters"):
        draft.change("x" * (MOST_CHARACTERS + 1))
    assert draft.shown is kept


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Drafts:
    monkeypatch.setattr(drafts, "KEPT", 2)
    return Drafts()


def test_a_name_gives_the_same_draft_again(few: Drafts) -> None:
    few.open("a").change("kept")
    assert (few.open("a").shown.text, few.open("b").shown) == ("kept", EMPTY)


def test_only_the_last_drafts_are_kept_and_those_in_use(few: Drafts) -> None:
    used = few.open("used")
    used.change("used")
    few.open("unused").change("unused")
    for name in ("c", "d"):
        few.open(name)
    gc.collect()
    assert few.open("used") is used
    assert few.open("unused").shown is EMPTY


@pytest.fixture
def stream() -> Iterator[tuple[Draft, Iterator[bytes]]]:
    draft = Draft("d")
    events = previews(draft)
    next(events)  # where it waits
    yield draft, events
    events.close()  # type: ignore[attr-defined]
    assert draft.news.listeners == 0


def test_a_stream_brings_what_was_there_and_then_each_change(stream: tuple[Draft, Iterator[bytes]]) -> None:
    draft, events = stream
    assert next(events) == STILL_HERE
    for text in ("one", "two"):
        draft.change(text)
        assert next(events) == f"event: preview\ndata: <h3>{text}</h3>\n\n".encode()


def test_a_slow_reader_gets_the_newest_preview_and_skips_the_ones_before(stream: tuple[Draft, Iterator[bytes]]) -> None:
    draft, events = stream
    next(events)
    for text in ("one", "two", "three"):
        draft.change(text)
    assert list(islice(events, 3)) == [b"event: preview\ndata: <h3>three</h3>\n\n", STILL_HERE, STILL_HERE]


@pytest.mark.parametrize("message", [None, "", "no json", "[]", "1", "{}", json.dumps({"text": 1}), "[" * 100_000])
def test_a_message_without_a_draft_is_refused(message: str | None) -> None:
    with pytest.raises(BadDraft):
        text_in(message)
