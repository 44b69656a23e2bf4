"""The views and their addresses."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def small(request: HttpRequest) -> HttpResponse:
    """Answer a small page."""
    return HttpResponse("a small page")


def sums(request: HttpRequest) -> HttpResponse:
    """Compute for a while."""
    return HttpResponse(f"the sum is {sum(number * number for number in range(5000))}")


urlpatterns = [path("", small), path("sums", sums)]
