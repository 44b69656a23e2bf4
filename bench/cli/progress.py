"""What a run is doing and how long it still takes: a bar in a terminal, one line per trial in a log."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Trial

ASSUMED_OVERHEAD_S = 1.5  # of the first trial; later the mean of what was seen is used


class RunProgress(Progress):
    """A context manager whose `before` and `after` are given to `runner.perform`."""

    def __init__(self, trials: int, console: Console) -> None:
        super().__init__(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=2,  # drawing takes CPU from the load's core
            disable=not console.is_terminal,
        )
        self.trials, self.done, self.began_s = trials, 0, time.monotonic()
        self.task = self.add_task("starting", total=trials, left="")

    def before(self, plan: TrialPlan) -> None:
        """Show the trial that begins, and an estimate of the time left."""
        trial_s = plan.full_warmup_s + plan.duration_s + ASSUMED_OVERHEAD_S
        if self.done:
            trial_s = (time.monotonic() - self.began_s) / self.done
        left_s = round(trial_s * (self.trials - self.done))
        self.update(
            self.task,
            description=f"{plan.stack.name} {plan.request.name} {planned_trial(plan).load_text}",
            left=f"{left_s // 60}:{left_s % 60:02} left",
        )

    def after(self, trial: Trial) -> None:
        """Count a trial that has ended; print a verdict without numbers at once."""
        self.done += 1
        self.update(self.task, completed=self.done)
        what = f"{trial.stack} {trial.request} {trial.load_text}"
        if not self.console.is_terminal:
            rate = f" {trial.throughput_per_s:.0f}/s" if trial.throughput_per_s is not None else ""
            self.console.print(f"{self.done}/{self.trials} {what}: {trial.verdict}{rate}", highlight=False)
        if not trial.is_measured:
            why = "; ".join(reason.message for reason in trial.reasons)
            self.console.print(f"[red]{trial.verdict}[/] {escape(what)}: {escape(why)}", highlight=False)
