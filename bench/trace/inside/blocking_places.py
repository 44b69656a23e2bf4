"""From samples of a step of the loop to findings: the project's line, the call there, and how to mend it."""

import ast
import linecache
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from types import CodeType, ModuleType
from typing import Any

from .callable_names import short_path
from .mending import mends_of
from .whose_file import is_project

LONGEST_CALL = 80
"""Characters of a call that are shown."""
MOST_REQUESTS = 3
IMPORTS = "<frozen importlib"
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Frame:
    """One place of a stack: code, line, offset of the instruction in bytes, and the module's names."""

    code: CodeType
    line: int
    offset: int
    names: dict[str, Any] = field(compare=False, repr=False)

    @property
    def qualified(self) -> str:
        """`module.Class.function`; before Python 3.11 without the class."""
        return f"{self.names.get('__name__', '')}.{getattr(self.code, 'co_qualname', self.code.co_name)}"


class Sample:
    """What a step did between two looks: its stack, outermost frame first, and the time worked and waited in ns."""

    def __init__(self, stack: Sequence[Frame], worked_ns: int, waited_ns: int) -> None:
        self.stack, self.worked_ns, self.waited_ns = stack, worked_ns, waited_ns
        self.own = [number for number, frame in enumerate(stack) if is_project(frame.code.co_filename)]
        frames = [stack[number] for number in self.own]
        self.path: list[Any] = [key for frame in frames for key in (frame.code, (frame.code, frame.line))]
        self.is_import = any(frame.code.co_filename.startswith(IMPORTS) for frame in stack)

    @property
    def took_ns(self) -> int:
        """What counts of the time."""
        return self.worked_ns + self.waited_ns


def total_ns(samples: Sequence[Sample]) -> int:
    """Sum up what counts."""
    return sum(sample.took_ns for sample in samples)


def heavy_places(samples: Sequence[Sample], least_ns: int, depth: int = 0) -> Iterator[tuple[Sequence[Sample], int]]:
    """Yield the innermost places of the project that took `least_ns` or more: samples, and how deep their paths agree.

    A path is function, line, function, line, ... from the outermost frame of the project to the innermost one.
    """
    groups: defaultdict[Any, list[Sample]] = defaultdict(list)
    for sample in samples:
        if len(sample.path) > depth:
            groups[sample.path[depth]].append(sample)
    heavy = [group for group in groups.values() if total_ns(group) >= least_ns]
    for group in heavy:
        yield from heavy_places(group, least_ns, depth + 1)
    if not heavy and samples:
        yield samples, depth


