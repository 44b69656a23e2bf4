"""The URLs of a lab: one for each view of its own, and the answers that all labs share."""

from types import ModuleType

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, get_resolver, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from labs.common.files import file
from labs.common.http import answer
from labs.common.news import NEWS
from labs.common.origins import asks_from_elsewhere
from labs.common.plain import about, nothing_here
from labs.common.redis_news import LONGEST_TEXT, REDIS_URL, RedisIsAway, publish_to_redis

PAGES = ("contact",)  # for people: not measured, so no workloads


def workload_urls(views: ModuleType) -> list[URLPattern]:
    """Return the URL patterns of a lab: each view that its module defines, by name, and what all labs share."""
    answered = [
        path(name, view, name="page" if name in PAGES else "workload")
        for name, view in vars(views).items()
        if callable(view) and view.__module__ == views.__name__
    ]
    return [*answered, path("ready", ready), path("publish", publish), path("static/<name>", file)]


def ready(request: HttpRequest) -> HttpResponse:
    """Answer with LAB_INSTANCE, so that a caller knows which server this is, and with `?runtime` what it runs on."""
    return answer(**about(request.META["QUERY_STRING"]))


@csrf_exempt
@require_POST
def publish(request: HttpRequest) -> HttpResponse:
    """Tells all open feeds, polls and sockets of this process; answers how many there were.

    With LAB_REDIS_URL Redis is told instead: answers how many processes listen there; see background.py.
    """
    if asks_from_elsewhere(request):
        return answer(403, error="Only this lab's own pages may publish, and programs that are no browser.")
    text = request.GET.get("text", "")[:LONGEST_TEXT]
    if not REDIS_URL:
        return answer(heard=NEWS.publish(text))
    try:
        return answer(processes=publish_to_redis(text))
    except RedisIsAway as error:
        return answer(503, error=str(error))


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a bad request with its reason as JSON."""
    return answer(400, error=str(exception))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path with the paths that exist."""
    workloads = [str(url.pattern) for url in get_resolver().url_patterns if url.name == "workload"]
    return answer(404, error=nothing_here(*workloads, "ready", "publish"))


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer an error with where to look for its trace."""
    return answer(500, error="The lab failed; the trace is in the server's log.")
