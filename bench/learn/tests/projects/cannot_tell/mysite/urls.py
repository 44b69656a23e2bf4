from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path


def private(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/login")


def throttled(request: HttpRequest) -> HttpResponse:
    return HttpResponse("slow down", status=429)


def busy(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"error": "Too many requests"})


urlpatterns = [path("", private), path("throttled", throttled), path("busy", busy)]
