"""`lab claims`: all of them, one, those asked again that need no load, or what is kept written anew."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import django

from bench.claims import ledger, show
from bench.claims.entries import Entry, entries, entry
from bench.claims.judging import Judged
from bench.claims.material import Again, Kept
from bench.claims.probes import DOCUMENTS, PROBES
from bench.errors import ExitCode, UsageError
from bench.terminal import console, print_json

ALONE = tuple(name for name in PROBES if name not in DOCUMENTS)


def claims(arguments: argparse.Namespace) -> int:
    """What the words ask for; the exit code says whether a finding has changed, where that was asked."""
    chosen = [entry(arguments.id)] if arguments.id else entries()
    if arguments.write:
        return _write(arguments)
    if arguments.check:
        return _check(chosen, as_json=arguments.json)
    material = Again(ALONE, tell=_tell) if arguments.id else Kept()
    found = ledger.all_judged(material, chosen)
    if arguments.json:
        told = [ledger.to_json(each, material) for each in found]
        return print_json(told[0] if arguments.id else {"django": material.django, "claims": told})
    _show(found, material, alone=bool(arguments.id))
    return ExitCode.FINE


def _show(found: Sequence[Judged], material: Kept, *, alone: bool) -> None:
    if alone:
        show.show_one(found[0], material, console())
        return
    show.show_all(found, material, console())
    if material.django != django.get_version():
        console(stderr=True).print(
            f"Installed is Django {django.get_version()}: `lab claims --check` asks again what needs no load.",
            highlight=False,
        )


def _tell(name: str) -> None:
    console(stderr=True).print(f"asking {name} ...", style="dim", highlight=False)


def _write(arguments: argparse.Namespace) -> int:
    if arguments.id:
        raise UsageError("--write keeps all claims: leave the id out.")
    material = Again(ALONE, tell=_tell)
    found = ledger.all_judged(material)
    ledger.write(found, material)
    console(stderr=True).print(f"{ledger.counts_text(found)}.", highlight=False)
    return ExitCode.FINE


def _check(chosen: Sequence[Entry], *, as_json: bool) -> int:
    """1 where a finding has changed; 3 where none has but some evidence could not be had here."""
    material = Again(tell=_tell)
    found = ledger.all_judged(material, chosen)
    changed = ledger.changes(found, ledger.kept(Kept())["findings"])
    if as_json:
        print_json([ledger.change_to_json(change) for change in changed])
    else:
        show.show_changes(changed, len(found), console())
    if any(change.counts for change in changed):
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if changed else ExitCode.FINE
