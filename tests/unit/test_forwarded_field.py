"""``Forwarded`` is read from its end, where the nearest proxy wrote."""

from __future__ import annotations

import time

import pytest

from triggers.gateway import forwarded_field


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}]),
        ('For="[2001:db8::17]:4711"', [{"for": "[2001:db8::17]:4711"}]),
        ("for=192.0.2.43,for=198.51.100.17:80", [{"for": "192.0.2.43"}, {"for": "198.51.100.17:80"}]),
        ('for="_a" ; Proto=HTTPS ;', [{"for": "_a", "proto": "HTTPS"}]),
        ('for="a\\"b";host=""', [{"for": 'a"b', "host": ""}]),
        (", ,for=1.1.1.1,", [{"for": "1.1.1.1"}]),
        ("", []),
        ("nothing", []),
        ("for = 1.1.1.1", []),
        ("for=1.1.1.1;for=2.2.2.2", []),
        ("for=1.1.1.1, nothing", []),
        ("for=9.9.9.9, nothing, for=1.1.1.1", [{"for": "1.1.1.1"}]),
        ('for=9.9.9.9;x=", for=1.1.1.1', [{"for": "1.1.1.1"}]),
        ('for="9.9.9.9, for=1.1.1.1"', []),
    ],
)
def test_what_proxies_said_is_read_back_to_what_cannot_be(value: str, said: list[forwarded_field.Said]) -> None:
    assert forwarded_field.read(value) == said


@pytest.mark.parametrize("piece", ["\\a", "a", " ", "a=b;", "a=b,", '"', 'for="', ";", "[", "a=["])
def test_to_read_a_long_one_takes_no_time(piece: str) -> None:
    begun = time.thread_time()
    forwarded_field.read('for="' + piece * (60_000 // len(piece)))
    forwarded_field.read(piece * (60_000 // len(piece)) + '"')
    assert time.thread_time() - begun < 1.0
