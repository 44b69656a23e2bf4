"""What differs between the loads of a trial; what all trials have in common is in `trial.py`."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bench.measure.cpu_placement import CpuPlan
from bench.measure.load.recording import Recording
from bench.measure.readiness import RunningServer
from bench.measure.services import Services
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import Trial


class Driver(Protocol):
    """The load's processes, started and waiting for their go."""

    @property
    def command(self) -> list[str]:
        """The command that run.json keeps."""


class Evidence(Protocol):
    """What was seen of a trial, whatever its load."""

    @property
    def log(self) -> str:
        """Everything that the server printed."""

    @property
    def open_max(self) -> int | None:
        """The most connections open on the database at once; None where there are none to count."""


DriverT = TypeVar("DriverT", bound=Driver)
EvidenceT = TypeVar("EvidenceT", bound=Evidence)


class TrialInterrupted(Exception):
    """Ctrl-C in the window; `recording` is what the load had counted until then, None where that was not to be had."""

    def __init__(self, recording: Recording | None) -> None:
        self.recording = recording
        super().__init__("interrupted")


@dataclass(frozen=True)
class Strategy(ABC, Generic[DriverT, EvidenceT]):
    """How one kind of load is driven, watched and judged: the methods in the order in which `trial.py` calls them."""

    plan: TrialPlan

    @property
    @abstractmethod
    def longest_s(self) -> float:
        """The longest that probing, driving and watching may take, in seconds."""

    @abstractmethod
    def require_room(self) -> None:
        """Raise NotRun where this machine has no room for the load."""

    @abstractmethod
    def starting(self, url: str, folder: Path, where: CpuPlan, services: Services) -> AbstractContextManager[DriverT]:
        """Start the load's processes, which wait for their go in `folder`; end them on the way out."""

    @abstractmethod
    def check(self, url: str) -> None:
        """Raise ContractBroken or NotRun where the server does not answer this load's requests rightly."""

    @abstractmethod
    def watch(self, server: RunningServer | None, driver: DriverT, services: Services) -> EvidenceT:
        """Let the load in, and watch until it is done. Raises NotRun, TrialInvalid and TrialInterrupted."""

    @abstractmethod
    def payments(self, seen: EvidenceT) -> int | None:
        """How many payments were answered as paid; None where the load does not count them."""

    @abstractmethod
    def judge(self, trial: Trial, seen: EvidenceT, where: CpuPlan) -> Trial:
        """The trial with its numbers and its verdict."""
