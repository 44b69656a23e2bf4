"""What every exhibit's command does: takes `--json`, keeps what was found in a file, and prints it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.base import files
from bench.base.console import console, print_json
from bench.base.errors import ExitCode
from bench.base.options import Parser


def exhibit_parser(name: str, description: str) -> Parser:
    """Return the parser of an exhibit's command; `name` is its module, of the description the first line is shown."""
    parser = Parser(prog=f"python -m bench.claims.exhibits.{name}", description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    return parser


def keep(found: dict[str, Any], file: Path, table: Callable[[], Table], *, as_json: bool) -> int:
    """Write what was found to the file, then print it as JSON, or the table that is made from the file."""
    files.write_atomically(file, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
    if as_json:
        return print_json(found)
    console().print(table())
    return ExitCode.FINE
