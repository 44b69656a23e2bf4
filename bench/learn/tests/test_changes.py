"""Which settings `lab try` changes: each function of CHANGES on settings as projects have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import UserSettingsHolder, global_settings

from bench.trace.inside.overlay import changes
from bench.trace.inside.overlay.layered_settings import apply
from bench.trace.inside.overlay.plan import Plan

PLAN = Plan("mysite.settings", folder="/somewhere", prefix="lab-1-")


class Settings(UserSettingsHolder):
    """A project's settings over Django's defaults, without loading anything."""

    def __init__(self, **named: Any) -> None:
        super().__init__(global_settings)
        for name, value in named.items():
            setattr(self, name, value)


class WithMailers(Settings):
    """Those of Django 6.1 and later, whose EMAIL_BACKEND cannot be read once MAILERS is there."""

    @property
    def EMAIL_BACKEND(self) -> str:
        raise AttributeError("The EMAIL_BACKEND setting is not available when MAILERS is defined.")


def changed(change: Any, settings: Any, plan: Plan = PLAN) -> dict[str, Any]:
    """What one function changes, by name."""
    return {name: value for name, value, _, _ in change(settings, plan)}


def test_mailers_take_the_place_of_a_mail_backend() -> None:
    smtp = {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": {"password": "secret"}}
    assert changed(changes.mail, WithMailers(MAILERS={"default": smtp})) == {
        "MAILERS": {"default": {"BACKEND": changes.MEMORY_MAIL}}
    }
    assert changed(changes.mail, WithMailers(MAILERS={})) == {}
    assert changed(changes.mail, Settings()) == {"EMAIL_BACKEND": changes.MEMORY_MAIL}


def test_files_that_a_command_would_make_are_done_without(tmp_path: Path) -> None:
    manifest = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
    settings = Settings(STORAGES=manifest, STATIC_ROOT=tmp_path, COMPRESS_OFFLINE=True, INSTALLED_APPS=["compressor"])
    assert changed(changes.static_files, settings)["STORAGES"]["staticfiles"]["BACKEND"] == changes.PLAIN_STORAGE
    assert changed(changes.compressed_files, settings) == {"COMPRESS_OFFLINE": False, "COMPRESS_ENABLED": False}
    (tmp_path / "staticfiles.json").touch()
    (tmp_path / "CACHE").mkdir()
    (tmp_path / "CACHE/manifest.json").touch()
    assert changed(changes.static_files, settings) == {}
    assert changed(changes.compressed_files, settings) == {}


def test_a_cache_that_others_see_gets_keys_of_our_own_and_one_in_memory_stays() -> None:
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "KEY_PREFIX": "shop"}
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    found = changed(changes.caches, Settings(CACHES={"default": redis, "local": memory}))["CACHES"]
    assert found["default"]["KEY_PREFIX"] == "lab-1-shop"
    assert found["local"] == memory
    assert redis["KEY_PREFIX"] == "shop"


def test_tasks_go_to_memory() -> None:
    names = {"CELERY_BROKER_URL": "amqp://user:secret@broker", "CELERY_RESULT_BACKEND": "redis://:secret@results"}
    tasks = {"default": {"BACKEND": "django_tasks.backends.rq.RQBackend"}}
    settings = Settings(**names, TASKS=tasks, INSTALLED_APPS=["django_tasks"])
    assert changed(changes.celery, settings) == {
        "CELERY_BROKER_URL": changes.IN_MEMORY_BROKER,
        "CELERY_RESULT_BACKEND": changes.IN_MEMORY_RESULTS,
    }
    assert changed(changes.tasks, settings)["TASKS"]["default"]["BACKEND"] == changes.TASK_BACKENDS[1]
    assert changed(changes.celery, Settings()) == {}


def test_throttles_and_page_caches_go_out_only_on_request() -> None:
    rest = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"], "PAGE_SIZE": 10}
    middleware = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.common.CommonMiddleware"]
    settings = Settings(REST_FRAMEWORK=rest, MIDDLEWARE=middleware)
    assert changes.throttles_of(settings) == ["rest_framework.throttling.AnonRateThrottle"]
    assert changed(changes.throttles, settings) == changed(changes.page_caches, settings) == {}
    asked = Plan("mysite.settings", without=["throttles", "caches"])
    assert changed(changes.throttles, settings, asked)["REST_FRAMEWORK"] == {**rest, "DEFAULT_THROTTLE_CLASSES": []}
    assert changed(changes.page_caches, settings, asked) == {"MIDDLEWARE": middleware[1:]}


def test_a_database_of_ours_takes_no_option_that_leads_to_another_server() -> None:
    theirs = {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"service": "shop", "pool": True},
        "CONN_MAX_AGE": 60,
    }
    ours = {"HOST": "127.0.0.1", "NAME": "copy"}
    plan = Plan("mysite.settings", databases={"default": ours})
    found = changed(changes.databases, Settings(DATABASES={"default": theirs}), plan)["DATABASES"]["default"]
    assert found == {**theirs, **ours, "OPTIONS": {"pool": True}}


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.db"])
def test_a_session_in_the_memory_of_one_process_becomes_one_that_all_know(engine: str) -> None:
    plan = Plan("mysite.settings", logs_in=True)
    found = changed(changes.sessions, Settings(SESSION_ENGINE=engine), plan)
    assert found == ({"SESSION_ENGINE": changes.SIGNED_SESSIONS} if engine.endswith("cache") else {})


def test_once_changed_nothing_is_left_to_change() -> None:
    settings = Settings(
        DEBUG=True, SECURE_SSL_REDIRECT=True, MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware"]
    )
    apply(settings, PLAN)
    assert (settings.DEBUG, settings.SECURE_SSL_REDIRECT, settings.MIDDLEWARE) == (False, False, [])
    assert [name for change in changes.CHANGES for name in changed(change, settings)] == []
