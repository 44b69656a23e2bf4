"""The views and their addresses."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path


def private(request: HttpRequest) -> HttpResponse:
    """Send everybody to the login."""
    return HttpResponseRedirect("/login")


def throttled(request: HttpRequest) -> HttpResponse:
    """Refuse, as a throttle does."""
    return HttpResponse("slow down", status=429)


def busy(request: HttpRequest) -> HttpResponse:
    """Refuse with a status that says all is well."""
    return JsonResponse({"error": "Too many requests"})


urlpatterns = [path("", private), path("throttled", throttled), path("busy", busy)]
