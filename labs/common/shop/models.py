"""What the workloads read and write: products on the shelf, notes that come and go, accounts with coins."""

from django.db import models

PRODUCTS, ACCOUNTS, COINS_EACH = 100, 1000, 1000


class Product(models.Model):
    """A product on the shelf; the workloads only read them."""

    name = models.CharField(max_length=40)


class Note(models.Model):
    """A note that `crud` creates and deletes."""

    text = models.CharField(max_length=40)


class Account(models.Model):
    """Payments move coins from one account to another: their sum is always the same. `received` counts payments."""

    coins = models.IntegerField()
    received = models.IntegerField(default=0)
