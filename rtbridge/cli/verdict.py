"""What Centrifugo makes of a reply, in one sentence.

Source: centrifugal.dev, "Proxy events to the backend" and "Client protocol", codes of disconnects and errors; checked
against recordings of a Centrifugo 6.9.1.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

ANSWERED: Final = 0
DENIED: Final = 1
UNREACHED: Final = 2

#: An error that SDKs answer by fetching a new token and trying again.
_TOKEN_EXPIRED: Final = 109


class Verdict(NamedTuple):
    """A sentence, and the exit code that goes with it."""

    text: str
    code: int


def verdict(kind: str, reply: Mapping[str, Any], asked: Mapping[str, Any], now: float) -> Verdict:
    """What Centrifugo makes of a reply.

    Args:
        kind: The event.
        reply: The reply with the keys ``result``, ``error`` and ``disconnect``.
        asked: The request: its channel and method are named in the sentence.
        now: Seconds since the epoch, to tell an expiry that has passed.

    """
    if kind in ("refresh", "sub_refresh"):
        return _refresh(kind, reply, now)
    disconnect: Any = reply.get("disconnect")
    if disconnect is not None:
        return _disconnect(disconnect)
    error: Any = reply.get("error")
    if error is not None:
        return _error(kind, error)
    return _RESULT[kind](reply.get("result"), asked, now)


def failed(kind: str) -> Verdict:
    """What Centrifugo makes of a call that failed or took too long."""
    if kind == "refresh":
        return Verdict("Centrifugo keeps the connection for 60 seconds and asks again.", DENIED)
    if kind == "sub_refresh":
        return Verdict("Centrifugo keeps the subscription for 60 seconds and asks again.", DENIED)
    again = {"connect": "connect again", "subscribe": "subscribe again"}.get(kind, "may try again")
    return Verdict(f"The client gets error 100 (internal server error), temporary: SDKs {again}.", DENIED)


def _disconnect(disconnect: Mapping[str, Any]) -> Verdict:
    code, reason = disconnect.get("code", 0), disconnect.get("reason", "")
    why = f" ({reason})" if reason else ""
    if 3500 <= code < 4000 or 4500 <= code < 5000:
        then = "SDKs do not reconnect"
    elif 3000 <= code < 5000:
        then = "SDKs reconnect"
    else:
        then = "no close frame carries that code, so SDKs see 1006 and reconnect"
    return Verdict(f"The client's connection is closed with {code}{why}; {then}.", DENIED)


def _error(kind: str, error: Mapping[str, Any]) -> Verdict:
    code, message = error.get("code", 0), error.get("message", "")
    text = f"The client gets error {code}" + (f" ({message})" if message else "")
    if code == _TOKEN_EXPIRED and kind in ("connect", "subscribe"):
        return Verdict(f"{text}: SDKs fetch a new token and {kind} again.", DENIED)
    if error.get("temporary"):
        again = {"connect": "connect again", "subscribe": "subscribe again"}.get(kind, "may try again")
        return Verdict(f"{text}, temporary: SDKs {again}.", DENIED)
    ends = {"connect": ": SDKs end disconnected", "subscribe": ": SDKs end unsubscribed"}
    return Verdict(f"{text}{ends.get(kind, '; its connection stays')}.", DENIED)


def _connect(result: Any, asked: Mapping[str, Any], now: float) -> Verdict:
    if result is None:
        return Verdict("The client's connection is closed with 3501 (bad request); SDKs do not reconnect.", DENIED)
    user, expire_at = result.get("user", ""), result.get("expire_at", 0)
    if expire_at and expire_at <= now:
        text = "The client gets error 110 (expired), since expire_at has passed: SDKs end disconnected."
        return Verdict(text, DENIED)
    text = f"The client is let in as user {user!r}" if user else "The client is let in anonymously"
    channels = sorted({*result.get("channels", ()), *result.get("subs", {})})
    if channels:
        text += f", subscribed to {', '.join(channels)}"
    if expire_at:
        text += f"; Centrifugo asks again at {_time(expire_at)} where its refresh proxy is on"
    return Verdict(f"{text}.", ANSWERED)


def _subscribe(result: Any, asked: Mapping[str, Any], now: float) -> Verdict:
    expire_at = (result or {}).get("expire_at", 0)
    if expire_at and expire_at <= now:
        return Verdict("The client gets error 110 (expired), since expire_at has passed.", DENIED)
    text = f"The client is subscribed to {asked.get('channel', '')!r}"
    if expire_at:
        text += f" until {_time(expire_at)}; after that Centrifugo asks again where its sub_refresh proxy is on"
    return Verdict(f"{text}.", ANSWERED)


def _publish(result: Any, asked: Mapping[str, Any], now: float) -> Verdict:
    own: Mapping[str, Any] = result or {}
    what = "the hook's data" if "data" in own or "b64data" in own else "the client's data"
    history = ", past the history" if own.get("skip_history") else ""
    return Verdict(f"Centrifugo publishes {what} to {asked.get('channel', '')!r}{history}.", ANSWERED)


def _rpc(result: Any, asked: Mapping[str, Any], now: float) -> Verdict:
    own: Mapping[str, Any] = result or {}
    if "b64data" in own and not _is_json(own["b64data"]):
        text = f"The client gets the bytes of {asked.get('method', '')!r}"
        return Verdict(f"{text}; one that speaks JSON is closed with 3506 (inappropriate protocol).", ANSWERED)
    what = "the result" if "data" in own or "b64data" in own else "an empty result"
    return Verdict(f"The client gets {what} of {asked.get('method', '')!r}.", ANSWERED)


def _refresh(kind: str, reply: Mapping[str, Any], now: float) -> Verdict:
    whole = kind == "refresh"
    what = "connection" if whole else "subscription"
    if whole:
        end = "the connection is closed with 3005 (connection expired); SDKs reconnect"
    else:
        end = "the client is unsubscribed with 2501 (expired); SDKs subscribe again"
    result: Any = reply.get("result")
    if result is None:
        ignored = "error" if "error" in reply else "disconnect" if "disconnect" in reply else ""
        why = f"Centrifugo ignores the {ignored} and" if ignored else "Centrifugo"
        return Verdict(f"{why} takes the {what} for expired: {end}.", DENIED)
    expire_at = result.get("expire_at", 0)
    if result.get("expired"):
        return Verdict(f"The {what} has expired: {end}.", DENIED)
    if expire_at > now:
        return Verdict(f"The {what} goes on; Centrifugo asks again after {_time(expire_at)}.", ANSWERED)
    if not whole and not expire_at:
        return Verdict("The subscription goes on and expires no more.", ANSWERED)
    return Verdict(f"Centrifugo finds no expire_at in the future and takes the {what} for expired: {end}.", DENIED)


def _is_json(encoded: Any) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds} of the epoch"


_RESULT: Final[dict[str, Callable[[Any, Mapping[str, Any], float], Verdict]]] = {
    "connect": _connect,
    "subscribe": _subscribe,
    "publish": _publish,
    "rpc": _rpc,
}
