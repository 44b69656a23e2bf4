"""Whether two runs may be compared: how their machines, versions and capabilities differ.

Each difference is a text such as `python CPython 3.11.7 / CPython 3.13.0`, with the first run's value first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.model.environments import DEFAULT
from bench.model.run_record import Run
from bench.model.trial_record import ServerEnvironment

SAME_MACHINE = (
    *("cpu", "cores", "cores_usable", "server_cores", "load_cores", "cores_shared", "hyperthreads"),
    *("governor", "python", "gil", "lock_sha256"),
)
"""What must be equal in the environments, beside the packages, memory, file descriptors and the kernel's release."""
SAME_PLAN = ("engine", "load_processes", "expect_workers", "target")
NOTED_OF_PLAN = ("warmup_s", "duration_s", "repeats")
MEMORY_TOLERANCE = 0.05
FEW_DESCRIPTORS = 4096
"""Below this soft limit file descriptors may bound a trial."""
DIGEST_SHOWN = 12


def differences(first: Run, second: Run) -> list[str]:
    """Return what forbids comparing the runs: differences of machine, versions and capabilities."""
    left, right = first.environment, second.environment
    return [
        *_differing(left, right, SAME_MACHINE),
        *_differing({"system": _release(left)}, {"system": _release(right)}, ("system",)),
        *_memory(left, right),
        *_descriptors(left, right),
        *_packages(left, right),
        *_fronts(left, right),
        *_environments(first, second),
        *_differing(_of_plan(first, SAME_PLAN), _of_plan(second, SAME_PLAN), SAME_PLAN),
    ]


def _differing(left: Mapping[str, Any], right: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if left.get(name) != right.get(name):
            yield f"{name.replace('_', ' ')} {_value_text(left.get(name))} / {_value_text(right.get(name))}"


def _of_plan(run: Run, names: Sequence[str]) -> dict[str, Any]:
    """Return these fields of the plan; one that was read from a file has its defaults on the class, not in `vars`."""
    return {name: getattr(run.plan, name) for name in names}


def _release(environment: Mapping[str, Any]) -> str | None:
    """Return the system without the patch level of its kernel: `Linux 6.18` of `Linux 6.18.44-generic`."""
    system = environment.get("system")
    return system and ".".join(str(system).split(".")[:2])


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    text = "unknown" if value is None else str(value)
    return text[:DIGEST_SHOWN] if len(text) == 64 else text


def _memory(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    sizes = [side.get("memory_bytes") or 0 for side in (left, right)]
    if max(sizes) - min(sizes) > MEMORY_TOLERANCE * max(sizes):
        yield f"memory {sizes[0] / 1e9:.1f} GB / {sizes[1] / 1e9:.1f} GB"


def _descriptors(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    soft = [(side.get("file_descriptors") or [FEW_DESCRIPTORS])[0] for side in (left, right)]
    few = [0 <= limit < FEW_DESCRIPTORS for limit in soft]  # unlimited is -1
    if any(few) and soft[0] != soft[1]:
        yield f"file descriptors {soft[0]} / {soft[1]}"


def _packages(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    ours, theirs = left.get("packages") or {}, right.get("packages") or {}
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            yield f"{name} {ours.get(name) or 'absent'} / {theirs.get(name) or 'absent'}"


def _fronts(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    """Compare the versions that both runs have: an older run has none, and one without a front may lack them."""
    ours, theirs = left.get("fronts") or {}, right.get("fronts") or {}
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            yield f"{name} {ours[name]} / {theirs[name]}"


def _environments(first: Run, second: Run) -> Iterator[str]:
    """Yield what differs between the environments that both runs measured, beside the default, by their names."""
    ours, theirs = environments_of(first), environments_of(second)
    for name in sorted((ours.keys() & theirs.keys()) - {DEFAULT}):
        left, right = ours[name], theirs[name]
        yield from (f"%{name} {text}" for text in _differing(vars(left), vars(right), ("python", "gil", "variables")))
        yield from (f"%{name} {text}" for text in _packages(*({"packages": it.versions} for it in (left, right))))


def environments_of(run: Run) -> dict[str, ServerEnvironment]:
    """Return what the run's servers said of themselves, one for each environment, in the run's order of names.

    Which packages a server loads depends on lab and server, so their versions are of all servers together.
    """
    found: dict[str, ServerEnvironment] = {}
    for said in (trial.environment for trial in run.trials if trial.environment):
        versions = found[said.name].versions if said.name in found else {}
        found[said.name] = replace(said, versions=versions | said.versions)
    return dict(sorted(found.items()))


def notes_of(first: Run, second: Run) -> list[str]:
    """Return the differences that a reader should know, but that do not forbid comparing."""
    left, right = ({"commit": commit_of(run)} for run in (first, second))
    notes = [
        *_differing(vars(first), vars(second), ("experiment", "profile")),
        *_differing(_of_plan(first, NOTED_OF_PLAN), _of_plan(second, NOTED_OF_PLAN), NOTED_OF_PLAN),
        *_differing(left, right, ("commit",)),
        *_differing(first.environment, second.environment, ("system",)),
    ]
    environments = [", ".join(_environment_texts(run)) for run in (first, second)]
    if environments[0] != environments[1]:
        notes.append(f"environments: {' / '.join(text or 'not known' for text in environments)}")
    for word, run in (("first", first), ("second", second)):
        if run.status != "complete":
            notes.append(f"the {word} run is {run.status}: {len(run.trials)} of {run.plan.trials} trials")
    return [*notes, "both are the same run"] if first.sha256 and first.sha256 == second.sha256 else notes


def _environment_texts(run: Run) -> Iterator[str]:
    yield from (f"{name} ({said.text})" for name, said in environments_of(run).items())


def commit_of(run: Run) -> str:
    """Return the commit that was measured, and whether files were changed."""
    git = run.environment.get("git") or {}
    return str(git.get("commit", "unknown"))[:DIGEST_SHOWN] + (" with changes" if git.get("dirty") else "")
