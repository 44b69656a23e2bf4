"""The contact form of both twins: its fields, and the page or fragment that shows it."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


class ContactForm(forms.Form):
    """Checked without I/O, so an async view checks it on the loop."""

    required_css_class = "required"

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    message = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 6}))


def contact_page(request: HttpRequest, form: ContactForm) -> HttpResponse:
    """The whole page, or for HTMX the part that changes; 422 where the form has errors.

    422 says to programs and logs what the sentences say to a reader. HTMX swaps it because page.html configures so.
    """
    template = "contact_part.html" if HtmxDetails(request) else "contact.html"
    context = {"form": form, "sent": "sent" in request.GET and not form.is_bound}
    response = render(request, template, context, status=422 if form.is_bound else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response
