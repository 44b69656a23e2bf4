"""A free port: none that the system hands to clients, none that is taken."""

import socket
from contextlib import ExitStack

import pytest

from bench.base.errors import NotRun
from bench.measure import ports
from bench.model.servers import HOST

FIRST_FOR_CLIENTS = 32_768  # what Linux hands out unless told otherwise: ip(7), ip_local_port_range


def test_a_free_port_is_none_that_an_outgoing_connection_may_take() -> None:
    assert ports.PORTS.stop <= FIRST_FOR_CLIENTS
    assert ports.free_port() in ports.PORTS


def test_a_taken_port_is_passed_over_and_without_a_free_one_the_user_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = ports.free_port()
    monkeypatch.setattr(ports, "PORTS", range(first, first + 100))
    with ExitStack() as taken:
        taken.enter_context(socket.create_server((HOST, first)))
        assert {ports.free_port() for _ in range(20)} <= set(range(first + 1, first + 100))
        monkeypatch.setattr(ports._chance, "sample", lambda ports, count: [first] * count)
        with pytest.raises(NotRun, match=rf"^No port from {first} to {first + 99} on {HOST} is free: stop programs"):
            ports.free_port()
