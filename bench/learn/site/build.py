"""Writes the site: every committed page, lesson, run and recording, in the folders of the repository."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.base.errors import UsageError
from bench.base.files import ROOT, require_clone, write_atomically
from bench.learn.room.recorded_scenes import SCENES_FOLDER, SUFFIX
from bench.learn.room.scenes import SCENES, Scene
from bench.learn.site.markup import Links, address_of, code_style, lesson_html, markdown_html, relative, title_of
from bench.model import run_store
from bench.model.experiment import experiment_names
from bench.model.room_recording import read_recording
from bench.show import replay, report

FOLDERS = (".github", "bench", "labs", "notebooks", "results/reference", "scripts")
PARTS = {
    "The answer": "README.md",
    "What people say": "results/reference/claims/README.md",
    "What was measured": "results/reference/README.md",
    "Servers": "results/reference/conformance.md",
    "The room": "results/reference/room/README.md",
    "Lessons": "notebooks/README.md",
    "Commands": "bench/cli/COMMANDS.md",
}
"""The bar at the top of each page: what it says, and the source of the page."""
STYLE = "site.css"
HERE = Path(__file__).parent
TEMPLATE = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).get_template("page.html.j2")


class More(NamedTuple):
    """A link at the end of a page to one that only the site has: its title and its address from the top."""

    title: str
    address: str


def write_site(folder: Path, repository: str = "", reports: Iterable[str] | None = None) -> int:
    """Write the site into the folder and return its number of pages.

    `repository` is the web address of the code; without it links to code are plain text. `reports` names the
    experiments whose report is drawn (some seconds each; default: all that have a run). Raises UsageError if something
    else is in the folder, and NotRun outside of a clone.
    """
    _empty(folder)
    sources = find_sources()
    links = Links(frozenset(sources), repository)
    drawn = experiment_names(drafts=False) if reports is None else list(reports)
    more = {_run_page(name): [More("The report: every figure and all numbers", _report(name))] for name in drawn}
    more[PARTS["The room"]] = [More(f"{scene.title}: {scene.question}", _replay(scene)) for scene in SCENES]
    pages = {address_of(source): _page(source, links, more.get(source, ())) for source in sources}
    pages |= {_replay(scene): _replay_page(scene, links) for scene in SCENES}
    pages |= {_report(name): report.to_html(run_store.load_run(run_store.REFERENCE / name)) for name in drawn}
    for address, text in {**pages, STYLE: _style()}.items():
        _write(folder / address, text.encode())
    for name in links.files:
        _write(folder / address_of(name), (ROOT / name).read_bytes())
    return len(pages)


def find_sources() -> list[str]:
    """Return the Markdown files and lessons of the clone, as paths from its top, in a fixed order."""
    require_clone("What `lab site` shows")
    folders = (ROOT, *(ROOT / name for name in FOLDERS))
    found = {path for place in folders for path in place.glob("*.md" if place == ROOT else "**/*.md")}
    return sorted(path.relative_to(ROOT).as_posix() for path in found | set((ROOT / "notebooks").glob("*.ipynb")))


def _empty(folder: Path) -> None:
    """Remove an earlier site. UsageError if the folder holds something else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / STYLE).exists():
            raise UsageError(f"{folder} is not empty, and no site is in it: name another folder with --out.")
        shutil.rmtree(folder)


def _page(source: str, links: Links, more: Sequence[More]) -> str:
    """Return the page of a Markdown file or of a lesson."""
    if source.endswith(".md"):
        text = (ROOT / source).read_text()
        return _render(source, title_of(text), markdown_html(text, source, links), more=more)
    notebook = nbformat.read(ROOT / source, as_version=4)
    before, after = lesson_html(notebook, source, links)
    return _render(source, title_of(notebook.cells[0].source), before, after)


def _replay_page(scene: Scene, links: Links) -> str:
    """Return the page that plays the recording of a scene."""
    source = f"{run_store.REFERENCE.relative_to(ROOT)}/room/{scene.name}"
    recording = read_recording(SCENES_FOLDER / f"{scene.name}{SUFFIX}")
    said = Markup("<h1>{}</h1>\n<p class=question>{}</p>\n<p>{}</p>\n").format(scene.title, scene.question, scene.text)
    return _render(source, scene.title, said + replay.replay_markup(recording), is_wide=True)


def _render(
    source: str, title: str, body: Markup, after: str = "", *, more: Sequence[More] = (), is_wide: bool = False
) -> str:
    parts = [(name, relative(address_of(of), source), of == source) for name, of in PARTS.items()]
    return TEMPLATE.render(
        title=title,
        style=relative(STYLE, source),
        parts=parts,
        body=body,
        after=after,
        more=[(it.title, relative(it.address, source)) for it in more],
        is_wide=is_wide,
    )


def _style() -> str:
    page_style = (Path(report.__file__).parent / "page_style.css.j2").read_text()
    return "\n".join([page_style, (HERE / STYLE).read_text(), code_style()])


def _run_page(name: str) -> str:
    return f"{run_store.REFERENCE.relative_to(ROOT).as_posix()}/{name}/README.md"


def _report(name: str) -> str:
    return f"{run_store.REFERENCE.relative_to(ROOT).as_posix()}/{name}/report.html"


def _replay(scene: Scene) -> str:
    return f"{run_store.REFERENCE.relative_to(ROOT).as_posix()}/room/{scene.name}.html"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
