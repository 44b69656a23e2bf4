"""The room's page in a headless Chromium, on real servers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.learn.room.recorded_scenes import SCENES_FOLDER, SUFFIX
from bench.learn.room.scenes import SCENES
from bench.learn.room.settings import DEFAULT_LANES
from bench.learn.room.widget import RENDER
from bench.learn.tests.opened_room import OpenedRoom, all_serve, open_room
from bench.measure.tests.browser import chromium, needs_chromium
from bench.model.room_recording import NAME, RecordingWriter, read_recording
from bench.model.tests import runs
from bench.show import report
from bench.show.replay import joined_modules

SIZES = [(1280, 720), (1920, 1080)]
ATTACK = "<img src=x onerror='window.ran = true'>"
WITHIN_MS = 20_000
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
  if (!element.checkVisibility() || element.closest("dialog, .unseen, option")) return false;
  const { left, top, right, bottom } = element.getBoundingClientRect();
  return right > innerWidth + 1 || bottom > innerHeight + 1 || left < -1 || top < -1;
}).map((element) => element.outerHTML.slice(0, 80))"""
SMALLEST_PX = """() => Math.min(...[...document.querySelectorAll(".lane dd")].map(
  (element) => parseFloat(getComputedStyle(element).fontSize)))"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session of this module is kept."""
    return tmp_path_factory.mktemp("recorded") / NAME


@pytest.fixture(scope="module")
def room(recorded: Path) -> Iterator[OpenedRoom]:
    with open_room("--record", str(recorded)) as room:
        room.until(all_serve)
        yield room


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, room: OpenedRoom) -> Iterator[Page]:
    """The page as its first visitor sees it; nothing may be thrown in it, and nobody but the room is asked."""
    thrown: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        context.on("weberror", lambda error: thrown.append(str(error.error)))
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        room.change(scene="", visitors=10, wait_ms=200, blocking=False, middleware=False, lanes=list(DEFAULT_LANES))
        page.goto(room.url)
        expect(page.locator(".lane")).to_have_count(3, timeout=WITHIN_MS)
        yield page
    assert thrown == []
    assert [url for url in asked if not url.startswith((f"http://127.0.0.1:{room.port}/", "data:"))] == []


@needs_chromium
def test_the_keyboard_alone_walks_through_scenes_and_moves_controls(page: Page, room: OpenedRoom) -> None:
    page.keyboard.press("ArrowRight")
    expect(page.locator("#title")).to_have_text(f"1/{len(SCENES)} {SCENES[0].title}", timeout=WITHIN_MS)
    expect(page.locator("#speaker")).to_have_text(SCENES[0].text)
    page.keyboard.press("PageDown")
    expect(page.locator("#asks")).to_have_text(SCENES[1].question, timeout=WITHIN_MS)
    page.keyboard.press("3")
    page.keyboard.press("b")
    frame = room.until(lambda frame: frame["settings"]["visitors"] == 500 and not frame["settings"]["blocking"])
    assert frame["settings"]["scene"] == SCENES[1].name
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") in ("INPUT", "BUTTON")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    expect(page.locator("#help")).to_be_visible()