@dataclass
class Finding:
    """A place that blocked the loop. `ms` is the longest time, `times` how often. `file` is empty where none is known.

    `first_time`: only in the first requests for a path. `is_import`: while a module was imported. `computes`: it used
    the CPU for more than half of the time. `mend`: ways to mend it, see `mending.py`.
    """

    file: str
    line: int
    where: str
    function: str
    call: str
    ms: float
    computes: bool
    is_import: bool
    first_time: bool
    in_project: bool
    mend: list[dict[str, str]]
    times: int = 0
    total_ms: float = 0.0
    requests: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """`blocked 80 ms · views.py:12 · time.sleep(0.08) · await asyncio.sleep(…)`."""
        when = "while importing" if self.is_import else "in a first request" if self.first_time else ""
        request = self.requests[-1] if self.requests else ""
        parts = (
            f"blocked {self.ms:.0f} ms",
            when,
            request,
            self.where,
            self.call,
            *(way["do"] for way in self.mend[:1]),
        )
        return " · ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """The fields; `is_import` is stored as `import`."""
        return {"import" if name == "is_import" else name: value for name, value in asdict(self).items()}


class Findings:
    """All that was found, by place. `least_ns`: the shortest time that counts."""

    def __init__(self, least_ns: int) -> None:
        self.least_ns = least_ns
        self._found: dict[Any, Finding] = {}

    def add(self, samples: Sequence[Sample], request: str, *, is_first: bool) -> list[Finding]:
        """Add the samples of one step, and return the findings that it added to; none where it took less."""
        if total_ns(samples) < self.least_ns:
            return []
        return [
            self._note(group, depth, request, is_first=is_first)
            for group, depth in heavy_places(samples, self.least_ns)
        ]

    def _note(self, samples: Sequence[Sample], depth: int, request: str, *, is_first: bool) -> Finding:
        heaviest = max(samples, key=lambda sample: sample.took_ns)
        frame = place_of(samples, depth)
        key = (frame and frame.code, frame and (frame.line if depth % 2 == 0 else 0))
        ms = total_ns(samples) / NS_PER_MS
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = _finding_at(frame, heaviest, samples)
        found.times += 1
        found.total_ms += ms
        found.ms = max(found.ms, ms)
        found.first_time &= is_first
        if request and request not in found.requests and len(found.requests) < MOST_REQUESTS:
            found.requests.append(request)
        return found

    def longest_first(self) -> list[Finding]:
        """Return the findings, the longest first. Another thread may be adding to them."""
        found = list(self._found.values())
        return sorted(found, key=lambda finding: -finding.ms)


def place_of(samples: Sequence[Sample], depth: int) -> Frame | None:
    """Return the frame to show: at that depth of the project's path, where most time went; None without a stack.

    Where no frame is the project's, the innermost one that has a file.
    """
    number = (depth + 1) // 2 - 1
    lines: defaultdict[Any, int] = defaultdict(int)
    frames: defaultdict[Frame, int] = defaultdict(int)
    for sample in samples:
        if sample.stack:
            frame = sample.stack[sample.own[number]] if sample.own else _innermost_file(sample.stack)
            lines[frame.code, frame.line] += sample.took_ns
            frames[frame] += sample.took_ns
    if not frames:
        return None
    code, line = max(lines, key=lambda place: lines[place])
    return max((frame for frame in frames if (frame.code, frame.line) == (code, line)), key=lambda frame: frames[frame])


def _innermost_file(stack: Sequence[Frame]) -> Frame:
    return next((frame for frame in stack[::-1] if not frame.code.co_filename.startswith("<")), stack[-1])


def _finding_at(frame: Frame | None, heaviest: Sample, samples: Sequence[Sample]) -> Finding:
    """A finding without its times."""
    file, line = (frame.code.co_filename, frame.line) if frame else ("", 0)
    call, callee = call_at(frame) if frame else ("", "")
    is_import = sum(sample.took_ns for sample in samples if sample.is_import) * 2 > total_ns(samples)
    computes = sum(sample.worked_ns for sample in samples) * 2 > total_ns(samples)
    names = [callee, *_names_inside(frame, heaviest)] if frame else []
    view = heaviest.stack[heaviest.own[0]].code.co_name if heaviest.own else ""
    return Finding(
        file=file,
        line=line,
        where=f"{short_path(file)}:{line}" if frame else "",
        function=_function_of(frame, heaviest) if frame else "",
        call=call,
        ms=0.0,
        computes=computes,
        is_import=is_import,
        first_time=True,
        in_project=bool(heaviest.own),
        mend=mends_of(names, call, view, computes=computes, is_import=is_import) if frame else [],
    )


def _names_inside(frame: Frame, sample: Sample) -> list[str]:
    """What was called from that frame on, inwards; the frame itself where it is a library's."""
    if frame not in sample.stack:
        return []
    inside = sample.stack[len(sample.stack) - sample.stack[::-1].index(frame) :]
    return [each.qualified for each in inside] or ([] if sample.own else [frame.qualified])


def _function_of(frame: Frame, sample: Sample) -> str:
    """The function of the frame, or the one around it where it is a comprehension or a lambda."""
    until = sample.stack[: sample.stack.index(frame) + 1] if frame in sample.stack else [frame]
    names = [each.code.co_name for each in until[::-1] if each.code.co_filename == frame.code.co_filename]
    return next((name for name in names if not name.startswith("<")), names[0])


def call_at(frame: Frame) -> tuple[str, str]:
    """Return the text of the call that the frame stands at, and what it calls as `module.name`, empty if unknown.

    Before Python 3.11 an instruction knows its line alone: the text is the line.
    """
    line = " ".join(linecache.getline(frame.code.co_filename, frame.line).split())
    for text in (_segment(frame), line, line.removeprefix("return ")):
        node = _call_in(text)
        if node is not None:
            return _short(text), _callee(node, frame.names)
    return _short(line), ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CALL else f"{text[: LONGEST_CALL - 1]}…"


def _segment(frame: Frame) -> str:
    """The source of the expression that the instruction belongs to, in one line; empty where it is not known."""
    if not hasattr(frame.code, "co_positions"):
        return ""
    first, last, begin, end = next(islice(frame.code.co_positions(), frame.offset // 2, None), (None,) * 4)
    if first is None or begin is None:
        return ""
    lines = [line.encode() for line in linecache.getlines(frame.code.co_filename)[first - 1 : last]]
    if not lines:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    return " ".join(b" ".join(lines).decode("utf-8", "replace").split())


def _call_in(text: str) -> ast.Call | None:
    """The call that the text is, or awaits."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    node = node.value if isinstance(node, ast.Await) else node
    return node if isinstance(node, ast.Call) else None


def _callee(call: ast.Call, names: dict[str, Any]) -> str:
    """What is called, by names of modules and functions alone: nothing of the project runs for it."""
    attributes: list[str] = []
    node: Any = call.func
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    root = names.get(node.id) if isinstance(node, ast.Name) else None
    if isinstance(root, ModuleType):
        return ".".join([root.__name__, *attributes])
    if type(root).__name__ in ("function", "builtin_function_or_method", "type"):
        return ".".join([str(root.__module__), root.__qualname__, *attributes])  # type: ignore[union-attr]
    return f".{attributes[-1]}" if attributes else ""
