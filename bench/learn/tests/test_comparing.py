"""Documents of `lab try`: what is masked in a comparison, and what is no success."""

from __future__ import annotations

import pytest

from bench.learn.your_project.comparing import (
    Document,
    difference,
    masked_texts,
    places_that_differ,
    success_problem,
)

HTML = (("Content-Type", "text/html"),)
JSON = (("content-type", "application/json"),)


def page(body: str, *headers: tuple[str, str]) -> Document:
    return Document(200, headers, body.encode())


def test_what_differs_in_two_answers_of_one_door_is_masked_at_its_place() -> None:
    one, again = page("<p>a</p><p>at 10:00:01 of 1 visit</p>"), page("<p>a</p><p>at 10:00:02 of 2 visits</p>")
    masks = places_that_differ(one, again)
    assert difference(one, page("<p>a</p><p>at 10:00:09 of 7 visits</p>"), masks) == []
    assert masked_texts(one, masks) == ["<p>at ⟨10:00:01⟩ of ⟨1⟩ ⟨visit⟩</p>"]


def test_a_difference_beside_a_mask_is_seen() -> None:
    one = page("<p>at 10:00:01</p><p>hello</p>")
    masks = places_that_differ(one, page("<p>at 10:00:02</p><p>hello</p>"))
    assert difference(one, page("<p>at 10:00:03</p><p>good bye</p>"), masks) == ["- <p>hello</p>", "+ <p>good bye</p>"]
    assert difference(one, page("<p>on 10:00:03</p><p>hello</p>"), masks) == [
        "- <p>at 10:00:01</p>",
        "+ <p>on 10:00:03</p>",
    ]


def test_lines_that_come_and_go_are_masked_only_where_they_do_so_behind_one_door() -> None:
    one = page("<ul>\n<li>a</li>\n<li>b</li>\n</ul>")
    longer = page("<ul>\n<li>a</li>\n<li>b</li>\n<li>c</li>\n</ul>")
    assert difference(one, longer, set()) == ["+ <li>c</li>"]
    assert difference(one, longer, places_that_differ(one, longer)) == []


@pytest.mark.parametrize("name", ["Date", "Server", "Connection", "Transfer-Encoding", "Content-Length"])
def test_a_header_that_a_server_makes_is_not_compared(name: str) -> None:
    assert not places_that_differ(page("a", (name, "1")), page("a", (name, "2")))


def test_a_space_before_a_header_s_value_is_no_difference_and_its_order_is_none() -> None:
    one = page("a", ("Set-Cookie", " a=1"), ("Vary", "Cookie"))
    assert not places_that_differ(one, page("a", ("vary", "Cookie"), ("set-cookie", "a=1")))


def test_another_header_or_status_is_a_difference() -> None:
    assert difference(page("a", ("Vary", "Cookie")), page("a"), set()) == ["- vary: Cookie"]
    assert difference(page("a"), Document(201, (), b"a"), set()) == ["- 200", "+ 201"]


def test_a_cookie_s_value_is_never_shown() -> None:
    one, other = page("a", ("Set-Cookie", "sessionid=secret1; Path=/")), page("a", ("Set-Cookie", "sessionid=secret2"))
    shown = [*difference(one, other, set()), *masked_texts(one, places_that_differ(one, other))]
    assert len(shown) == 3
    assert not [line for line in shown if "secret" in line]


def test_long_json_in_one_line_is_compared_quickly() -> None:
    numbers = [f'{{"id":{number},"name":"item"}}' for number in range(20_000)]
    other = [*numbers[:10_000], '{"id":-1,"name":"item"}', *numbers[10_001:]]
    assert difference(page(",".join(numbers)), page(",".join(other)), set()) == ['- {"id":10000,', '+ {"id":-1,']


@pytest.mark.parametrize(
    ("status", "headers", "body", "why"),
    [
        (200, HTML, b"<p>fine</p>", ""),
        (204, (), b"", ""),
        (429, HTML, b"", "429"),
        (404, HTML, b"", "404 Not Found: no URL"),
        (302, (), b"", "--login USER"),
        (200, HTML, b"Rate limit exceeded", "200 that says"),
        (200, HTML, b"<p>Our rate limit explained</p>" * 200, ""),
        (200, JSON, b'{"data": {}, "errors": []}', ""),
        (200, JSON, b'{"errors": [{"message": "boom"}]}', "200 with GraphQL errors inside: boom"),
        (200, JSON, b'[{"errors": "a column"}]', ""),
    ],
)
def test_what_is_a_success(status: int, headers: tuple[tuple[str, str], ...], body: bytes, why: str) -> None:
    said = {404: "404 Not Found: no URL of the project matches.", 302: "it leads to the login at /in."}.get(status, "")
    found = success_problem(status, headers, body, said)
    assert why in found
    assert bool(found) == bool(why)
