"""The errors: what each takes, what it refuses, and the tree as it is drawn."""

import copy
import pickle
import re
from typing import Any

import pytest

import rtbridge.errors
from rtbridge.errors import (
    DISCONNECT_CODES,
    ERROR_CODES,
    MAX_REASON_BYTES,
    BadRequest,
    ClientError,
    Disconnect,
    RtbridgeError,
    SetupError,
)

#: Centrifugo's documentation, client protocol codes: error → (code, message, temporary).
ERRORS = """\
100 internal server error temporary
101 unauthorized
102 unknown channel
103 permission denied
104 method not found
105 already subscribed
106 limit exceeded
107 bad request
108 not available
109 token expired
110 expired
111 too many requests temporary
112 unrecoverable position
113 concurrent pagination temporary
"""


def test_centrifugos_errors() -> None:
    """All fourteen, with its own texts."""
    found = [f"{code} {text}{' temporary' * again}" for code, text, again in ERROR_CODES.values()]
    assert found == ERRORS.splitlines()


@pytest.mark.parametrize("name", ERROR_CODES)
def test_an_error_by_name(name: str) -> None:
    """The name gives code, message and whether to try again; so does the code."""
    code, message, temporary = ERROR_CODES[name]
    for error in (ClientError(name), ClientError(code)):
        assert (error.code, error.message, error.temporary) == (code, message, temporary)
        assert str(error) == f"error {code} ({message})"
    mine = ClientError(name, "mine", temporary=not temporary)
    assert (mine.code, mine.message, mine.temporary) == (code, "mine", not temporary)
    assert ClientError(name, "").message == ""


@pytest.mark.parametrize("code", [400, 1999])
def test_an_error_of_the_application(code: int) -> None:
    """400-1999, permanent unless it says otherwise."""
    error = ClientError(code, "no")
    assert (error.code, error.message, error.temporary) == (code, "no", False)
    assert ClientError(code, temporary=True).temporary is True
    assert str(ClientError(code)) == f"error {code}"


@pytest.mark.parametrize("code", [-1, 0, 1, 99, 114, 399, 2000, 3000, 4000, 2**32])
def test_an_error_outside_the_ranges(code: int) -> None:
    """Centrifugo would forward it, and SDKs would not know what it is."""
    with pytest.raises(ValueError, match=rf"^error code {code}: use 400-1999, or one of Centrifugo's own 100-113$"):
        ClientError(code, "no")


@pytest.mark.parametrize("name", DISCONNECT_CODES)
def test_a_disconnect_by_name(name: str) -> None:
    """The name gives code and reason; so does the code."""
    code, reason = DISCONNECT_CODES[name]
    for disconnect in (Disconnect(name), Disconnect(code)):
        assert (disconnect.code, disconnect.reason) == (code, reason)
        assert str(disconnect) == f"disconnect {code} ({reason})"
    assert Disconnect(name, "mine").reason == "mine"
    assert Disconnect(name, "").reason == ""
    assert 3001 <= code <= 3999


@pytest.mark.parametrize("code", [4000, 4499, 4500, 4999])
def test_a_disconnect_of_the_application(code: int) -> None:
    """4000-4999, with no reason by default."""
    assert (Disconnect(code).code, Disconnect(code).reason) == (code, "")
    assert str(Disconnect(code)) == f"disconnect {code}"


@pytest.mark.parametrize("code", [-1, 0, 100, 1000, 3000, 3002, 3510, 3999, 5000, 2**32])
def test_a_disconnect_outside_the_ranges(code: int) -> None:
    """It would reach the browser as 1006, which SDKs answer by reconnecting."""
    text = rf"^disconnect code {code}: use 4000-4499 \(SDKs reconnect\) or 4500-4999 \(they stop\)$"
    with pytest.raises(ValueError, match=text):
        Disconnect(code, "no")


@pytest.mark.parametrize(("make", "kind"), [(ClientError, "an error"), (Disconnect, "a disconnect")])
@pytest.mark.parametrize("code", [True, 4000.0, 400.0, None, b"EXPIRED"])
def test_a_code_is_an_integer_or_a_name(make: Any, kind: str, code: object) -> None:
    """Anything else is a mistake in the hook."""
    text = f"^{kind} code is an integer or a name, not {type(code).__name__}$"
    with pytest.raises(ValueError, match=text):
        make(code, "no")


