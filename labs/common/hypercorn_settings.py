"""What hypercorn has no option for: `hypercorn --config python:labs.common.hypercorn_settings`.

The names are those of hypercorn's configuration.
"""

keep_alive_max_requests = 10**9
"""The default closes a connection after 1,000 requests, which no other server does."""
websocket_max_message_size = 2 * 1024 * 1024
"""As for the other servers, in bytes."""
