"""What a trial did to the database: connections, torn and lost payments, and the errors in the lab's log."""

import re
from collections import Counter
from dataclasses import dataclass, field

from bench.measure.database.database import Database
from bench.model.trial_record import DatabaseUse

MOST_ERRORS = 5
_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Timeout)): (.{0,500})", re.MULTILINE)
_WHERE = re.compile(r"^.*\bfailed: (?:FATAL: *)?(?=\S)")  # psycopg: connection to server at "...", port ... failed:


@dataclass
class PaymentAudit:
    """The coins and payments before the first request, to be compared when the server's last process has ended."""

    database: Database
    coins: int = field(init=False)
    payments: int = field(init=False)

    def __post_init__(self) -> None:
        self.coins, self.payments = self.database.coins(), self.database.payments()

    def close(self, connections_max: int | None, answered: int | None, log: str) -> DatabaseUse:
        """Compare with now. `answered`: requests whose answer said that they paid, if counted; `log`: the server's."""
        arrived = self.database.payments() - self.payments
        return DatabaseUse(
            vendor=self.database.vendor,
            connections_max=connections_max,
            coins_off=self.database.coins() - self.coins,
            payments_lost=None if answered is None else max(0, answered - arrived),
            errors=errors_in(self.database.hide(log)),
        )


def errors_in(log: str) -> dict[str, int]:
    """Count the database's errors in a server's log by class and message, without the address, the most frequent first.

    An exception is logged with the one that caused it; of such a pair Django's own is left out.
    """
    found = Counter(f"{name}: {_WHERE.sub('', message)}" for name, message in _ERROR.findall(_without_causes(log)))
    return dict(found.most_common(MOST_ERRORS))


def _without_causes(log: str) -> str:
    """Keep only the last exception of every chain, which is the one that the view raised."""
    return re.sub(r"^(?:psycopg|psycopg_pool|sqlite3)[\w.]*: .*$", "", log, flags=re.MULTILINE)
