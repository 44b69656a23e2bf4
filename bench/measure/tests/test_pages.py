"""The pages in a headless Chromium, as a reader uses them, and by raw requests where a browser would not go."""

import re
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bench.base.polling import eventually
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.browser import chromium, needs_chromium
from bench.measure.tests.processes import at_rest
from bench.model.servers import HOST, LARGEST_MESSAGE_BYTES
from bench.model.stacks import parse_stack
from labs.live_preview.drafts import MOST_CHARACTERS
from labs.live_preview.streams import SILENT_AT_MOST_S
from labs.live_preview.ways import UNDER_WSGI, WAYS

DOORS_AND_WAYS = [("asgi", "post"), ("asgi", "stream"), ("asgi", "socket"), ("wsgi", "post"), ("wsgi", "stream")]
THREADS = 8
TEXT = "A *calm* title\n\nOne & two\n\nThree"
PREVIEW = "<h3>A <em>calm</em> title</h3><p>One &amp; two</p><p>Three</p>"
REFUSAL = re.compile("at most 20,000 characters")
TOO_LONG = "x" * (MOST_CHARACTERS + 1)
FAR_TOO_LONG = "x" * (50 * MOST_CHARACTERS)  # so long that Django does not read it as a form
ATTACK = "</textarea><script>window.ran = true</script><img src=x onerror='window.ran = true'>"


