"""A free port: none that the system hands to clients, none that is taken."""

import socket
import sys
from itertools import chain, repeat

import pytest

from bench.base.errors import NotRun
from bench.measure import ports
from bench.model.servers import HOST

FIRST_FOR_CLIENTS = 32_768  # what Linux hands out unless told otherwise: ip(7), ip_local_port_range


def test_a_free_port_is_none_that_an_outgoing_connection_may_take() -> None:
    assert ports.PORTS.stop <= FIRST_FOR_CLIENTS
    assert ports.free_port() in ports.PORTS


def test_a_taken_port_is_passed_over_and_without_a_free_one_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, ports.free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_order", chain([port], ports._order))
        assert ports.free_port() != port
        monkeypatch.setattr(ports, "_order", repeat(port))
        with pytest.raises(NotRun, match=rf"^No port from 20000 to 29999 on {HOST} is free: stop programs"):
            ports.free_port()


@pytest.mark.skipif(sys.platform != "linux", reason="keeps a port that is chosen: only Linux does")
def test_a_chosen_port_is_kept_for_the_server_until_many_more_are_chosen() -> None:
    port = ports.free_port()
    for _ in range(2):  # a server may start again where it was
        socket.create_server((HOST, port)).close()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))
    chosen = {ports.free_port() for _ in range(ports.MOST_KEPT)}
    assert len(chosen) == ports.MOST_KEPT
    with socket.socket() as other:
        other.bind((HOST, port))