def test_an_unknown_name_lists_the_names() -> None:
    """Upper case, as they are written in the documentation."""
    with pytest.raises(ValueError, match=r"^no error code is called 'expired'; names: INTERNAL, UNAUTHORIZED, .*"):
        ClientError("expired")
    with pytest.raises(ValueError, match=r"^no disconnect code is called 'TOKEN_EXPIRED'; names: SHUTDOWN, .*"):
        Disconnect("TOKEN_EXPIRED")


def test_a_reason_is_counted_in_bytes() -> None:
    """A close frame has room for 123 bytes of UTF-8 (RFC 6455, section 5.5)."""
    assert MAX_REASON_BYTES == 123
    assert Disconnect(4000, "a" * 123).reason == "a" * 123
    assert len(Disconnect(4000, "é" * 61).reason) == 61
    for reason, size in (("a" * 124, 124), ("é" * 62, 124), ("😀" * 31, 124)):
        with pytest.raises(
            ValueError, match=rf"^reason is {size} bytes of UTF-8; a WebSocket close frame carries 123$"
        ):
            Disconnect(4000, reason)
    assert len(ClientError(400, "a" * 1000).message) == 1000


@pytest.mark.parametrize(
    ("make", "what"), [(lambda t: ClientError(400, t), "message"), (lambda t: Disconnect(4000, t), "reason")]
)
def test_a_text_without_utf8(make: Any, what: str) -> None:
    """A lone surrogate fails where it is made, not while the answer is written."""
    with pytest.raises(ValueError, match=rf"^{what} holds a lone surrogate, which UTF-8 cannot carry$"):
        make("bad \ud800 text")


def test_a_bad_request() -> None:
    """Error 107 with a text of its own."""
    assert BadRequest() == ClientError("BAD_REQUEST")
    error = BadRequest("data is missing")
    assert isinstance(error, ClientError)
    assert (error.code, error.message, error.temporary) == (107, "data is missing", False)


ANSWERS: list[Exception] = [
    Disconnect(4000),
    Disconnect(4500, "bye"),
    ClientError(400),
    ClientError(400, "no", temporary=True),
    ClientError("INTERNAL", temporary=False),
    BadRequest("data is missing"),
]


def test_equality() -> None:
    """Two answers are equal when a client could not tell them apart; tests compare them."""
    for i, one in enumerate(ANSWERS):
        for j, other in enumerate(ANSWERS):
            assert (one == other) is (i == j)
            assert (hash(one) == hash(other)) is (i == j)
    assert Disconnect(4000, "a") != Disconnect(4000, "b")
    assert ClientError(400) != 400
    assert Disconnect(4000) != ClientError(400)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_answers_can_be_copied(answer: Exception) -> None:
    """Between processes, too."""
    for other in (copy.copy(answer), copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert other == answer
        assert type(other) is type(answer)


def test_the_tree_is_as_drawn() -> None:
    """The docstring's drawing names every class once, below its parent."""
    lines = [
        line for line in (rtbridge.errors.__doc__ or "").splitlines() if re.search(r"[├└]──|^    RtbridgeError", line)
    ]
    drawn: dict[str, str] = {}
    trail: list[tuple[int, str]] = []
    for line in lines:
        found = re.search(r"[A-Z]\w+", line)
        assert found
        depth, name = found.start(), found[0]
        while trail and trail[-1][0] >= depth:
            trail.pop()
        assert name not in drawn
        drawn[name] = trail[-1][1] if trail else "Exception"
        trail.append((depth, name))
    real: dict[str, str] = {}
    queue: list[type[BaseException]] = [RtbridgeError]
    while queue:
        error = queue.pop()
        if error.__module__ == "rtbridge.errors":
            real[error.__name__] = error.__bases__[0].__name__
        queue += error.__subclasses__()
    assert drawn == real
    assert sorted(drawn) == sorted(rtbridge.errors.__all__)


def test_every_class_says_what_it_is_for() -> None:
    """First line of the docstring, a sentence."""
    for name in rtbridge.errors.__all__:
        text = getattr(rtbridge.errors, name).__doc__
        assert text
        assert text.strip().splitlines()[0].endswith((".", ",")), name


def test_setup_errors_end_the_command_with_2() -> None:
    """As commands do for a usage error."""
    assert SetupError.exit_code == 2
    assert {error.exit_code for error in SetupError.__subclasses__()} == {2}
