"""The WebSocket way: drafts come in, previews go out, in whichever order either happens. Nothing in here blocks."""

import asyncio
import json

from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from labs.common.gauge import inside
from labs.live_preview.drafts import DRAFTS, EMPTY, BadDraft
from labs.live_preview.streams import SILENT_AT_MOST_S


class PreviewConsumer(AsyncWebsocketConsumer):
    """One socket on one draft: takes its texts, sends its previews."""

    async def connect(self) -> None:
        """Open the draft, accept the socket, and start to send previews."""
        self.draft = DRAFTS.open(self.scope["url_route"]["kwargs"]["name"])
        await self.accept()
        self.telling = asyncio.create_task(self.tell())

    async def disconnect(self, code: int) -> None:
        """Stop sending previews."""
        self.telling.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Change the draft, or show why the text was refused."""
        try:
            self.draft.change(text_in(text_data))
        except BadDraft as error:
            await self.show(refusal(error))

    async def tell(self) -> None:
        """Send what is newest whenever there is something newer."""
        seen = EMPTY
        with inside(), self.draft.news.heard_by_loop() as inbox:
            while True:
                if (shown := self.draft.shown) is not seen:
                    await self.show(mark_safe(shown.html))
                seen = shown
                await inbox.next(SILENT_AT_MOST_S)

    async def show(self, html: SafeString) -> None:
        """HTMX puts a message where its id says."""
        await self.send(format_html('<div id="preview" hx-swap-oob="innerHTML">{}</div>', html))


def text_in(message: str | None) -> str:
    """The editor's text in a message of HTMX, which is a form as JSON; raises BadDraft."""
    try:
        text = json.loads(message or "")["text"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadDraft("A message must be JSON with the draft as its 'text'.") from None
    if not isinstance(text, str):
        raise BadDraft("The 'text' of a message must be a string.")
    return text


def refusal(error: BadDraft) -> SafeString:
    """Return the error as an HTML paragraph, escaped."""
    return format_html('<p role="alert" class="bad">{}</p>', error)
