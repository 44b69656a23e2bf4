"""What is counted of a port's connections is what was opened and accepted."""

import socket

import pytest

from bench.measure.socket_counts import accept_queue, established


@pytest.mark.parametrize("asked", ["by sock_diag", "elsewhere"])
def test_connections_count_until_they_are_closed_and_wait_until_somebody_accepts_them(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked == "elsewhere":
        monkeypatch.setattr("sys.platform", "another system")
    waiting = int(asked == "by sock_diag")  # no other system says
    with socket.socket() as listener, socket.socket() as neighbour:
        for each in (listener, neighbour):
            each.bind(("127.0.0.1", 0))
            each.listen(20)
        port = listener.getsockname()[1]
        assert (accept_queue(port), established(port)) == (0, 0)
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
        callers += [socket.create_connection(neighbour.getsockname())]
        assert (accept_queue(port), established(port)) == (7 * waiting, 7)
        accepted = [listener.accept()[0] for _ in range(3)]
        assert (accept_queue(port), established(port)) == (4 * waiting, 7)
        accepted[0].close()
        callers[0].close()  # for a minute the kernel keeps a connection that was closed
        assert established(port) == 6
        for one in [*callers, *accepted]:
            one.close()
    assert (accept_queue(port), established(port)) == (0, 0)