@needs_chromium
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_is_on_the_screen_and_large(page: Page, room: OpenedRoom, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    scene = SCENES[0].to_json()["settings"]
    room.change(**scene | {"lanes": [*scene["lanes"], "zero_hop@uvicorn"]})
    expect(page.locator(".lane[data-state=serving]")).to_have_count(4, timeout=WITHIN_MS)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(SMALLEST_PX) >= height / 36


@needs_chromium
def test_what_the_room_says_is_shown_as_text_to_every_browser(page: Page, browser: Browser, room: OpenedRoom) -> None:
    room.change(**SCENES[0].to_json()["settings"])
    with browser.new_context() as other_context:
        other = other_context.new_page()
        other.goto(room.url)
        expect(page.locator("#said")).to_be_visible(timeout=WITHIN_MS)
        page.keyboard.press("p")
        page.keyboard.type(ATTACK)
        page.keyboard.press("Enter")
        expect(other.locator("#said")).to_have_value(ATTACK, timeout=WITHIN_MS)
        expect(other.locator("#says")).to_have_text(page.locator("#says").inner_text())
        assert other.evaluate("window.ran") is None
        assert other.locator("img[src=x]").count() == 0
    expect(page.locator("#came")).to_have_text(re.compile(r"\d"), timeout=WITHIN_MS)


@needs_chromium
def test_the_page_waits_for_its_room_and_goes_on(page: Page, room: OpenedRoom) -> None:
    room.process.kill()
    expect(page.locator("body")).to_have_class(re.compile("away"), timeout=WITHIN_MS)
    expect(page.locator("body")).not_to_have_class(re.compile("away"), timeout=WITHIN_MS)
    expect(page.locator(".lane[data-state=serving]").first).to_be_visible(timeout=WITHIN_MS)


@needs_chromium
def test_a_dot_is_drawn_for_each_request_and_the_table_says_the_same(page: Page, room: OpenedRoom) -> None:
    page.emulate_media(reduced_motion="reduce")
    room.change(visitors=30, wait_ms=10_000)
    frame = room.until(lambda frame: all(lane.get("inside") in (8, 30) for lane in frame["lanes"]))
    expect(page.locator("table caption")).to_have_text("The numbers of each lane now")
    for index, lane in enumerate(frame["lanes"]):
        row = page.locator("table tbody tr").nth(index)
        expect(row.locator("th")).to_have_text(lane["stack"])
        expect(row.locator("td").first).to_have_text(str(lane["inside"]), timeout=WITHIN_MS)
        expect(page.locator(".lane").nth(index).locator("dd.inside")).to_have_text(str(lane["inside"]))


@needs_chromium
def test_one_request_is_played_in_slow_motion(page: Page, room: OpenedRoom) -> None:
    room.change(lanes=["async_asgi@uvicorn"], middleware=True)
    expect(page.locator(".lane")).to_have_count(1, timeout=WITHIN_MS)
    page.emulate_media(reduced_motion="reduce")
    page.keyboard.press("s")
    expect(page.locator(".track .hops")).to_have_text("15 of 15 hops", timeout=WITHIN_MS)
    page.keyboard.press("Escape")


@needs_chromium
def test_a_phone_visits_every_lane_and_controls_nothing(page: Page, browser: Browser, room: OpenedRoom) -> None:
    room.change(visitors=0, wait_ms=100)
    room.until(all_serve)
    page.keyboard.press("q")
    address = page.locator("#qr p").inner_text()
    page.wait_for_function("document.querySelector('#qr img').naturalWidth > 100")
    with browser.new_context() as context:
        phone = context.new_page()
        phone.goto(address)
        phone.get_by_role("button", name="Visit", exact=True).click()
        expect(phone.locator("td:last-child")).to_have_text([re.compile(r"^\d+ ms$")] * 3, timeout=WITHIN_MS)
        assert phone.request.post(f"{address}change", data={"visitors": 9}).status in (403, 404)
    assert room.until(all_serve)["settings"]["visitors"] == 0


@needs_chromium
def test_a_recording_is_played_in_a_report_without_a_server(
    room: OpenedRoom, recorded: Path, tmp_path: Path, browser: Browser
) -> None:
    room.during(3.0)
    frames = read_recording(recorded).frames[-20:]
    with RecordingWriter(tmp_path / NAME, {}) as writer:
        for frame in frames:
            writer.add("frame", frame)
    path = report.write_report(runs.sweep(users=(50,)), tmp_path)
    with browser.new_context(offline=True) as context:
        thrown: list[str] = []
        context.on("weberror", lambda error: thrown.append(str(error.error)))
        page = context.new_page()
        page.goto(path.as_uri())
        page.get_by_role("button", name="play").click()
        expect(page.locator(".bar output")).to_have_text(re.compile(r"^(\S+) of \1 s$"), timeout=WITHIN_MS)
        expect(page.locator(".lane")).to_have_count(len(frames[-1]["lanes"]))
        expect(page.locator(".lane dd.threads").first).to_have_text(str(frames[-1]["lanes"][0]["threads"]))
        assert thrown == []


@needs_chromium
def test_a_cell_of_a_lesson_plays_a_recorded_scene(browser: Browser) -> None:
    recording = read_recording(SCENES_FOLDER / f"{SCENES[0].name}{SUFFIX}").to_json()
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.evaluate(
            """async ([text, recording]) => {
              const cell = await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
              cell.default.render({ model: { get: () => recording }, el: document.body });
            }""",
            [f"{joined_modules()}\n{RENDER}", recording],
        )
        expect(page.locator(".lane h2").first).to_have_text("sync_wsgi@gthread:8")
        page.get_by_role("slider").fill("1000")
        expect(page.locator(".lane dd.inside").first).to_have_text(str(recording["frames"][-1]["lanes"][0]["inside"]))
