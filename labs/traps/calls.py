"""What people call in async views: the one list. Each function here is one call, made on a running event loop.

`python -m bench.claims.exhibits.blocking_calls` makes them all and says which Django refuses, which block the loop
silently, and which are fine. Calls that wait for something wait WAIT_S: then it can be seen whether the loop waits too.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import acheck_password, check_password, make_password
from django.contrib.auth.models import User
from django.core import signing
from django.core.cache import caches
from django.core.mail import send_mail
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.http import HttpRequest
from django.shortcuts import aget_object_or_404, get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse

from labs.common.shop.models import Note, Product
from labs.common.shop.slow import slow_products
from labs.traps.slowness import PASSWORD, WAIT_S, Slowness

# The ORM, as it is written in sync code


def queryset_count(slow: Slowness) -> Any:
    return Product.objects.count()


def queryset_iterated(slow: Slowness) -> Any:
    return [product.name for product in Product.objects.all()]


def queryset_in_if(slow: Slowness) -> Any:
    return "some" if Product.objects.all() else "none"


def queryset_get(slow: Slowness) -> Any:
    return Product.objects.get(pk=1)


def object_or_404(slow: Slowness) -> Any:
    return get_object_or_404(Product, pk=1)


def model_save(slow: Slowness) -> Any:
    return Note(text="saved").save()


def model_full_clean(slow: Slowness) -> Any:
    return Product(pk=1, name="again").full_clean()


def related_objects(slow: Slowness) -> Any:
    return list(User(pk=1).groups.all())


def raw_query(slow: Slowness) -> Any:
    return list(Product.objects.raw("SELECT id, name FROM shop_product"))


def page_of_paginator(slow: Slowness) -> Any:
    return Paginator(Product.objects.order_by("pk"), 10).page(1)


def cursor(slow: Slowness) -> Any:
    return connection.cursor()


def atomic(slow: Slowness) -> Any:
    with transaction.atomic():
        return "inside"


def has_perm(slow: Slowness) -> Any:
    return User(pk=1, is_active=True).has_perm("shop.add_note")


def user_of_session(slow: Slowness) -> Any:
    return slow.request.user.is_authenticated


def cache_in_database(slow: Slowness) -> Any:
    return caches["db"].get("key")


def template_with_queryset(slow: Slowness) -> Any:
    return render_to_string("products.html", {"products": Product.objects.all()})


def template_that_compares(slow: Slowness) -> Any:
    return render_to_string("stock.html", {"products": Product.objects.all()})


async def async_with_atomic(slow: Slowness) -> Any:
    async with transaction.atomic():
        return "inside"


# The ORM, as it is written in async code


def queryset_lazy(slow: Slowness) -> Any:
    return Product.objects.filter(pk__gt=1).order_by("name")


def queryset_as_sql(slow: Slowness) -> Any:
    return str(Product.objects.filter(pk__gt=1).query)


async def queryset_aget(slow: Slowness) -> Any:
    return await slow_products(slow.ms).aget()


async def queryset_async_for(slow: Slowness) -> Any:
    return [product.name async for product in slow_products(slow.ms)]


async def object_or_404_async(slow: Slowness) -> Any:
    return await aget_object_or_404(slow_products(slow.ms), pk=1)


async def model_asave(slow: Slowness) -> Any:
    return await Note(text="saved").asave()


async def user_of_session_async(slow: Slowness) -> Any:
    return (await slow.request.auser()).is_authenticated


async def user_of_nobody(slow: Slowness) -> Any:
    return slow.anonymous.user.is_authenticated


async def cache_in_database_async(slow: Slowness) -> Any:
    return await caches["db"].aget("key")


async def function_with_atomic(slow: Slowness) -> Any:
    return await sync_to_async(atomic)(slow)


# What is not the ORM's: Django looks at none of it


def sleep(slow: Slowness) -> Any:
    return time.sleep(WAIT_S)


def http_client(slow: Slowness) -> Any:
    return httpx.get(slow.url, trust_env=False)


def mail(slow: Slowness) -> Any:
    return send_mail("subject", "text", "a@example.org", ["b@example.org"], connection=slow.mail)


def program(slow: Slowness) -> Any:
    return subprocess.run(["sleep", str(WAIT_S)], check=True)


def slow_file(slow: Slowness) -> Any:
    return Path(slow.pipe()).read_bytes()


def lock_of_threads(slow: Slowness) -> Any:
    return slow.held_lock().acquire()


def thread_join(slow: Slowness) -> Any:
    thread = threading.Thread(target=time.sleep, args=[WAIT_S])
    thread.start()
    return thread.join()


def password_hashed(slow: Slowness) -> Any:
    return make_password(PASSWORD)


def password_checked(slow: Slowness) -> Any:
    return check_password(PASSWORD, slow.hashed)


def large_template(slow: Slowness) -> Any:
    return render_to_string("numbers.html", {"numbers": range(20_000)})


def large_json(slow: Slowness) -> Any:
    return json.dumps(list(range(1_500_000)))


def large_digest(slow: Slowness) -> Any:
    return hashlib.sha256(bytes(300_000_000)).hexdigest()


async def sleep_async(slow: Slowness) -> Any:
    return await asyncio.sleep(WAIT_S)


async def http_client_async(slow: Slowness) -> Any:
    return await slow.client.get(slow.url)


async def program_async(slow: Slowness) -> Any:
    return await (await asyncio.create_subprocess_exec("sleep", str(WAIT_S))).wait()


async def slow_file_in_thread(slow: Slowness) -> Any:
    return await asyncio.to_thread(Path(slow.pipe()).read_bytes)


async def password_checked_async(slow: Slowness) -> Any:
    return await acheck_password(PASSWORD, slow.hashed)


# Short ones


def cache_in_memory(slow: Slowness) -> Any:
    return caches["default"].get("key")


def small_template(slow: Slowness) -> Any:
    return render_to_string("products.html", {"products": []})


def small_file(slow: Slowness) -> Any:
    return Path(__file__).read_text()


def file_looked_at(slow: Slowness) -> Any:
    return os.stat(__file__)


def signed(slow: Slowness) -> Any:
    return signing.loads(signing.dumps({"pk": 1}))


def url_reversed(slow: Slowness) -> Any:
    return reverse("index")


def query_string(slow: Slowness) -> Any:
    return HttpRequest().GET.get("page")


CALLS = [
    *(queryset_count, queryset_iterated, queryset_in_if, queryset_get, object_or_404, model_save, model_full_clean),
    *(related_objects, raw_query, page_of_paginator, cursor, atomic, has_perm, user_of_session, cache_in_database),
    *(template_with_queryset, template_that_compares, async_with_atomic),
    *(queryset_lazy, queryset_as_sql, queryset_aget, queryset_async_for, object_or_404_async, model_asave),
    *(user_of_session_async, user_of_nobody, cache_in_database_async, function_with_atomic),
    *(sleep, http_client, mail, program, slow_file, lock_of_threads, thread_join),
    *(password_hashed, password_checked, large_template, large_json, large_digest),
    *(sleep_async, http_client_async, program_async, slow_file_in_thread, password_checked_async),
    *(cache_in_memory, small_template, small_file, file_looked_at, signed, url_reversed, query_string),
]
