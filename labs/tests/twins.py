"""Compares a sync lab with its async twin, function by function, with the async spelling taken away."""

import ast
from pathlib import Path
from typing import Any

from django.db.models import Model, QuerySet

MODULE = "(module)"  # whatever stands outside functions: imports, docstring, settings
ORDER = "(order)"  # which functions there are, in which order
MISSING = "(missing)"

Units = dict[str, Any]


def differences(sync_lab: Path, async_lab: Path) -> set[tuple[str, str]]:
    """(file, function) wherever the twins differ; MODULE, ORDER or MISSING where it is no function."""
    ours, theirs = _files(sync_lab), _files(async_lab)
    missing = {(name, MISSING) for name in ours.keys() ^ theirs.keys()}
    return missing | {
        (name, unit)
        for name in ours.keys() & theirs.keys()
        for unit in _different(_units(ours[name]), _units(theirs[name]))
    }


class _AsyncSpelling(ast.NodeTransformer):
    """Spells async code as its sync twin is spelled; a blocking sleep in it keeps a name of its own."""

    in_async_function = False

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.in_async_function = True
        function = ast.FunctionDef(**dict(ast.iter_fields(self.generic_visit(node))))
        self.in_async_function = False
        return function

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return ast.With(**dict(ast.iter_fields(self.generic_visit(node))))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return ast.For(**dict(ast.iter_fields(self.generic_visit(node))))

    def visit_Await(self, node: ast.Await) -> Any:
        call = self.generic_visit(node.value)
        if isinstance(call, ast.Call):
            call.func = _sync_spelling(call.func)
        return call

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if self.in_async_function and ast.unparse(node) == "time.sleep":
            return ast.Name("time.sleep, which blocks the loop")
        return self.generic_visit(node)


def _sync_spelling(called: ast.expr) -> ast.expr:
    """asyncio.sleep as time.sleep, sync_to_async(f) as f, and an a-method of the ORM by its sync name."""
    if ast.unparse(called) == "asyncio.sleep":
        return ast.parse("time.sleep", mode="eval").body
    if isinstance(called, ast.Call) and ast.unparse(called.func) == "sync_to_async":
        return called.args[0]
    if isinstance(called, ast.Attribute) and _is_a_method(called.attr):
        called.attr = called.attr[1:]
    return called


def _is_a_method(name: str) -> bool:
    return name.startswith("a") and any(hasattr(kind, name) and hasattr(kind, name[1:]) for kind in (QuerySet, Model))


def _files(lab: Path) -> dict[str, str]:
    return {_neutral(path.name): _neutral(path.read_text()) for path in lab.glob("*.py")}


def _neutral(text: str) -> str:
    """Text without the name of a lab or of a door."""
    for name, neutral in {"async_asgi": "LAB", "sync_wsgi": "LAB", "asgi": "DOOR", "wsgi": "DOOR"}.items():
        text = text.replace(name, neutral)
    return text


def _units(source: str) -> Units:
    statements = _AsyncSpelling().visit(ast.parse(source)).body
    functions = {node.name: ast.dump(node) for node in statements if isinstance(node, ast.FunctionDef)}
    rest = [ast.dump(node) for node in statements if not isinstance(node, ast.FunctionDef)]
    return {MODULE: rest, ORDER: list(functions), **functions}


def _different(ours: Units, theirs: Units) -> list[str]:
    return [unit for unit in {**ours, **theirs} if ours.get(unit) != theirs.get(unit)]
