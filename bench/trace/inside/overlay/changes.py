"""The settings that are others while a project is tried: one function each, which yields what it changes and why.

A function gets the settings as they are and the plan, and yields nothing where nothing is to be changed. What it says
is its own words: no value of the project's is in them.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from .plan import LOCAL_HOSTS, Plan
from .what_if import changed_middlewares

Found = Iterator[tuple[str, Any, str, str]]
"""Name of the setting, its value, the value in words, and why."""
TOOLBARS = ("debug_toolbar", "django_browser_reload", "livereload", "strawberry_django.middlewares.debug_toolbar")
PAGE_CACHES = ("django.middleware.cache.",)
THROTTLES = ("ratelimit", "axes", "defender")
MEMORY_MAIL = "django.core.mail.backends.locmem.EmailBackend"
CELERY_BROKERS, CELERY_RESULTS = ("CELERY_BROKER_URL", "BROKER_URL"), ("CELERY_RESULT_BACKEND",)
IN_MEMORY_BROKER, IN_MEMORY_RESULTS = "memory://", "cache+memory://"
TASK_BACKENDS = ("django.tasks.backends.dummy.DummyBackend", "django_tasks.backends.dummy.DummyBackend")
PLAIN_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
OF_A_SERVER = ("service", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "options")
"""Options of a database that lead to one server."""
PRIVATE_CACHES = ("LocMemCache", "DummyCache")
"""Backends that no other process sees."""
SIGNED_SESSIONS = "django.contrib.sessions.backends.signed_cookies"


def debug_off(settings: Any, plan: Plan) -> Found:
    """With DEBUG on, Django keeps every query and answers errors with pages of their own."""
    if settings.DEBUG:
        yield "DEBUG", False, "False", "DEBUG costs time and memory for each query, and no site is served with it"


def hosts(settings: Any, plan: Plan) -> Found:
    """An empty list allows this machine with DEBUG on, and nobody with it off."""
    if not settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS", [*LOCAL_HOSTS], "this machine", "it is empty, which allows nobody without DEBUG"


def https(settings: Any, plan: Plan) -> Found:
    """Pages are asked for over http."""
    if settings.SECURE_SSL_REDIRECT:
        yield "SECURE_SSL_REDIRECT", False, "False", "pages are asked for over http, on this machine"


def toolbars(settings: Any, plan: Plan) -> Found:
    """They add to pages what differs behind each door."""
    yield from _without("MIDDLEWARE", settings.MIDDLEWARE, TOOLBARS, "a debug toolbar answers differently each time")


def page_caches(settings: Any, plan: Plan) -> Found:
    """Left out only if that was asked for."""
    if "caches" in plan.without:
        yield from _without("MIDDLEWARE", settings.MIDDLEWARE, PAGE_CACHES, "page caches out, as you asked")


def _without(name: str, words: Any, prefixes: tuple[str, ...], why: str) -> Found:
    out = [word for word in words if isinstance(word, str) and word.startswith(prefixes)]
    if out:
        yield name, [word for word in words if word not in out], f"without {', '.join(out)}", why


def throttles(settings: Any, plan: Plan) -> Found:
    """Of Django REST framework and django-ratelimit; left out only if that was asked for."""
    if "throttles" not in plan.without:
        return
    rest = getattr(settings, "REST_FRAMEWORK", None)
    if rest and rest.get("DEFAULT_THROTTLE_CLASSES"):
        yield "REST_FRAMEWORK", {**rest, "DEFAULT_THROTTLE_CLASSES": []}, "no throttle classes", "as you asked"
    if getattr(settings, "RATELIMIT_ENABLE", True) and _has_app(settings, "ratelimit"):
        yield "RATELIMIT_ENABLE", False, "False", "throttles out, as you asked"


def _has_app(settings: Any, word: str) -> bool:
    return any(word in app for app in settings.INSTALLED_APPS) or any(word in name for name in settings.MIDDLEWARE)


def throttles_of(settings: Any) -> list[str]:
    """Classes of Django REST framework, and applications and middlewares known to throttle."""
    rest = getattr(settings, "REST_FRAMEWORK", None) or {}
    classes = [getattr(name, "__name__", str(name)) for name in rest.get("DEFAULT_THROTTLE_CLASSES", ())]
    names = map(str, (*settings.INSTALLED_APPS, *settings.MIDDLEWARE))
    return [*classes, *(name for name in names if any(word in name for word in THROTTLES))]


def mail(settings: Any, plan: Plan) -> Found:
    """No mail leaves. MAILERS, from Django 6.1 on, takes the place of EMAIL_BACKEND, which then cannot be read."""
    mailers = getattr(settings, "MAILERS", None)
    if mailers is not None:
        if any(mailer.get("BACKEND") != MEMORY_MAIL for mailer in mailers.values()):
            yield "MAILERS", {name: {"BACKEND": MEMORY_MAIL} for name in mailers}, "in memory", "no mail is sent"
    elif settings.EMAIL_BACKEND != MEMORY_MAIL:
        yield "EMAIL_BACKEND", MEMORY_MAIL, "in memory", "no mail is sent"


def celery(settings: Any, plan: Plan) -> Found:
    """What is asked of Celery stays in this process and is not done."""
    for names, url in ((CELERY_BROKERS, IN_MEMORY_BROKER), (CELERY_RESULTS, IN_MEMORY_RESULTS)):
        for name in names:
            if getattr(settings, name, url) != url:
                yield name, url, "in memory", "no task is handed to Celery's workers"


def tasks(settings: Any, plan: Plan) -> Found:
    """Django's tasks, and those of django-tasks: kept in memory and not done."""
    named = getattr(settings, "TASKS", None)
    if isinstance(named, Mapping) and named:
        ours = TASK_BACKENDS[1 if _has_app(settings, "django_tasks") else 0]
        if any(task.get("BACKEND") != ours for task in named.values()):
            changed = {alias: {**task, "BACKEND": ours} for alias, task in named.items()}
            if settings.is_overridden("TASKS"):
                yield "TASKS", changed, "in memory", "no task is handed to a worker"


