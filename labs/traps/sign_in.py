"""A session for the visitor, without a password: `request_user_in_async_view` needs somebody who is signed in."""

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign the visitor in as `ada`, and redirect to the list."""
    user, _ = User.objects.get_or_create(username="ada")
    login(request, user)
    return redirect("/")
