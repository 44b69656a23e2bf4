"""Writes a run as one JSON document and reads it: each command once, one trial a line, a digest of all of it.

A trial leaves out what was not measured (None) and what did not happen (an empty list or table).
"""

import hashlib
import re
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from bench.base.errors import DamagedRun
from bench.model import commands
from bench.model.bounds import Text
from bench.model.run_record import OLDEST_SCHEMA, SCHEMA, Run
from bench.model.soundness import require_sound
from bench.model.trial_record import Trial


@dataclass(frozen=True)
class _Header:
    schema: int


@dataclass(frozen=True)
class _Named:
    command_names: dict[Text, Text]


@dataclass(frozen=True)
class _Shared:
    """Where a run.json has its commands, and each trial their names."""

    commands: dict[Text, list[Text]]
    trials: list[_Named]


def digest_of(content: bytes) -> str:
    """Compute SHA-256 of a run.json without its own digest: any change of the file changes it."""
    return hashlib.sha256(_DIGEST.sub(b'"sha256":""', content, count=1)).hexdigest()


_DIGEST = re.compile(rb'"sha256":"[0-9a-f]{64}"')


def to_json(run: Run) -> bytes:
    """Write the run as one JSON document with its digest: each of its commands once, one trial a line."""
    shared, names = commands.share((trial.stack, trial.commands) for trial in run.trials)
    head = _without(run, "trials", "sha256") | {"commands": shared, "trials": [], "sha256": ""}
    before, _, after = msgspec.json.encode(head).rpartition(b'"trials":[]')
    trials = [_measured(trial) | {"command_names": its} for trial, its in zip(run.trials, names, strict=True)]
    blank = before + b'"trials":[\n' + b",\n".join(map(msgspec.json.encode, trials)) + b"\n]" + after + b"\n"
    return blank.replace(b'"sha256":""', f'"sha256":"{digest_of(blank)}"'.encode(), 1)


def _without(kept: Run | Trial, *names: str) -> dict[str, Any]:
    """Return the fields, without those named."""
    return {name: value for name, value in vars(kept).items() if name not in names}


def _measured(trial: Trial) -> dict[str, Any]:
    """Return the fields of a trial, without its commands and without those that have nothing to tell: see above."""
    may_lack = (one.name for one in fields(Trial) if one.default is None or one.default_factory in (list, dict))
    left_out = (name for name in may_lack if getattr(trial, name) in (None, [], {}))
    return _without(trial, "commands", *left_out)


def from_json(content: bytes, where: str) -> Run:
    """Read what `to_json` wrote. Raises DamagedRun if it is truncated, edited, newer or cannot be true."""
    try:
        _require_schema(msgspec.json.decode(content, type=_Header).schema, where)
        run = msgspec.json.decode(content, type=Run)
        shared = msgspec.json.decode(content, type=_Shared) if run.schema == SCHEMA else None
    except msgspec.ValidationError as error:
        raise _no_run(where, error) from None
    except msgspec.DecodeError as error:
        raise DamagedRun(f"{where} is damaged ({error}): measure again with `lab run`.") from None
    except RecursionError:
        raise _no_run(where, "Nested too deeply") from None
    if digest_of(content) != run.sha256:
        raise DamagedRun(f"{where} was changed after it was written: measure again with `lab run`.")
    try:
        run = _with_commands(run, shared) if shared else from_schema_2(run)
        require_sound(run)
    except ValueError as error:
        raise _no_run(where, error) from None
    return run


def _with_commands(run: Run, shared: _Shared) -> Run:
    """Return the run with the commands of each trial. Raises ValueError if a trial names an unknown command."""
    trials = []
    for place, (trial, its) in enumerate(zip(run.trials, shared.trials, strict=True), 1):
        try:
            found = {part: shared.commands[name] for part, name in its.command_names.items()}
        except KeyError as error:
            raise ValueError(f"trial {place} names the command {error}, which the run does not have") from None
        trials.append(_with(trial, found))
    return replace(run, trials=trials)


def _with(trial: Trial, its: commands.Commands) -> Trial:
    """Return the trial with these commands. `replace` would also store defaults that an older file leaves out."""
    changed = copy(trial)
    vars(changed)["commands"] = its
    return changed


def from_schema_2(run: Run) -> Run:
    """Convert a run of schema 2, where each trial had its own commands, with the ports that it used."""
    trials = [_with(trial, commands.normalise(trial.commands)) for trial in run.trials]
    return replace(run, schema=SCHEMA, trials=trials)


def _require_schema(schema: int, where: str) -> None:
    if schema > SCHEMA:
        raise DamagedRun(f"{where} has schema {schema}, this program reads up to {SCHEMA}: update the lab to read it.")
    if schema < OLDEST_SCHEMA:
        raise DamagedRun(
            f"{where} has schema {schema}, which this program no longer reads ({OLDEST_SCHEMA} to {SCHEMA}): "
            "measure again."
        )


def _no_run(where: str, cause: object) -> DamagedRun:
    return DamagedRun(f"{where} is not a run of this lab ({cause}): measure again with `lab run`.")
