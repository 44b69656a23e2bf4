"""One small answer in five ways: plain Django, Django REST framework and django-ninja, sync and async."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

PAGE = "<!doctype html><html><body>{}</body></html>"
api = NinjaAPI()


def always(request: HttpRequest) -> bool:
    """Let the debug toolbar show itself to everybody."""
    return True


def sync_page(request: HttpRequest) -> HttpResponse:
    """Answer a page."""
    return HttpResponse(PAGE.format("sync"))


async def async_page(request: HttpRequest) -> HttpResponse:
    """Answer a page."""
    return HttpResponse(PAGE.format("async"))


class RestView(APIView):
    """Answers through Django REST framework, whose views are sync."""

    renderer_classes = (JSONRenderer,)

    def get(self, request: Any) -> Response:
        """Answer JSON."""
        return Response({"message": "hello"})


@api.get("/sync")
def sync_operation(request: HttpRequest) -> dict[str, str]:
    """Answer JSON."""
    return {"message": "hello"}


@api.get("/async")
async def async_operation(request: HttpRequest) -> dict[str, str]:
    """Answer JSON."""
    return {"message": "hello"}
