"""The addresses of the pages, and the toolbar's own."""

from django.urls import include, path

from . import views

urlpatterns = [
    path("sync", views.sync_page),
    path("async", views.async_page),
    path("drf", views.RestView.as_view()),
    path("ninja/", views.api.urls),
    path("__debug__/", include("debug_toolbar.urls")),
]
