"""Makes the tables and fills them, once: `LAB_DATABASE_URL=... python -m labs.common.shop.prepare`."""

import os


def prepare() -> None:
    """Safe to repeat: what is there already stays."""
    from django.core.management import call_command

    from labs.common.shop.models import ACCOUNTS, COINS_EACH, PRODUCTS, Account, Product

    call_command("migrate", verbosity=0)
    if not Product.objects.exists():
        Product.objects.bulk_create(Product(pk=pk, name=f"product {pk}") for pk in range(1, PRODUCTS + 1))
    if not Account.objects.exists():
        Account.objects.bulk_create(Account(pk=pk, coins=COINS_EACH) for pk in range(1, ACCOUNTS + 1))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labs.sync_wsgi.settings")
    os.environ["LAB_MIDDLEWARE"] = "startproject"  # for the tables of users and sessions
    import django

    django.setup()
    prepare()
