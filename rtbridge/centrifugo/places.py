"""Where Centrifugo 6's configuration keeps the proxy of an event, and what switches it on.

Source: centrifugal.dev, "Proxy events to the backend" and "Configuration".
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Path = tuple[str, ...]


class Place(NamedTuple):
    """One event's proxy.

    Attributes:
        kind: The event.
        proxy: Path of the default proxy object.
        scope: Whose options hold the switch: the proxy itself, channel namespaces, or rpc namespaces.
        switch: Path of the switch in those options.
        name: Path of the key that names another proxy than the default one.
        meta: Whether the event can carry the connection's meta.

    """

    kind: str
    proxy: Path
    scope: Literal["client", "channel", "rpc"]
    switch: Path
    name: Path = ()
    meta: bool = True

    @property
    def label(self) -> str:
        """The proxy object's key path."""
        return ".".join(self.proxy)

    @property
    def stream(self) -> bool:
        """Whether the event is a subscription stream."""
        return self.kind in STREAMS


def _channel(kind: str, *, meta: bool = True, switch: Path = (), name: Path = (), proxy: str = "") -> Place:
    return Place(
        kind,
        ("channel", "proxy", proxy or kind),
        "channel",
        switch or (f"{kind}_proxy_enabled",),
        name or (f"{kind}_proxy_name",),
        meta,
    )


#: The two kinds of stream share a proxy and a switch; ``BIDIRECTIONAL`` tells them apart.
STREAMS: Final = ("subscribe_unidirectional", "subscribe_bidirectional")
BIDIRECTIONAL: Final = "subscribe_stream_proxy_bidirectional"

PLACES: Final = (
    Place("connect", ("client", "proxy", "connect"), "client", ("enabled",), meta=False),
    Place("refresh", ("client", "proxy", "refresh"), "client", ("enabled",)),
    _channel("subscribe"),
    _channel("publish"),
    _channel("sub_refresh"),
    *(
        _channel(
            kind,
            proxy="subscribe_stream",
            switch=("subscribe_stream_proxy_enabled",),
            name=("subscribe_stream_proxy_name",),
        )
        for kind in STREAMS
    ),
    _channel("map_publish", switch=("map", "publish_proxy_enabled"), name=("map", "publish_proxy_name")),
    _channel("map_remove", switch=("map", "remove_proxy_enabled"), name=("map", "remove_proxy_name")),
    _channel("shared_poll_refresh", meta=False, switch=("subscription_type",), name=("shared_poll", "proxy_name")),
    Place("rpc", ("rpc", "proxy"), "rpc", ("proxy_enabled",), ("proxy_name",)),
)

#: Events that the open-source Centrifugo never sends.
PRO: Final = ("cache_empty", "channel_state")

#: Channel events that one namespace can have together.
ORDINARY: Final = ("subscribe", "publish", "sub_refresh")


def look(tree: Mapping[str, Any], path: Path) -> Any:
    """What stands at a path; None where nothing does."""
    found: Any = tree
    for key in path:
        found = table(found).get(key)
    return found


def table(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def items(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def put(tree: dict[str, Any], path: Path, value: object) -> None:
    """Write a value at a path, with the mappings on the way."""
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def switched_on(place: Place, options: Mapping[str, Any]) -> bool:
    """Whether these options have Centrifugo call the place's event; the two streams are told apart."""
    found = look(options, place.switch)
    if place.kind == "shared_poll_refresh":
        return bool(found == "shared_poll")
    if not _true(found):
        return False
    return not place.stream or _true(options.get(BIDIRECTIONAL)) == (place.kind == STREAMS[1])


def _true(value: object) -> bool:
    # Centrifugo reads texts as booleans, too (a value that came through a template, for one).
    return value is True or (isinstance(value, str) and value.lower() in ("1", "t", "true"))