@contextmanager
def serving_live_preview(door: str, threads: int = THREADS) -> Iterator[RunningServer]:
    name = "live_preview_asgi@uvicorn" if door == "asgi" else f"live_preview_wsgi@gthread:{threads}"
    with serving_stack(parse_stack(name), grace_s=0) as server:
        yield server


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RunningServer]]:
    """The same project behind each door, and at the end both are what they were at the start."""
    with ExitStack() as stack:
        servers = {door: stack.enter_context(serving_live_preview(door)) for door in ("asgi", "wsgi")}
        family = {door: at_rest(server.family) for door, server in servers.items()}
        yield servers
        assert {door: server.family() for door, server in servers.items()} == family
        assert not [server.log_tail() for server in servers.values() if "Traceback" in server.log_tail(1000)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's browser, which may ask nobody but loopback and in whose pages nothing may throw."""
    asked, thrown = [], []
    with browser.new_context() as context:
        context.on("request", lambda request: asked.append(request.url))
        context.on("weberror", lambda error: thrown.append(str(error.error)))
        yield context
    assert [url for url in asked if not url.startswith((f"http://{HOST}:", "data:"))] == []
    assert thrown == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def open_draft(page: Page, server: RunningServer, name: str, way: str) -> None:
    page.goto(f"{server.url}/drafts/{name}/{way}")
    if way != "post":
        expect(page.locator("#status")).to_have_text(re.compile("open"))


def expect_preview(page: Page, html: str) -> None:
    page.wait_for_function("html => document.getElementById('preview').innerHTML === html", arg=html, timeout=30_000)


@needs_chromium
@pytest.mark.parametrize(("door", "way"), DOORS_AND_WAYS)
def test_typing_updates_the_preview(servers: dict[str, RunningServer], page: Page, door: str, way: str) -> None:
    open_draft(page, servers[door], f"typing-{way}", way)
    page.get_by_label("Draft").press_sequentially(TEXT)
    expect_preview(page, PREVIEW)
    page.reload()
    expect_preview(page, PREVIEW)
    expect(page.get_by_label("Draft")).to_have_value(TEXT)


@needs_chromium
@pytest.mark.parametrize(("door", "way"), DOORS_AND_WAYS)
def test_every_window_on_a_draft_that_listens_sees_what_one_types(
    servers: dict[str, RunningServer], context: BrowserContext, door: str, way: str
) -> None:
    watchers = {each: context.new_page() for each in WAYS if (door, each) in DOORS_AND_WAYS and each != "post"}
    for each, watcher in watchers.items():
        open_draft(watcher, servers[door], f"watched-{way}", each)
    open_draft(elsewhere := context.new_page(), servers[door], f"other-{way}", "stream")
    open_draft(writer := context.new_page(), servers[door], f"watched-{way}", way)
    writer.get_by_label("Draft").fill(TEXT)
    for watcher in watchers.values():
        expect_preview(watcher, PREVIEW)
    expect_preview(elsewhere, "")


@needs_chromium
@pytest.mark.parametrize(("door", "way"), DOORS_AND_WAYS)
def test_a_typed_script_is_shown_and_does_not_run(
    servers: dict[str, RunningServer], page: Page, door: str, way: str
) -> None:
    open_draft(page, servers[door], f"script-{way}", way)
    page.get_by_label("Draft").fill(ATTACK)
    preview = page.locator("#preview")
    expect(preview).to_have_text(ATTACK)
    page.reload()
    expect(preview).to_have_text(ATTACK)
    assert preview.locator("script, img").count() == 0
    assert page.evaluate("window.ran") is None
    page.evaluate("html => htmx.swap('#preview', html, {swapStyle: 'innerHTML'})", ATTACK)
    page.wait_for_function("window.ran", timeout=30_000)  # what escaping has prevented


@needs_chromium
@pytest.mark.parametrize(("door", "way"), DOORS_AND_WAYS)
def test_a_draft_that_is_too_long_is_refused_with_a_sentence_until_it_is_shorter(
    servers: dict[str, RunningServer], page: Page, door: str, way: str
) -> None:
    open_draft(page, servers[door], f"long-{way}", way)
    for text in (TOO_LONG, FAR_TOO_LONG):
        page.get_by_label("Draft").fill(text)
        expect(page.locator("#preview").get_by_role("alert")).to_have_text(REFUSAL)
        page.get_by_label("Draft").fill(TEXT)
        expect_preview(page, PREVIEW)


@needs_chromium
def test_under_wsgi_the_page_says_that_a_socket_cannot_work_and_shows_it(
    servers: dict[str, RunningServer], page: Page
) -> None:
    page.goto(f"{servers['wsgi'].url}/drafts/no-socket/socket")
    expect(page.locator("#note.cannot")).to_have_text(UNDER_WSGI["socket"].sentence)
    expect(page.locator("#status")).to_have_text(re.compile("No WebSocket"))
    page.get_by_label("Draft").fill(TEXT)
    page.get_by_role("link", name="Debounced POST").press("Enter")
    page.wait_for_url("**/post")  # the page before has a field of that name too
    page.get_by_label("Draft").fill(TEXT)
    expect_preview(page, PREVIEW)


@needs_chromium
def test_where_a_stream_waits_is_written_below_it(servers: dict[str, RunningServer], page: Page) -> None:
    for door, place in (("wsgi", "in its thread"), ("asgi", "on its event loop")):
        open_draft(page, servers[door], "where", "stream")
        expect(page.locator("#where")).to_contain_text(place)


@needs_chromium
def test_without_javascript_a_button_shows_the_preview(servers: dict[str, RunningServer], browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(servers["wsgi"].url)
        for text, shown in ((TEXT, re.compile("calm")), (TOO_LONG, REFUSAL)):
            page.get_by_label("Draft").fill(text)
            page.get_by_role("button").click()
            expect(page.locator("#preview")).to_contain_text(shown)
            expect(page.get_by_label("Draft")).to_have_value(text)


def test_with_as_many_streams_as_threads_wsgi_answers_nobody_until_one_of_them_ends() -> None:
    with (
        serving_live_preview("wsgi", threads=2) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
        ThreadPoolExecutor(1) as pool,
        client.stream("GET", "/drafts/a/events") as first,
        client.stream("GET", "/drafts/b/events") as second,
    ):
        streams = [stream.iter_text() for stream in (first, second)]
        said = [next(stream) for stream in streams]
        assert len(set(said)) == 2  # each names its thread
        assert all("in its thread" in where for where in said)
        answer = pool.submit(client.get, "/ready")
        with pytest.raises(TimeoutError):
            answer.result(timeout=0.5)
        first.close()
        assert answer.result(timeout=10 * SILENT_AT_MOST_S).status_code == 200


def inside(server: RunningServer) -> int:
    """Open streams and sockets of the server's process."""
    return int(httpx.get(f"{server.url}/whoami", trust_env=False).json()["inside_now"])


def test_streams_and_sockets_that_are_left_hold_nothing(servers: dict[str, RunningServer]) -> None:
    server = servers["asgi"]
    assert eventually(lambda: inside(server) == 0, within_s=20)
    streams: list[Iterator[str]] = []  # one that is forgotten closes its connection
    with httpx.Client(base_url=server.url, trust_env=False) as client, ExitStack() as stack:
        for _ in range(3):
            streams.append(stack.enter_context(client.stream("GET", "/drafts/left/events")).iter_text())
            assert "event loop" in next(streams[-1])
            stack.enter_context(socket_to(server, server.url))
        assert eventually(lambda: inside(server) == 6, within_s=20)
    assert eventually(lambda: inside(server) == 0, within_s=20)


def socket_to(server: RunningServer, origin: str | None) -> ClientConnection:
    where = f"ws://{HOST}:{server.port}/drafts/raw/socket"
    return connect(where, origin=origin, proxy=None, open_timeout=10, close_timeout=10)  # type: ignore[arg-type]


def wait_for(text: str, socket: ClientConnection) -> None:
    while text not in str(socket.recv(timeout=10)):
        pass


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", None, "http://127.0.0.1:1"])
def test_a_socket_of_another_site_is_refused(servers: dict[str, RunningServer], origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        socket_to(servers["asgi"], origin)
    assert refused.value.response.status_code == 403


def test_a_socket_that_says_nonsense_is_told_so_and_stays(servers: dict[str, RunningServer]) -> None:
    with socket_to(servers["asgi"], servers["asgi"].url) as socket:
        for message in ("no json", "{}", b"\x00\xff"):
            socket.send(message)
            assert 'role="alert"' in str(socket.recv(timeout=10))
        socket.send('{"text": "sense"}')
        assert "<h3>sense</h3>" in str(socket.recv(timeout=10))


def test_a_message_beyond_the_server_s_limit_ends_its_socket_and_no_other(servers: dict[str, RunningServer]) -> None:
    server = servers["asgi"]
    with socket_to(server, server.url) as other, socket_to(server, server.url) as socket:
        # Its header alone: what the server has not read when it closes would reset the connection.
        socket.socket.sendall(b"\x81\xff" + struct.pack(">Q", LARGEST_MESSAGE_BYTES + 1) + bytes(4))
        with pytest.raises(ConnectionClosed, match="1009"):
            wait_for("what never comes", socket)
        other.send('{"text": "alive"}')
        wait_for("alive", other)


CONTACT_STACKS = ["sync_wsgi@gthread:8", "async_asgi@uvicorn"]


@pytest.fixture(scope="module")
def contact_servers() -> Iterator[list[RunningServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving_stack(parse_stack(name), grace_s=0)) for name in CONTACT_STACKS]


def part_of(page: Page) -> str:
    """What stands where the form is when HTMX is done, but for the token, which differs each time."""
    expect(page.locator("#contact")).not_to_have_class(re.compile("htmx-"))
    html = page.locator("#contact").evaluate("element => element.outerHTML")
    return re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", str(html))


def fill(page: Page, email: str) -> None:
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Message").fill("Hello")


def filled_in(page: Page, server: RunningServer) -> list[str]:
    """The form as it comes, with errors, and what stands in its place when it is sent."""
    page.goto(f"{server.url}/contact")
    parts = [part_of(page)]
    page.get_by_label("Name").press("Enter")
    expect(page.locator(".errorlist")).to_have_text(["This field is required."] * 3)
    fill(page, "ada")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#id_email_error")).to_have_text("Enter a valid email address.")
    expect(page.locator(".errorlist")).to_have_count(1)
    parts.append(part_of(page))
    fill(page, "ada@example.org")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    expect(page.locator("form")).to_have_count(0)
    expect(page.locator("#contact")).to_be_focused()
    return [*parts, part_of(page)]


@needs_chromium
def test_a_visitor_to_the_form_sees_no_difference_between_wsgi_and_asgi(
    contact_servers: list[RunningServer], context: BrowserContext
) -> None:
    loads: list[str] = []
    page = context.new_page()
    page.on("load", lambda page: loads.append(page.url))
    sync, in_async = (filled_in(page, server) for server in contact_servers)
    assert sync == in_async
    assert loads == [f"{server.url}/contact" for server in contact_servers]  # HTMX swapped, no page was loaded again


@needs_chromium
def test_the_form_works_without_javascript(contact_servers: list[RunningServer], browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        sync, in_async = (filled_in(page, server) for server in contact_servers)
        assert sync == in_async
        assert page.url.endswith("/contact?sent=yes")
