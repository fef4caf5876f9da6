"""What every event and every result has, written by hand; the generated classes add the fields."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

import msgspec

from rtbridge.errors import BinaryPayload, ClientError, Disconnect, MetaError, WrongAnswer
from rtbridge.events.call import Call, Headers
from rtbridge.events.values import check_expiry, decode_payload, parse_payload

T = TypeVar("T")

_SHOWN = ("client", "user", "channel", "method", "channels")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One call of Centrifugo: the request's fields and what came with them.

    Frozen: a middleware that wants another event makes one with :func:`msgspec.structs.replace`.
    """

    #: Which event it is, as in the hook's name: ``on_<kind>``.
    kind: ClassVar[str] = ""
    #: The type that answers it.
    result_type: ClassVar[type[msgspec.Struct] | None] = None

    call: Call = msgspec.field(default_factory=Call)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name in _SHOWN if (value := getattr(self, name, None))]
        return f"{type(self).__name__}({', '.join(shown)})"  # it ends up in logs: no payload, no token

    @property
    def headers(self) -> Headers:
        """Headers or metadata of the call, case-insensitive. Later events carry those of the client's connect."""
        return self.call.headers

    @property
    def via(self) -> str:
        """The transport that brought the event: ``grpcio``, ``builtin``, ``http``, ``memory``."""
        return self.call.via

    @property
    def state(self) -> dict[str, Any]:
        """Scratch space of this one call, for middleware and hooks to hand things on."""
        state = self.call.state
        if state is None:
            state = self.call.state = {}
        return state

    def time_remaining(self) -> float | None:
        """Seconds until Centrifugo gives up, never below 0; None when the call came without a deadline."""
        return self.call.time_remaining()

    def stop_propagation(self) -> None:
        """Let no later hook see the event. A pending answer stands; without one the event is denied."""
        self.call.stopped_by = self.call.stopped_by or "stop_propagation"

    def _respond(self, answer: object) -> None:
        if not isinstance(answer, (self.result_type or (), Disconnect, ClientError)):
            wanted = self.result_type.__name__ if self.result_type else "Disconnect or ClientError"
            raise WrongAnswer(f"{type(self).__name__} is answered with {wanted}, not {type(answer).__name__}")
        self.call.pending = answer

    def _data(self, raw: bytes | None) -> Any:
        cached = self.call.data
        if cached is not None and cached[0] is raw:
            return cached[1]
        value = self._decoded(raw, "data", twin=True)
        if raw is not None:
            self.call.data = raw, value
        return value

    def _decoded(self, raw: bytes | None, name: str, *, twin: bool) -> Any:
        if raw is None:
            return None
        if twin and getattr(self, "encoding", "") == "binary":
            raise BinaryPayload(
                f"{type(self).__name__}.{name}: the proxy has binary_encoding, so read the bytes in event.raw_{name}"
            )
        return decode_payload(raw, name)

    def _meta(self, raw: bytes | None) -> Any:
        if raw is None:
            return None
        cached = self.call.meta
        if cached is not None and cached[0] is raw:
            return cached[1]
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise MetaError("the connection's meta is not valid JSON") from exc
        self.call.meta = raw, value
        return value

    def _meta_as(self, raw: bytes | None, model: type[T]) -> T:
        if raw is None:
            raise MetaError(
                f"{type(self).__name__} carries no meta: set include_connection_meta for this proxy in Centrifugo, "
                "and return ConnectResult(meta=...)"
            )
        try:
            return parse_payload(raw, model, "meta")
        except ClientError as exc:  # meta is the backend's own: no fault of the client
            name = getattr(model, "__name__", model)  # a union has none
            raise MetaError(f"the connection's meta is no {name}: {exc.message}") from exc


class InvalidEvent(Event, frozen=True, kw_only=True):
    """A call that cannot be decoded, or whose kind is unknown.

    Unanswered it is refused as a failed call: gRPC INVALID_ARGUMENT or UNIMPLEMENTED, HTTP 400 or 404.

    Attributes:
        method: The gRPC method or HTTP path as it came.
        raw: The bytes as they came.
        error: What is wrong with them.

    """

    kind: ClassVar[str] = "invalid"

    method: str = ""
    raw: bytes = b""
    error: Exception | None = None

    def respond(self, answer: Disconnect | ClientError) -> None:
        """Answer in place of the refusal, where the kind of the call is known."""
        self._respond(answer)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what Centrifugo sends: an item of an event, or a later message of a stream."""

    def _decoded(self, raw: bytes | None, name: str) -> Any:
        return None if raw is None else decode_payload(raw, name)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, or a part of one. Values are checked where it is made."""

    def _refuse(self, field: str, wanted: str, value: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__}.{field} takes {wanted}, not {type(value).__name__}")

    def _check_int(self, field: str, value: int, low: int, high: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse(field, "an integer", value)
        if not low <= value <= high:
            raise ValueError(f"{type(self).__name__}.{field} is {value}; allowed: {low} to {high}")

    def _check_items(self, field: str, value: Any, item: type) -> None:
        if isinstance(value, str | bytes) or not isinstance(value, list | tuple):
            self._refuse(field, f"a list of {item.__name__}", value)
        items: Sequence[object] = value
        for each in items:
            if not isinstance(each, item):
                self._refuse(field, f"a list of {item.__name__}, each one", each)

    def _check_map(self, field: str, value: Any, item: type) -> None:
        if not isinstance(value, Mapping):
            self._refuse(field, f"a mapping of str to {item.__name__}", value)
        pairs: Mapping[object, object] = value
        for key, each in pairs.items():
            if not isinstance(key, str) or not isinstance(each, item):
                wrong = each if isinstance(key, str) else key
                self._refuse(field, f"a mapping of str to {item.__name__}, each one", wrong)

    def _check_expiry(self, field: str, value: object) -> None:
        if wrong := check_expiry(value):
            raise ValueError(f"{type(self).__name__}.{field} {wrong}")

    def _check_one_of(self, expired: object, expire_at: object) -> None:
        if (expired is True) == (expire_at is not None):
            raise ValueError(f"{type(self).__name__} takes exactly one of expire_at and expired=True")
