"""The addresses of the pages, and the toolbar's own."""

from debug_toolbar.toolbar import debug_toolbar_urls
from django.urls import path

from . import views

urlpatterns = [
    path("sync", views.sync_page),
    path("async", views.async_page),
    path("drf", views.RestView.as_view()),
    path("ninja/", views.api.urls),
    *debug_toolbar_urls(),
]
