"""Calls in a file of the project that behave differently behind ASGI, found in its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A place in a file, and what is to be known of it."""

    kind: str
    says: str
    line: int


LOOPS = {
    "asyncio.run": "asyncio.run starts a loop of its own: behind ASGI it hangs where it waits for Django's async ORM",
    "run_until_complete": "a loop of its own: behind ASGI it hangs where it waits for Django's async ORM",
}
STREAMS = {
    "StreamingHttpResponse": "a stream: with a sync iterator it is collected whole behind ASGI before its first byte, "
    "with an async one behind WSGI",
    "FileResponse": "a file: behind ASGI Django reads it whole, in a thread, before its first byte",
}
VARIABLES = {
    "set": "a value set here follows asgiref's hops, and does not reach threads or pools that you start yourself",
    "reset": "reset needs the context in which set ran: behind ASGI, with a hop between the two, it raises ValueError",
}


def calls_in(file: Path) -> Iterator[Call]:
    """Find them; nothing in a file that cannot be read or parsed."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    variables = set(_context_variables(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _calls(node, variables)


def _calls(node: ast.Call, variables: set[str]) -> Iterator[Call]:
    name = _name(node.func)
    last = name.rpartition(".")[2]
    loop = LOOPS.get(name) or LOOPS.get(last)
    if loop:
        yield Call("event loop", loop, node.lineno)
    if last in STREAMS:
        yield Call("stream", STREAMS[last], node.lineno)
    owner, _, method = name.rpartition(".")
    if owner in variables and method in VARIABLES:
        yield Call("context variable", f"{owner}: {VARIABLES[method]}", node.lineno)


def _name(node: ast.expr) -> str:
    """`asyncio.run` of the call's function; empty for what has no name."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def _context_variables(tree: ast.AST) -> Iterator[str]:
    """Names that are given a ContextVar in this file."""
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and _name(value.func).rpartition(".")[2] == "ContextVar":
            targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
