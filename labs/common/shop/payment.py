"""A payment between two accounts: both rows or neither."""

import random
import time

from django.db import transaction
from django.db.models import F

from labs.common.shop.models import ACCOUNTS, Account

ONE_LESS = {"coins": F("coins") - 1}
ONE_MORE = {"coins": F("coins") + 1, "received": F("received") + 1}


def pay(ms: int) -> None:
    """Moves a coin, with `ms` between its two halves as if somebody else were asked; all of it or nothing."""
    buyer, seller = two_accounts()
    with transaction.atomic():
        Account.objects.filter(pk=buyer).update(**ONE_LESS)
        time.sleep(ms / 1000)
        Account.objects.filter(pk=seller).update(**ONE_MORE)


def two_accounts() -> list[int]:
    """Two at random, the lower first: payments that took the same two the other way round could deadlock."""
    return sorted(random.sample(range(1, ACCOUNTS + 1), 2))
