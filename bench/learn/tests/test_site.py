"""The static site: no link is broken, no page asks another host, a lesson's numbers wait for a prediction."""

import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from bench.base.errors import ExitCode, UsageError
from bench.cli.main import main
from bench.learn.room.scenes import SCENES
from bench.learn.site import build
from bench.learn.site.markup import Links, address_of, markdown_html
from bench.measure.tests.browser import chromium, needs_chromium

DRAWN = "freeze"
REPOSITORY = "https://example.org/lab"
PHONE: ViewportSize = {"width": 390, "height": 844}
CLAIM, LESSON = "results/reference/claims/A1.html", "notebooks/02_io_wait.html"
LOOKED_AT = (
    *(
        "index.html",
        "results/reference/claims/index.html",
        "results/reference/index.html",
        "results/reference/conformance.html",
        CLAIM,
        LESSON,
    ),
    *(f"results/reference/{DRAWN}/{name}.html" for name in ("index", "report")),
    *(f"results/reference/room/{scene.name}.html" for scene in SCENES),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole site but for the reports: drawing one takes seconds, and one stands for all."""
    folder = tmp_path_factory.mktemp("site")
    build.write_site(folder, reports=[DRAWN])
    return folder


class Found(HTMLParser):
    """What a page links to, and what a browser fetches for it without being asked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value and not value.startswith("data:"):
                (self.links if tag == "a" else self.fetched).append(value)


def pages_of(site: Path) -> Iterator[tuple[str, Found]]:
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), Found(path.read_text())


def test_no_link_is_broken(site: Path) -> None:
    broken, followed = [], 0
    for page, found in pages_of(site):
        for link in [*found.links, *found.fetched]:
            parts = urlsplit(link)
            if not parts.scheme and parts.path:
                followed += 1
                target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))
                broken += [] if (site / target).is_file() else [f"{page}: {link}"]
    assert not broken
    assert followed > 1000


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    fetched = [link for _, found in pages_of(site) for link in found.fetched]
    assert fetched
    assert not [link for link in fetched if urlsplit(link).scheme or urlsplit(link).netloc]


def test_every_claim_run_lesson_and_scene_has_a_page(site: Path) -> None:
    pages = {page for page, _ in pages_of(site)}
    assert {address_of(source) for source in build.find_sources()} <= pages
    assert set(LOOKED_AT) <= pages


def test_a_lesson_gives_nothing_away_before_its_prediction(site: Path) -> None:
    for path in sorted((site / "notebooks").glob("[0-9]*.html")):
        before, fold, after = path.read_text().partition("<details>")
        assert fold, path
        assert "my_prediction" in before
        assert "data:image" not in before, path
        assert "data:image" in after or "<table" in after, path


def test_a_link_to_code_leads_to_the_repository_or_is_plain_text() -> None:
    pages = frozenset({"README.md", "labs/README.md"})
    text = "[code](bench/cli/main.py) [labs](labs) [out](https://example.org/a)"
    alone, known = (markdown_html(text, "README.md", Links(pages, repository)) for repository in ("", REPOSITORY))
    assert '<span>code</span> <a href="labs/index.html">labs</a> <a href="https://example.org/a">out</a>' in alone
    assert f'<a href="{REPOSITORY}/blob/HEAD/bench/cli/main.py">code</a>' in known


def test_what_a_page_says_is_no_script_of_it() -> None:
    text = "<script>alert(1)</script>\n\n`<b>`\n\n```nosuchlanguage\n<i>\n```"
    shown = markdown_html(text, "README.md", Links(frozenset()))
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert "&lt;i&gt;" in shown


def test_a_table_ends_where_a_comment_stands_and_each_cell_names_its_column() -> None:
    sentence = "Of a thousand open streams, sixty-four threads served sixty-four of them."
    text = f"| id | finding |\n| --- | --- |\n| A1 | {sentence} |\n<!-- end -->\nMachine: two cores."
    shown, short = (markdown_html(it, "README.md", Links(frozenset())) for it in (text, text.replace(sentence, "no")))
    assert "<p>Machine: two cores.</p>" in shown
    assert '<td data-column="id">A1</td>' in shown
    assert ('<table class="said">' in shown, '<table class="said">' in short) == (True, False)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        build.write_site(tmp_path, reports=[])
    assert kept.read_text() == "mine"


def test_the_command_writes_the_site_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "experiment_names", lambda **which: [])  # whose reports take long
    assert main(["site", "--out", str(tmp_path / "site")]) == ExitCode.FINE
    said = capsys.readouterr().out
    assert said.startswith(f"{len(list((tmp_path / 'site').rglob('*.html')))} pages; open ")


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site", "--repository", "ftp://example.org"]) == ExitCode.USAGE
    assert "write https://HOST/PATH" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A phone's page; nothing may be thrown in it, and nothing fetched but files of the site."""
    said: list[str] = []
    with browser.new_context(viewport=PHONE, color_scheme=request.param) as context:
        context.on("weberror", lambda error: said.append(str(error.error)))
        context.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        context.on("request", lambda it: said.append(it.url) if not re.match("file:|data:|blob:", it.url) else None)
        yield context.new_page()
    assert not said


@needs_chromium
def test_pages_show_on_a_phone_without_an_error_and_without_scrolling_sideways(site: Path, page: Page) -> None:
    for address in LOOKED_AT:
        page.goto((site / address).as_uri())
        assert page.title()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], address


@needs_chromium
def test_a_scene_plays_what_was_recorded(site: Path, page: Page) -> None:
    page.goto((site / f"results/reference/room/{SCENES[0].name}.html").as_uri())
    shown = page.locator(".bar output")
    page.locator(".bar button").first.click()
    before = shown.text_content()
    page.wait_for_function("before => document.querySelector('.bar output').textContent !== before", arg=before)
