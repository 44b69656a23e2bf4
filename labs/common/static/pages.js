// Says in the status line what happens to connections: HTMX itself leaves failures to the console.
const SENTENCES = {
  "htmx:sendError": () => "The server does not answer.",
  "htmx:responseError": (detail) => `The server refused this (${detail.xhr.status}). Reload the page and try again.`,
  "htmx:sseOpen": () => "Event stream open.",
  "htmx:sseError": () => "No event stream. The browser tries again.",
  "htmx:wsOpen": () => "WebSocket open.",
  "htmx:wsClose": (detail) =>
    detail.event.code === 1009
      ? "The server closed the WebSocket: the message was too long. Reload the page."
      : `No WebSocket (closed with code ${detail.event.code}). The browser tries again.`,
};

const line = document.getElementById("status");
for (const [name, sentence] of Object.entries(SENTENCES)) {
  document.addEventListener(name, (event) => (line.textContent = sentence(event.detail)));
}
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && !document.querySelector("[sse-connect], [ws-connect]")) line.textContent = "";
});
