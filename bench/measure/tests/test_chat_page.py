"""The page of a chat room as its readers see it: two browsers in one room, by keyboard."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.browser import chromium, needs_chromium
from bench.measure.tests.live import LIVE_STACKS
from bench.model.stacks import parse_stack

pytestmark = [needs_chromium, pytest.mark.timeout(60)]
WITHIN_MS = 10_000
MARKUP = "<img src=/nowhere onerror=\"document.title='harmed'\"> & <b>bold</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def entered(browser: Browser, server: RunningServer, room: str = "lobby") -> Page:
    """The page in a browser of its own, connected."""
    page = browser.new_context().new_page()
    page.set_default_timeout(WITHIN_MS)
    page.goto(f"{server.url}/chat/{room}")
    connected(page)
    return page


def connected(page: Page) -> None:
    expect(page.get_by_role("status")).to_contain_text("Connected", timeout=WITHIN_MS)
    expect(page.get_by_role("button", name="Say")).to_be_enabled()


def said(page: Page) -> Locator:
    """The lines of the room."""
    return page.get_by_role("log").get_by_role("listitem")


def say(page: Page, text: str) -> None:
    """By keyboard only: the field has the focus when the page opens, and keeps it."""
    page.keyboard.type(text)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("stack", LIVE_STACKS)
def test_two_browsers_share_a_room_and_markup_stays_text(browser: Browser, stack: str) -> None:
    with serving_stack(parse_stack(stack)) as server:
        a, b = entered(browser, server), entered(browser, server)
        elsewhere = entered(browser, server, "elsewhere")
        say(a, MARKUP)
        expect(said(b)).to_contain_text([MARKUP], timeout=WITHIN_MS)
        say(b, "hello")
        for page in (a, b):
            expect(said(page)).to_contain_text([MARKUP, "hello"], timeout=WITHIN_MS)
            assert page.locator("#said img, #said b b").count() == 0
            assert page.title() == "Room lobby"
        expect(said(a).filter(has_text="You")).to_contain_text([MARKUP])
        expect(said(b).filter(has_text="You")).to_contain_text(["hello"])
        expect(said(elsewhere)).to_have_count(0)
        for page in (a, b, elsewhere):
            page.context.close()


def test_the_page_asks_nobody_but_its_own_server(browser: Browser) -> None:
    with serving_stack(parse_stack(LIVE_STACKS[0])) as server:
        page, asked = browser.new_context().new_page(), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.goto(f"{server.url}/chat/lobby")
        connected(page)
        say(page, "hello")
        expect(said(page)).to_have_count(1)
        page.context.close()
        ours = [f"{server.url}/chat/lobby", f"ws://{server.host}:{server.port}/ws/chat/lobby"]
        assert [url for url in asked if not url.endswith("/favicon.ico")] == ours


def test_a_page_says_that_its_server_is_gone_and_joins_the_room_when_it_is_back(browser: Browser) -> None:
    stack, port = parse_stack(LIVE_STACKS[0]), free_port()
    with serving_stack(stack, port=port) as server:
        page = entered(browser, server)
    expect(page.get_by_role("status")).to_contain_text("trying again", timeout=WITHIN_MS)
    expect(page.get_by_role("button", name="Say")).to_be_disabled()
    with serving_stack(stack, port=port):
        connected(page)
        say(page, "back")
        expect(said(page)).to_contain_text(["back"], timeout=WITHIN_MS)
        page.context.close()
