"""What leaves when no hook answered, when one failed, and the text that tells the operator why."""

from collections.abc import Mapping
from typing import Final

from rtbridge.clock import Clock
from rtbridge.errors import ClientError, Disconnect
from rtbridge.events import METHODS, Event, Method, Outcome
from rtbridge.hooks import Chain

#: What silence answers where the configuration says nothing.
DEFAULT_UNHANDLED: Final = Disconnect(4500, "not handled")

_NOT_AVAILABLE: Final = ClientError("NOT_AVAILABLE")
_INTERNAL: Final = ClientError("INTERNAL")


class Denials:
    """The outcome of every event that hooks left without an answer, by the kind of the event.

    Args:
        unhandled: What silence answers, by kind, with ``default`` for the rest. Kinds whose answer cannot carry it
            (``refresh``, ``sub_refresh``, ``cache_empty``) are denied in their own way.

    """

    def __init__(self, unhandled: Mapping[str, Disconnect | ClientError] | None = None) -> None:
        chosen = {"default": DEFAULT_UNHANDLED, **(unhandled or {})}
        self._silence = {kind: _silence(method, chosen) for kind, method in METHODS.items()}
        self._silence["invalid"] = Outcome(failure="invalid", denied_by_default=True)

    def silence(self, kind: str) -> Outcome:
        """The outcome when no hook answered."""
        return self._silence[kind]

    def failed(self, kind: str, why: str) -> Outcome:
        """The outcome when a hook raised what is no answer, or time ran out.

        A temporary error lets the client try again; a failed call gives a session that is to be refreshed its 60
        seconds of grace. So a bug does not throw users out for good.
        """
        method = METHODS.get(kind)
        # Centrifugo passes code and message of a stream's error on and drops `temporary`, which SDKs take for final;
        # a call that fails becomes error 100, temporary.
        if method is not None and method.silence == "disconnect" and not method.stream:
            return Outcome(error=_INTERNAL, why=why)
        return Outcome(failure="internal", why=why)


def _silence(method: Method, chosen: Mapping[str, Disconnect | ClientError]) -> Outcome:
    if method.silence == "expired":
        return Outcome(result=method.result(expired=True), denied_by_default=True)
    if method.silence == "unimplemented":
        return Outcome(failure="unimplemented", denied_by_default=True)
    own = chosen.get(method.kind)
    if method.silence == "error":
        return Outcome(error=own if isinstance(own, ClientError) else _NOT_AVAILABLE, denied_by_default=True)
    answer = own or chosen["default"]
    if isinstance(answer, Disconnect):
        return Outcome(disconnect=answer, denied_by_default=True)
    return Outcome(error=answer, denied_by_default=True)


def raised(method: Method | None, answer: Disconnect | ClientError) -> tuple[Outcome, str]:
    """The outcome of a raised answer, and what to warn of where the event cannot carry it."""
    silence = "disconnect" if method is None else method.silence
    name = f"{'disconnect' if isinstance(answer, Disconnect) else 'error'} {answer.code}"
    if silence == "expired":
        assert method is not None
        lost = f"{name} is lost: Centrifugo reads only the result of {method.kind}, so the session just ends"
        return Outcome(result=method.result(expired=True), why=str(answer)), lost
    if silence == "unimplemented":
        return Outcome(failure="internal", why=str(answer)), f"{name} is lost: this answer has no error"
    if isinstance(answer, ClientError):
        return Outcome(error=answer, why=str(answer)), ""
    if silence == "error":
        return Outcome(error=_NOT_AVAILABLE, why=str(answer)), f"{name} is lost: no client stands behind this call"
    return Outcome(disconnect=answer, why=str(answer)), ""


def explain(event: Event, chain: Chain, *, nearest: bool = True) -> str:
    """Why nobody answered, and which hook to write; ``nearest`` also looks for the pattern that was meant."""
    call = event.call
    method = METHODS.get(event.kind)
    hook = f"on_{event.kind}"
    advice = f"write @hookimpl {hook}(event)"
    if call.trail:
        return str(call.trail)
    if call.stopped_by and call.stopped_by != "stop_propagation":
        return f"{call.stopped_by} stopped propagation without an answer; call event.respond(...) in it"
    if chain.empty:
        return f"no hook implements {hook}; {advice}"
    listeners = chain.routes.match(event) if chain.routes is not None else ()
    silent = [step.name for step in (*chain.plain, *listeners)]
    if silent:
        verb = "returned None" if len(silent) == 1 else "all returned None"
        what = method.result.__name__ if method else "an answer"
        return f"{', '.join(silent)} {verb}; return {what} from one of them"
    assert chain.routes is not None
    hint = f"the nearest pattern is {chain.routes.nearest(event)!r}; " if nearest else ""
    return f"no route matches, {hint}route it with @router.{hook}(...) or {advice}"


class Throttle:
    """Lets one message of a kind through per interval and counts the rest; the number of kinds it knows is bounded.

    Args:
        clock: Measures the interval.
        interval: Seconds.
        size: How many kinds are told apart; beyond it the oldest is forgotten.

    """

    def __init__(self, clock: Clock, interval: float = 10.0, size: int = 256) -> None:
        self._clock = clock
        self._interval = interval
        self._size = size
        self._seen: dict[str, tuple[float, int]] = {}

    def admit(self, key: str) -> int | None:
        """How many messages of this kind were held back before this one; None when this one is held back, too."""
        now = self._clock.monotonic()
        known = self._seen.get(key)
        if known is not None and now - known[0] < self._interval:
            self._seen[key] = known[0], known[1] + 1
            return None
        if known is None and len(self._seen) >= self._size:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now, 0
        return known[1] if known is not None else 0
