"""Connections are counted by client, and those of proxies not at all."""

import pytest

from rilievo.serving.listener.connections import Connections


def test_a_client_has_so_many_connections_and_no_more() -> None:
    connections = Connections(2)
    assert [connections.take("10.0.0.1") for _ in range(3)] == ["10.0.0.1", "10.0.0.1", None]
    assert connections.take("10.0.0.2") == "10.0.0.2"
    connections.give_back("10.0.0.1")
    assert connections.take("10.0.0.1") == "10.0.0.1"
    for client in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        connections.give_back(client)
    assert connections.total() == 0


def test_a_network_of_ipv6_is_one_client() -> None:
    connections = Connections(1)
    assert connections.take("2001:db8::1") is not None
    assert connections.take("2001:db8::2") is None
    assert connections.take("2001:db8:0:1::2") is not None
    assert connections.take("::ffff:10.0.0.1") == "10.0.0.1"
    assert connections.take("10.0.0.1") is None


@pytest.mark.parametrize("proxies", ["10.0.0.1", "10.0.0.0/8, ::1", "*", "127.0.0.1,10.0.0.1"])
def test_proxies_connect_for_many(proxies: str) -> None:
    connections = Connections(1, proxies)
    for address in ("10.0.0.1", "::ffff:10.0.0.1", ""):
        assert [connections.take(address) for _ in range(3)] == ["", "", ""]
    connections.give_back("")
    assert connections.total() == 0


def test_words_in_place_of_proxies_let_nobody_pass() -> None:
    assert Connections(0, "proxy.example.org,unix:").take("10.0.0.1") is None
