"""What a run is doing and how long is left: a bar in a terminal, one line per trial in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Trial

ASSUMED_OVERHEAD_S = 1.5  # of the first trial; later the mean of what was seen is used


class RunProgress:
    """A context manager whose `before` and `after` are given to `runner.perform`."""

    def __init__(self, trials: int, console: Console) -> None:
        self.console, self.trials, self.done = console, trials, 0
        self.began_s = time.monotonic()
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=2,  # drawing takes CPU from the load's core
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("starting", total=trials, left="")

    def __enter__(self) -> "RunProgress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def before(self, plan: TrialPlan) -> None:
        """A trial begins."""
        trial_s = plan.full_warmup_s + plan.duration_s + ASSUMED_OVERHEAD_S
        if self.done:
            trial_s = (time.monotonic() - self.began_s) / self.done
        left_s = round(trial_s * (self.trials - self.done))
        self.bar.update(
            self.task,
            description=f"{plan.stack.name} {plan.request.name} {planned_trial(plan).load_text}",
            left=f"{left_s // 60}:{left_s % 60:02} left",
        )

    def after(self, trial: Trial) -> None:
        """A trial has ended; what is not plainly ok is said at once."""
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        what = f"{trial.stack} {trial.request} {trial.load_text}"
        if not self.console.is_terminal:
            rate = f" {trial.throughput_per_s:.0f}/s" if trial.throughput_per_s is not None else ""
            self.console.print(f"{self.done}/{self.trials} {what}: {trial.verdict}{rate}", highlight=False)
        if not trial.is_measured:
            why = "; ".join(reason.message for reason in trial.reasons)
            self.console.print(f"[red]{trial.verdict}[/] {escape(what)}: {escape(why)}", highlight=False)
