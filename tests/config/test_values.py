"""Durations, sizes and addresses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.config.values import (
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("250ms", 0.25),
        ("300s", 300.0),
        ("1.5h", 5400.0),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("7ns", 7e-9),
    ],
)
def test_durations_are_go_s(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "+1s", "1 s", "1d", "1s ", "10S", "1..5s", "1:30", "1e3s"])
def test_other_texts_are_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.001, "1ms"), (1.5, "1500ms"), (30.0, "30s"), (120.0, "2m"), (86400.0, "24h")]
)
def test_durations_are_shown_in_one_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@settings(deadline=None)
@given(st.integers(0, 10**10))
def test_a_shown_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("4MiB", 4194304),
        ("16KiB", 16384),
        ("1MB", 10**6),
        ("1.5KiB", 1536),
        ("1 GiB", 2**30),
        ("2GB", 2 * 10**9),
        ("1.50KB", 1500),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4M", "4mib", "-1", "MiB", "1.MiB", "1.0001KiB", "0.5", "4MiB "])
def test_other_texts_are_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a (size|whole number of bytes)"):
        parse_size(text)


@settings(deadline=None)
@given(st.integers(0, 2**40))
def test_a_shown_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("tcp://127.0.0.1:30000", Address(host="127.0.0.1", port=30000), "tcp://127.0.0.1:30000"),
        ("localhost:0", Address(host="localhost", port=0), "tcp://localhost:0"),
        ("my_service.internal:65535", Address(host="my_service.internal", port=65535), None),
        ("tcp://[::1]:80", Address(host="::1", port=80), "tcp://[::1]:80"),
        ("unix:///run/rt.sock", Address(path="/run/rt.sock"), "unix:///run/rt.sock"),
    ],
)
def test_addresses(text: str, address: Address, shown: str | None) -> None:
    assert parse_address(text) == address
    assert str(address) == (shown or f"tcp://{text}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no port"),
        ("localhost", "no port"),
        (":8080", "no host"),
        ("tcp://:8080", "no host"),
        ("localhost:", "the port is not"),
        ("localhost:65536", "the port is not"),
        ("localhost:٣", "the port is not"),
        ("localhost:-1", "the port is not"),
        ("::1:80", "an IPv6 host stands in brackets"),
        ("[::1:80", "an IPv6 host stands in brackets"),
        ("[::x]:80", "not an IPv6 address"),
        ("http://localhost:80", "an IPv6 host stands in brackets"),
        ("a b:80", "not a host name"),
        ("-a:80", "not a host name"),
        ("user@host:80", "not a host name"),
        ("unix://run/rt.sock", "absolute"),
        ("unix:///run/", "absolute"),
        ("unix:///run/\0", "absolute"),
    ],
)
def test_other_texts_are_no_address(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_address(text)
