"""Ports and addresses of this machine."""

import socket

from flows.services import network


def test_a_taken_port_is_not_taken_again() -> None:
    with socket.socket() as other:
        other.bind((network.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        assert network.free_port(taken) not in (taken, 0)
    assert network.free_port(taken) == taken