def databases(settings: Any, plan: Plan) -> Found:
    """The copies that were made."""
    named = deepcopy(dict(settings.DATABASES))
    for alias, changed in plan.databases.items():
        named[alias] = {**named.get(alias, {}), **changed}
        if "HOST" in changed:
            options = named[alias].get("OPTIONS", {})
            named[alias]["OPTIONS"] = {name: value for name, value in options.items() if name not in OF_A_SERVER}
    if named != settings.DATABASES:
        yield "DATABASES", named, "copies", "the project's own data stay as they are"


def caches(settings: Any, plan: Plan) -> Found:
    """The same backends with keys of our own, so that each door begins with an empty cache and theirs is left alone."""
    named = deepcopy(dict(settings.CACHES))
    for alias, cache in named.items():
        if str(cache.get("BACKEND", "")).endswith(PRIVATE_CACHES):
            continue
        if not str(cache.get("KEY_PREFIX", "")).startswith(plan.prefix):
            cache["KEY_PREFIX"] = f"{plan.prefix}{cache.get('KEY_PREFIX', '')}"
        if str(cache.get("BACKEND", "")).endswith("FileBasedCache"):
            cache["LOCATION"] = str(Path(plan.folder, f"cache-{plan.prefix}-{alias}"))
    if named != settings.CACHES:
        yield "CACHES", named, "a key prefix of the lab's", "each door begins with an empty cache, and yours is kept"


def log_files(settings: Any, plan: Plan) -> Found:
    """The same logging, which costs time, to files of ours."""
    logging = deepcopy(settings.LOGGING or {})
    for name, handler in logging.get("handlers", {}).items():
        if "filename" in handler and not str(handler["filename"]).startswith(plan.folder):
            handler["filename"] = str(Path(plan.folder, f"log-{name}"))
    if logging != (settings.LOGGING or {}):
        yield "LOGGING", logging, "the same, to files of the lab's", "the project's own logs stay as they are"


def media(settings: Any, plan: Plan) -> Found:
    """A folder of links to the project's files, in which new ones, such as thumbnails, are ours."""
    if plan.media and plan.media != settings.MEDIA_ROOT:
        yield "MEDIA_ROOT", plan.media, "links to its files", "a page may make new ones, such as thumbnails"


def static_files(settings: Any, plan: Plan) -> Found:
    """A storage that reads a manifest fails without one, and `collectstatic` would write to the project's folder."""
    storages = getattr(settings, "STORAGES", None) or {}
    backend = str(storages.get("staticfiles", {}).get("BACKEND", ""))
    root = settings.STATIC_ROOT
    if "Manifest" in backend and not (root and Path(root, "staticfiles.json").is_file()):
        changed = {**storages, "staticfiles": {"BACKEND": PLAIN_STORAGE}}
        yield "STORAGES", changed, "plain static files", "there is no manifest: collectstatic has not been run"


def compressed_files(settings: Any, plan: Plan) -> Found:
    """django-compressor's offline manifest, which `compress` would write to the project's folder."""
    if getattr(settings, "COMPRESS_OFFLINE", False) and _has_app(settings, "compressor"):
        folder = getattr(settings, "COMPRESS_ROOT", None) or settings.STATIC_ROOT
        manifest = Path(folder or "", getattr(settings, "COMPRESS_OUTPUT_DIR", "CACHE"), "manifest.json")
        if not folder or not manifest.is_file():
            for name in ("COMPRESS_OFFLINE", "COMPRESS_ENABLED"):
                yield name, False, "False", "there is no manifest: compress has not been run"


def sessions(settings: Any, plan: Plan) -> Found:
    """A session that lies in the memory of one process is not known to the next one."""
    cache = settings.CACHES.get(getattr(settings, "SESSION_CACHE_ALIAS", "default"), {})
    in_memory = str(cache.get("BACKEND", "")).endswith("LocMemCache") and settings.SESSION_ENGINE.endswith(".cache")
    if plan.logs_in and in_memory:
        yield "SESSION_ENGINE", SIGNED_SESSIONS, "signed cookies", "--login makes a session that all processes know"


def handlers(settings: Any, plan: Plan) -> Found:
    """What one of the lab's handlers wants of the middlewares."""
    named = list(settings.MIDDLEWARE)
    changed = changed_middlewares(named, plan) if plan.what_if else named
    if changed != named:
        yield "MIDDLEWARE", changed, f"as {plan.what_if} has them", "as --what-if asks"


CHANGES: tuple[Callable[[Any, Plan], Found], ...] = (
    handlers,
    *(debug_off, hosts, https, toolbars, page_caches, throttles),
    *(mail, celery, tasks, databases, sessions, caches, static_files, compressed_files, log_files, media),
)
