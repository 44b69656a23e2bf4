from django.http import HttpRequest, HttpResponse
from django.urls import path


def small(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a small page")


def sums(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"the sum is {sum(number * number for number in range(5000))}")


urlpatterns = [path("", small), path("sums", sums)]
