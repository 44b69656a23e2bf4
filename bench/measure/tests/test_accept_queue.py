"""The accept queue is what the kernel says."""

import socket

from bench.measure.accept_queue import accept_queue


def test_connections_that_nobody_has_accepted_are_counted_until_somebody_does() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        port = listener.getsockname()[1]
        assert accept_queue(port) == 0
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
        assert accept_queue(port) == 7
        accepted = [listener.accept()[0] for _ in range(3)]
        assert accept_queue(port) == 4
        for one in [*callers, *accepted]:
            one.close()
    assert accept_queue(port) == 0
