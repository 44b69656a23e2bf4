"""Makes the page of every figure: its finding as title, subtitle, notes, and axes with margins for their labels.

Full markers are medians over restarts, hollow ones are degraded, faint dots are single restarts. No pyplot: a figure
is a value, made anywhere and shown by a notebook.
"""

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from bench.show.figures.axes import plain
from bench.show.figures.stack_style import GREY, INK, styled

WIDTH_IN, PANEL_IN = 9.0, 3.9
DPI = 110


class Picture(Figure):
    """A figure that knows its finding, shows itself in a notebook, and is equal bytes for equal data."""

    finding: str = ""

    def _repr_png_(self) -> bytes:
        return self.png()

    @styled
    def png(self) -> bytes:
        """Return the drawing as a PNG of 64 colours, at one and a half times DPI."""
        drawn, content = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=DPI * 1.5)
        Image.open(drawn).convert("RGB").quantize(64).save(content, format="png", optimize=True)
        return content.getvalue()

    @styled
    def svg(self, prefix: str = "") -> str:
        """Return the drawing as an `<svg>` element; `prefix` keeps its ids apart from others' on a page."""
        content = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.savefig(content, format="svg", metadata=nothing)
        element = _compact(content.getvalue()[content.getvalue().index("<svg") :])
        element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", element) if prefix else element
        return element.replace("<svg", f'<svg role="img" aria-label="{escape(self.finding)}"', 1)


def _glyph(found: re.Match[str]) -> str:
    """Return the beginning of a glyph's short name: `g`, with a letter for a monospaced font and one for its style."""
    return "g" + ("m" if found[1] else "") + (found[2] or "").lower()


def _compact(svg: str) -> str:
    """Return the same drawing without indentation and comments, in tenths of a point: the files stay small.

    Half of a file are references to glyphs, so that these have short names, and places in place of transforms.
    """
    shorter = re.sub(r"scale\([^)]*\)|opacity: [\d.]+|(\d\.\d)\d+", lambda found: found[1] or found[0], svg)
    shorter = re.sub(r'(<use [^>]*)transform="translate\((\S+) (\S+)\)"', r'\1x="\2" y="\3"', shorter)
    shorter = re.sub(r" ?([MLQCz]) ?(?=[-\dML\"])|([:;]) (?=[\w#])", r"\1\2", shorter.replace(' y="0"', ""))
    shorter = re.sub(r"<!--.*?-->", "", shorter, flags=re.DOTALL).replace("xlink:href", "href")
    shorter = re.sub(r' id="[\w.]+_\d+"', "", shorter)  # of groups, which nothing refers to
    shorter = re.sub(r"DejaVuSans(Mono)?-(?:([A-Z])\w*-)?(?=[0-9a-f]+\")", _glyph, shorter)
    lines = re.sub(r">\s+<", ">\n<", re.sub(r"\s*\n\s*", " ", shorter))
    return re.sub(r"<g>\n(<(?:use|path) [^>]*/>)\n</g>", r"\1", lines)  # a group of one


def _new_picture(finding: str, width_in: float, height_in: float) -> Picture:
    figure = Picture(figsize=(width_in, height_in))
    figure.finding = finding
    FigureCanvasAgg(figure)
    return figure


def new_page(
    finding: str,
    subtitle: str,
    *,
    panels: int = 1,
    labels: Iterable[str] = (),
    notes: Sequence[str] = (),
    panel_in: float = PANEL_IN,
    rows: int = 1,
    ratios: Sequence[float] | None = None,
    row_gap_in: float = 0.45,
    left_in: float = 0.75,
    gap_in: float = 0.65,
    width_in: float = WIDTH_IN,
    heading_in: float = 0.25,
    axis_in: float = 0.5,
) -> tuple[Picture, list[Axes]]:
    """Return a figure with its finding above, notes below, and margins as wide as the labels need, up to half of it.

    `panel_in` is the height of a row of panels, of the mean one where `ratios` makes them differ.
    """
    title = _wrapped(finding, width_in * 9.6)
    foot = [line for note in notes for line in _wrapped(note, width_in * 15.5)]
    top_in, bottom_in = 0.45 + 0.22 * len(title) + heading_in, 0.18 + axis_in + 0.17 * len(foot)
    height_in = top_in + bottom_in + rows * panel_in + (rows - 1) * row_gap_in
    figure = _new_picture(finding, width_in, height_in)
    _write_around(figure, title, subtitle, foot)
    wanted_in = 0.2 + max((text_width_in(figure, label) + 0.25 for label in labels), default=0.0)
    left_in, right_in = min(left_in, 0.4 * width_in), min(wanted_in, 0.5 * width_in)
    figure.subplots_adjust(
        left=left_in / width_in,
        right=1 - right_in / width_in,
        bottom=bottom_in / height_in,
        top=1 - top_in / height_in,
        wspace=gap_in * panels / max(0.1, width_in - left_in - right_in - gap_in * (panels - 1)),
        hspace=row_gap_in / panel_in,
    )
    axes: list[Axes] = list(figure.subplots(rows, panels, squeeze=False, height_ratios=ratios).flat)
    _write_ticks_plainly(axes)
    return figure, axes


def _write_ticks_plainly(axes: Sequence[Axes]) -> None:
    for axis in (axis for ax in axes for axis in (ax.xaxis, ax.yaxis)):
        axis.set_major_formatter(FuncFormatter(plain))


def _wrapped(text: str, characters: float) -> list[str]:
    """Wrap a text into lines; a number stays with its unit."""
    return textwrap.wrap(re.sub(r"(?<=\d) (?=%|MB|kB|ms|µs|s\b)", "\N{NO-BREAK SPACE}", text), int(characters))


def _write_around(figure: Picture, title: Sequence[str], subtitle: str, foot: Sequence[str]) -> None:
    """Write title and subtitle above the axes, notes below them."""
    height_in = float(figure.get_size_inches()[1])
    for place, line in enumerate(title):
        _write(figure, 0.12, height_in - 0.30 - 0.22 * place, line, size=11.5, weight="bold", color=INK)
    _write(figure, 0.12, height_in - 0.38 - 0.22 * len(title), subtitle, size=9, color=GREY)
    for place, line in enumerate(reversed(foot)):
        _write(figure, 0.12, 0.10 + 0.17 * place, line, size=8, color=GREY)


def _write(figure: Picture, x_in: float, y_in: float, text: str, **how: Any) -> None:
    width_in, height_in = figure.get_size_inches()
    figure.text(x_in / width_in, y_in / height_in, text, va="bottom", ha="left", parse_math=False, **how)


def text_width_in(figure: Picture, text: str, size: float = 8.5) -> float:
    """Return how wide a text would be drawn, in inches."""
    probe = figure.text(0, 0, text, size=size, parse_math=False)
    width_px = probe.get_window_extent(figure.canvas.get_renderer()).width  # type: ignore[attr-defined]
    probe.remove()
    return float(width_px / figure.dpi)
