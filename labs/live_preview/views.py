"""The editor and its first two ways; the third is in consumers.py. The same views answer through both doors.

They are sync, since all they do is render; only the event stream has to know whether a thread or a loop will wait.
"""

import secrets

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_protect
from django_htmx.middleware import HtmxDetails

from labs.common.feed import event_stream
from labs.common.http import answer
from labs.common.urls import handler400 as common_handler400
from labs.common.work import whereabouts
from labs.live_preview.consumers import refusal
from labs.live_preview.drafts import DRAFTS, BadDraft, Draft, too_long
from labs.live_preview.streams import previews, previews_async
from labs.live_preview.ways import WAYS, note_for


def new(request: HttpRequest) -> HttpResponse:
    """Redirect to a new draft with a random name."""
    return redirect("editor", name=secrets.token_urlsafe(9), way="post")


@csrf_protect
def editor(request: HttpRequest, name: str, way: str) -> HttpResponse:
    """Show a draft's editor, or take its text."""
    draft = DRAFTS.open(name)
    return change(request, draft, way) if request.method == "POST" else page(request, draft, way)


def change(request: HttpRequest, draft: Draft, way: str) -> HttpResponse:
    """The preview for HTMX, nothing where a stream brings it, the whole page for a browser without JavaScript."""
    text = request.POST.get("text", "")
    try:
        shown = draft.change(text)
    except BadDraft as error:
        return refused(request, draft, way, text, error)
    if not HtmxDetails(request):
        return redirect(request.path)
    return HttpResponse(shown.html) if way == "post" else HttpResponse(status=204)


def refused(request: HttpRequest, draft: Draft, way: str, text: str, error: BadDraft) -> HttpResponse:
    """Answer 413 with the reason: alone for HTMX, else within the page."""
    if HtmxDetails(request):
        return HttpResponse(refusal(error), status=413)
    return page(request, draft, way, text=text, preview=refusal(error), status=413)


def page(
    request: HttpRequest, draft: Draft, way: str, *, text: str = "", preview: str = "", status: int = 200
) -> HttpResponse:
    """The editor; what could not be kept goes back to its writer."""
    shown = draft.shown
    context = {
        "name": draft.name,
        "ways": WAYS,
        "way": way,
        "title": WAYS[way],
        "note": note_for(way, isinstance(request, ASGIRequest)),
        "text": text or shown.text,
        "preview": preview or mark_safe(shown.html),
    }
    return render(request, f"{way}.html", context, status=status)


def events(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """Stream the previews of a draft as server-sent events."""
    draft = DRAFTS.open(name)
    return event_stream(previews_async(draft) if isinstance(request, ASGIRequest) else previews(draft))


def whoami(request: HttpRequest) -> HttpResponse:
    """Who is `inside` here: open streams and sockets."""
    return answer(**whereabouts())


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What is so long that Django does not read it gets the same sentence as what we do not keep."""
    if isinstance(exception, RequestDataTooBig):
        return HttpResponse(refusal(BadDraft(too_long())), status=413)
    return common_handler400(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path with where to begin."""
    return answer(404, error="Nothing here; / opens a new draft.")
