"""`lab claims`: all of them, one, those asked again that need no load, or what is kept written anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import django

from bench.base.console import announce, console, print_json
from bench.base.errors import ExitCode, UsageError, nearest
from bench.base.printable import printable
from bench.claims import claim_table, ledger
from bench.claims.evidence import LiveMaterial, ReferenceMaterial
from bench.claims.judging import JudgedClaim
from bench.claims.probes import DOCUMENTS, PROBES
from bench.claims.schema import PublicClaim, RunEvidence, load_claim, load_claims

ALONE = tuple(name for name in PROBES if name not in DOCUMENTS)


def claims(arguments: argparse.Namespace) -> int:
    """What the words ask for; the exit code says whether a finding has changed, where that was asked."""
    if arguments.write:
        return _write(arguments)
    chosen = _chosen(arguments)
    if arguments.check:
        return _check(chosen, as_json=arguments.json, alone=bool(arguments.id))
    material = LiveMaterial(ALONE, announce=_announce) if arguments.id else ReferenceMaterial()
    found = ledger.judge_all(material, chosen)
    if arguments.json:
        told = [ledger.to_json(each, material) for each in found]
        return print_json(told[0] if arguments.id else {"django": material.django, "claims": told})
    _show(found, material, alone=bool(arguments.id))
    return ExitCode.FINE


def _chosen(arguments: argparse.Namespace) -> Sequence[PublicClaim]:
    """The one with the id, or those of a lesson and with a finding, as it is kept. UsageError where there is none."""
    if arguments.id and (arguments.finding or arguments.lesson):
        raise UsageError("An id is one claim: leave --finding and --lesson out.")
    if arguments.id:
        return [load_claim(arguments.id)]
    chosen = [each for each in load_claims() if arguments.lesson in (None, *_names_of(each.lesson))]
    if not chosen:
        raise UsageError(f"No claim is settled in lesson {arguments.lesson!r}: {_nearest_lesson(arguments.lesson)}")
    if not arguments.finding:
        return chosen
    wanted = arguments.finding.replace("-", " ")
    if wanted not in ledger.FINDINGS:
        raise UsageError(f"Unknown finding {wanted!r}: {nearest(wanted, ledger.FINDINGS)}")
    found = [each.entry for each in ledger.judge_all(ReferenceMaterial(), chosen) if each.finding == wanted]
    if not found:
        raise UsageError(f"None of {len(chosen)} claims is kept as {wanted}: leave --finding out.")
    return found


def _names_of(lesson: str) -> tuple[str, str]:
    """`05_orm` is also `05`."""
    return lesson, lesson.partition("_")[0]


def _nearest_lesson(name: str) -> str:
    return nearest(name, sorted({each.lesson for each in load_claims()}))


def _show(found: Sequence[JudgedClaim], material: ReferenceMaterial, *, alone: bool) -> None:
    if alone:
        claim_table.show_one(found[0], material, console())
        return
    claim_table.show_all(found, material, console())
    if material.django != django.get_version():
        console(stderr=True).print(
            f"Installed is Django {django.get_version()}: `lab claims --check` asks again what needs no load.",
            highlight=False,
        )


def _announce(name: str) -> None:
    announce(f"running probe {name} ...")


def _write(arguments: argparse.Namespace) -> int:
    """3 where some evidence could not be had here, and is kept so."""
    if arguments.id or arguments.finding or arguments.lesson or arguments.json:
        raise UsageError("--write keeps all claims in results/reference/claims.json: leave everything else out.")
    material = LiveMaterial(ALONE, announce=_announce)
    found = ledger.judge_all(material)
    ledger.save_ledger(found, material)
    absent = [each for each in found if each.is_absent]
    for each in absent:
        sentence = f"lab: {each.entry.id} is kept without what could not be had here. {each.sentence}"
        print(printable(sentence), file=sys.stderr)
    console(stderr=True).print(f"{ledger.counts_text(found)}.", highlight=False)
    return ExitCode.NOT_RUN if absent else ExitCode.FINE


def _check(chosen: Sequence[PublicClaim], *, as_json: bool, alone: bool) -> int:
    """1 where a finding has changed; 3 where none has but some evidence could not be had here."""
    material, kept = LiveMaterial(announce=_announce), ledger.load_ledger(ReferenceMaterial())
    found = ledger.judge_all(material, chosen)
    changed = ledger.find_changes(found, kept["findings"])
    if as_json:
        print_json([ledger.change_to_json(change) for change in changed])
    else:
        if alone:
            claim_table.show_one(found[0], material, console())
        claim_table.show_changes(changed, len(found), console())
        _tell_versions(found, kept["django"])
    if any(change.counts for change in changed):
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if changed else ExitCode.FINE


def _tell_versions(found: Sequence[JudgedClaim], kept: str) -> None:
    """Where Django is another one than that of the kept findings: what was asked of which."""
    asked = django.get_version()
    if asked == kept:
        return
    by_runs = sum(any(isinstance(part.evidence, RunEvidence) for part in each.parts) for each in found)
    console(stderr=True).print(
        f"Asked with Django {asked}, kept with {kept}. Runs are not made again here: "
        f"what claims take from them ({by_runs} of {len(found)}) is still {kept}'s.",
        highlight=False,
    )
