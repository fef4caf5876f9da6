"""Allowed origins: the globs of Centrifugo, against what browsers send."""

import logging

import pytest

from rtbridge import SetupError
from rtbridge.embedded.fronts.origins import Origins


@pytest.mark.parametrize(
    ("patterns", "origin", "admitted"),
    [
        ([], "", True),
        ([], "https://a.example", False),
        (["*"], "https://a.example", True),
        (["https://a.example"], "https://a.example", True),
        (["https://a.example"], "https://a.example:8443", False),
        (["https://a.example"], "https://xa.example", False),
        (["https://axexample"], "https://a.example", False),
        (["*.example.com"], "https://two.Example.com", True),
        (["*.example.com"], "https://two.\u0435xample.com", False),
        (["*.example.com", "foo.com"], "https://example.com", False),
        (["https://**.example"], "https://a.b.example", True),
        (["https://***.example"], "https://a.b.example", True),
        (["https://?.example"], "https://a.example", True),
        (["https://?.example"], "https://ab.example", False),
        (["http://localhost:808[0-3]"], "http://localhost:8082", True),
        (["http://localhost:808[0-3]"], "http://localhost:8084", False),
        (["http://localhost:808[!0-3]"], "http://localhost:8084", True),
        (["http://localhost:808[^15]"], "http://localhost:8085", True),
        (["http://localhost:808[!15]"], "http://localhost:8085", False),
        (["http{,s}://a.example"], "https://a.example", True),
        (["https://{a,b{c,d}}.example"], "https://bd.example", True),
        (["https://{a,b}.example"], "https://c.example", False),
        (["https://a,b}.example"], "https://a,b}.example", True),
        (["https://\\*.example"], "https://*.example", True),
        (["https://\\*.example"], "https://a.example", False),
        (["file://*"], "file://", True),
        (["null"], "null", True),
        (["HTTPS://A.example"], "https://a.example", False),
        (["https://*"], "https://" + "a" * 600, False),
    ],
)
def test_origins(patterns: list[str], origin: str, admitted: bool) -> None:
    """No origin passes; others have to match one glob as a whole, in lower case."""
    assert Origins(patterns).admits(origin) is admitted


@pytest.mark.parametrize("pattern", ["[", "[]", "[!]", "a[b", "{a", "{a,{b}", "[z-a]"])
def test_what_is_no_glob(pattern: str) -> None:
    """A broken pattern is the operator's error, with the pattern named."""
    with pytest.raises(SetupError, match=r"client\.allowed_origins"):
        Origins([pattern])


def test_a_refusal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The line has the origin and what would have been admitted."""
    caplog.set_level(logging.INFO)
    assert not Origins(["https://a.example"]).admits("https://b.example")
    assert "'https://b.example': client.allowed_origins has https://a.example" in caplog.text


def test_many_stars_take_no_time() -> None:
    """An origin made to match slowly is still judged at once."""
    assert not Origins(["*a*b*.example"]).admits("ab" * 250)
