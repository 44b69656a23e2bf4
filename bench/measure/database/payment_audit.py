"""What a trial did to the database: connections, payments that were torn or lost, and what the lab's log says of it."""

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
    """Opened before the first request, closed when the last process of the server has ended."""

    database: Database
    coins: int = field(init=False)
    payments: int = field(init=False)

    def __post_init__(self) -> None:
        self.coins, self.payments = self.database.coins(), self.database.payments()

    def closed(self, connections_max: int | None, answered: int | None, log: str) -> DatabaseUse:
        """`answered`: requests that were told of a payment, where that was counted; `log`: the server's."""
        arrived = self.database.payments() - self.payments
        return DatabaseUse(
            vendor=self.database.vendor,
            connections_max=connections_max,
            coins_off=self.database.coins() - self.coins,
            payments_lost=None if answered is None else max(0, answered - arrived),
            errors=errors_in(self.database.hide(log)),
        )


def errors_in(log: str) -> dict[str, int]:
    """The database's refusals in a server's log, the most frequent first: class and message, without the address.

    An exception is logged with the one that caused it; of such a pair Django's own is left out.
    """
    found = Counter(f"{name}: {_WHERE.sub('', message)}" for name, message in _ERROR.findall(_without_causes(log)))
    return dict(found.most_common(MOST_ERRORS))


def _without_causes(log: str) -> str:
    """Only the last exception of every chain, which is the one that the view raised."""
    return re.sub(r"^(?:psycopg|psycopg_pool|sqlite3)[\w.]*: .*$", "", log, flags=re.MULTILINE)
