"""Events that were made in this process, as the requests that Centrifugo would have sent."""

from collections.abc import Callable
from functools import cache
from typing import Any

from rtbridge.codec.descriptors import message_class
from rtbridge.events import METHODS, Event, ReceivedPublication

_PACKAGE = "centrifugal.centrifugo.proxy"


def request_of(event: Event) -> bytes:
    """The request in protobuf, of an event of a client; the codec reads the same event from it."""
    return bytes(_writer(event.kind)(event).SerializeToString())


def publication_of(publication: ReceivedPublication) -> bytes:
    """A later message of a bidirectional stream."""
    message = message_class(f"{_PACKAGE}.StreamSubscribeRequest")()
    message.publication.data = publication.raw_data or b""
    return bytes(message.SerializeToString())


@cache
def _writer(kind: str) -> Callable[[Event], Any]:
    method = METHODS[kind]
    # Both streams start with the request of a subscription; a bidirectional one wraps it.
    message = message_class(f"{_PACKAGE}.{'Subscribe' if method.stream else method.name}Request")
    plain, bytes_, repeated, maps = list[str](), list[tuple[str, str]](), list[str](), list[str]()
    own = set(method.event.__struct_fields__)
    for field in message.DESCRIPTOR.fields:
        if f"raw_{field.name}" in own:
            bytes_.append((field.name, f"raw_{field.name}"))
        elif field.name not in own:
            continue
        elif field.message_type is not None:
            maps.append(field.name)
        elif isinstance(getattr(message(), field.name), str | int | bool | float):
            plain.append(field.name)
        else:
            repeated.append(field.name)

    def write(event: Event) -> Any:
        request = message()
        for name in plain:
            setattr(request, name, getattr(event, name))
        for name, attribute in bytes_:
            if (value := getattr(event, attribute)) is not None:
                setattr(request, name, value)
        for name in repeated:
            getattr(request, name).extend(getattr(event, name))
        for name in maps:
            getattr(request, name).update(getattr(event, name))
        if method.stream == "both":
            return message_class(f"{_PACKAGE}.StreamSubscribeRequest")(subscribe_request=request)
        return request

    return write
