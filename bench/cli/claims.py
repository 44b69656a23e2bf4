"""`lab claims`: shows all claims or one, measures them again (`--check`), or stores the findings (`--write`)."""

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
    """Show, check or store claims; the exit code of `--check` says whether a finding has changed."""
    if arguments.write:
        return _write(arguments)
    chosen = _choose(arguments)
    if arguments.check:
        return _check(chosen, as_json=arguments.json, alone=bool(arguments.id))
    material = LiveMaterial(ALONE, announce=_announce_probe) if arguments.id else ReferenceMaterial()
    found = ledger.judge_all(material, chosen)
    if arguments.json:
        rows = [ledger.to_json(each, material) for each in found]
        return print_json(rows[0] if arguments.id else {"django": material.django, "claims": rows})
    if arguments.id:
        claim_table.show_one(found[0], material, console())
        return ExitCode.FINE
    claim_table.show_all(found, material, console())
    if material.django != django.get_version():
        _note(f"Django {django.get_version()} is installed: `lab claims --check` measures again what needs no load.")
    return ExitCode.FINE


def _announce_probe(name: str) -> None:
    announce(f"running probe {name} ...")


def _note(sentence: str) -> None:
    console(stderr=True).print(sentence, highlight=False)


def _choose(arguments: argparse.Namespace) -> Sequence[PublicClaim]:
    """The claim with the id, or those of a lesson and with a stored finding. UsageError if there is none."""
    if arguments.id and (arguments.finding or arguments.lesson):
        raise UsageError("An id is one claim: leave --finding and --lesson out.")
    if arguments.id:
        return [load_claim(arguments.id)]
    lessons = sorted({each.lesson for each in load_claims()})
    chosen = [each for each in load_claims() if arguments.lesson in (None, each.lesson, each.lesson.partition("_")[0])]
    if not chosen:
        raise UsageError(f"No claim is settled in lesson {arguments.lesson!r}: {nearest(arguments.lesson, lessons)}")
    if not arguments.finding:
        return chosen
    wanted = arguments.finding.replace("-", " ")
    if wanted not in ledger.FINDINGS:
        raise UsageError(f"Unknown finding {wanted!r}: {nearest(wanted, ledger.FINDINGS)}")
    found = [each.entry for each in ledger.judge_all(ReferenceMaterial(), chosen) if each.finding == wanted]
    if not found:
        raise UsageError(f"None of {len(chosen)} claims is kept as {wanted}: leave --finding out.")
    return found


def _write(arguments: argparse.Namespace) -> int:
    """Judge all claims and store the findings; return NOT_RUN if some evidence is not available here."""
    if arguments.id or arguments.finding or arguments.lesson or arguments.json:
        raise UsageError("--write stores all claims in results/reference/claims.json: leave everything else out.")
    material = LiveMaterial(ALONE, announce=_announce_probe)
    found = ledger.judge_all(material)
    ledger.save_ledger(found, material)
    absent = [each for each in found if each.is_absent]
    for each in absent:
        sentence = f"lab: {each.entry.id} is stored without evidence that is not available here. {each.sentence}"
        print(printable(sentence), file=sys.stderr)
    _note(f"{ledger.counts_text(found)}.")
    return ExitCode.NOT_RUN if absent else ExitCode.FINE


def _check(chosen: Sequence[PublicClaim], *, as_json: bool, alone: bool) -> int:
    """Measure claims again; return FAILED if a finding has changed, else NOT_RUN if evidence is not available here."""
    material, kept = LiveMaterial(announce=_announce_probe), ledger.load_ledger(ReferenceMaterial())
    found = ledger.judge_all(material, chosen)
    changed = ledger.find_changes(found, kept["findings"])
    if as_json:
        print_json([ledger.change_to_json(change) for change in changed])
    else:
        if alone:
            claim_table.show_one(found[0], material, console())
        claim_table.show_changes(changed, len(found), console())
        _note_versions(found, kept["django"])
    if any(change.counts for change in changed):
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if changed else ExitCode.FINE


def _note_versions(found: Sequence[JudgedClaim], kept: str) -> None:
    """If Django is not that of the stored findings: which evidence is of which version."""
    if django.get_version() != kept:
        by_runs = sum(any(isinstance(part.evidence, RunEvidence) for part in each.parts) for each in found)
        _note(
            f"Asked with Django {django.get_version()}, kept with {kept}. Runs are not made again here: "
            f"what claims take from them ({by_runs} of {len(found)}) is still {kept}'s."
        )
