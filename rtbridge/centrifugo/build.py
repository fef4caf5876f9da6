"""The proxy part of a Centrifugo 6 configuration for the hooks that exist."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rtbridge.centrifugo.places import BIDIRECTIONAL, ORDINARY, PLACES, PRO, STREAMS, Place, put
from rtbridge.centrifugo.reach import NAME, Reach, reach_of
from rtbridge.hooks import Chain

#: The variable that Centrifugo fills into static headers and metadata; it wants this prefix, and refuses to start
#: without it being set. Source: centrifugal.dev, "Configuration", environment variables.
SECRET_VARIABLE: Final = "CENTRIFUGO_VAR_RTBRIDGE_SECRET"  # noqa: S105  # a name

#: Headers of the client's own request that hooks usually want: who it is, where it is from.
HTTP_HEADERS: Final = (
    "Authorization",
    "Cookie",
    "Origin",
    "User-Agent",
    "X-Forwarded-For",
    "X-Real-Ip",
    "X-Request-Id",
)

#: Headers that a browser cannot send with a WebSocket; SDKs send them in the connect frame. They are the client's word.
EMULATED_HEADERS: Final = ("Authorization",)

#: Names for namespaces that a hook without a pattern needs and does not name.
_SAMPLE: Final = {
    "subscribe_unidirectional": "stream",
    "subscribe_bidirectional": "bidirectional",
    "map_publish": "map",
    "map_remove": "map",
    "shared_poll_refresh": "poll",
}


class Target(NamedTuple):
    """How Centrifugo reaches rtbridge.

    Attributes:
        grpc: The gRPC endpoint; None where there is none.
        http: The HTTP endpoint, without the event's path; None where there is none.
        prefer_http: Use HTTP for every event that can travel over it.
        timeout: How long Centrifugo waits, as a duration of its own.
        secret_key: Header or metadata key of the shared secret; None for no secret.
        tls: Whether rtbridge serves TLS.
        client_cert: Whether rtbridge wants a client certificate.
        files: ``server_ca_pem``, ``cert_pem`` and ``key_pem``, as they are to stand in the configuration.

    """

    grpc: str | None
    http: str | None
    prefer_http: bool = False
    timeout: str = "1s"
    secret_key: str | None = None
    tls: bool = False
    client_cert: bool = False
    files: Mapping[str, str] = {}


class Built(NamedTuple):
    """A configuration, and what its reader should know."""

    config: dict[str, Any]
    notes: list[str]


def build(chains: Mapping[str, Chain], target: Target) -> Built:
    """The proxy part: endpoints, switches, namespaces.

    Args:
        chains: The compiled hooks, by kind.
        target: How Centrifugo reaches rtbridge.

    """
    work = _Work(chains, target)
    return Built(work.config(), work.notes)


def wire_of(place: Place, target: Target) -> dict[str, Any]:
    """The part of a proxy that says where rtbridge is and what it wants: ``endpoint``, and ``grpc`` or ``http``."""
    over_http = target.http is not None and (target.prefer_http or target.grpc is None) and not place.stream
    own: dict[str, Any] = {"endpoint": f"{target.http}/{place.kind}" if over_http else target.grpc}
    wire: dict[str, Any] = {}
    if target.tls and (not over_http or target.files):
        wire["tls"] = {"enabled": True, **target.files}
    if target.secret_key is not None:
        value = f"${{{SECRET_VARIABLE}}}"
        # Centrifugo cuts the keys of a mapping at dots; in the other form it takes them as they are.
        given = [{"key": target.secret_key, "value": value}] if "." in target.secret_key else None
        wire["static_headers" if over_http else "static_metadata"] = given or {target.secret_key: value}
    if wire:
        own["http" if over_http else "grpc"] = wire
    return own


def target_notes(target: Target) -> list[str]:
    """What has to be done on Centrifugo's side, whatever it calls."""
    notes: list[str] = []
    if target.secret_key is not None:
        notes.append(f"start Centrifugo with {SECRET_VARIABLE} set to the value of rtbridge.secret")
    if target.tls and "server_ca_pem" not in target.files:
        notes.append(
            "rtbridge serves TLS: where the machine of Centrifugo does not trust its certificate, give --cacert"
        )
    if target.client_cert and not {"cert_pem", "key_pem"} <= set(target.files):
        notes.append("rtbridge wants a client certificate (rtbridge.tls.client_ca): give --cert and --key")
    return notes


class _Work:
    def __init__(self, chains: Mapping[str, Chain], target: Target) -> None:
        self._target = target
        self.notes: list[str] = []
        self._reach: dict[str, Reach] = {}
        self._places: list[Place] = []
        for place in PLACES:
            if chains[place.kind].empty:
                continue
            if place.stream and target.grpc is None:
                self.notes.append(f"on_{place.kind} is left out: streams travel over gRPC only")
                continue
            self._places.append(place)
            self._reach[place.kind] = reach_of(chains[place.kind])
        self.notes += [f"on_{kind} is left out: only Centrifugo PRO calls it" for kind in PRO if not chains[kind].empty]

    def config(self) -> dict[str, Any]:
        """The whole of it."""
        config: dict[str, Any] = {}
        for place in self._places:
            put(config, place.proxy, self._proxy(place))
        own = {place.kind for place in self._places}
        if own & {place.kind for place in PLACES if place.scope == "channel"}:
            put(config, ("channel",), {**config["channel"], **self._channels()})
        if "rpc" in own:
            config["rpc"] |= self._methods()
        self._say_more()
        return config

    def _proxy(self, place: Place) -> dict[str, Any]:
        target = self._target
        own: dict[str, Any] = {"enabled": True} if place.scope == "client" else {}
        wire = wire_of(place, target)
        own["endpoint"] = wire.pop("endpoint")
        own["timeout"] = target.timeout
        if place.kind != "shared_poll_refresh":  # no client stands behind it
            secret = target.secret_key or ""
            own["http_headers"] = [name for name in HTTP_HEADERS if name.lower() != secret]
            own["emulated_headers"] = [name for name in EMULATED_HEADERS if name.lower() != secret]
        if place.meta:
            own["include_connection_meta"] = True
        return own | wire

    def _names(self, kinds: tuple[str, ...]) -> list[str]:
        names: dict[str, None] = {}
        for kind in kinds:
            for name in self._reach[kind].literal if kind in self._reach else ():
                if NAME.fullmatch(name):
                    names[name] = None
                else:
                    text = f"{name!r} cannot be a namespace (two or more of a-z, A-Z, 0-9, '-', '_', '.'): a pattern of"
                    self.notes.append(f"{text} on_{kind} never matches what Centrifugo sends")
        return list(names)

    def _methods(self) -> dict[str, Any]:
        reach, own = self._reach["rpc"], dict[str, Any]()
        if reach.without:
            own["without_namespace"] = {"proxy_enabled": True}
        if names := self._names(("rpc",)):
            own["namespaces"] = [{"name": name, "proxy_enabled": True} for name in names]
        return own

    def _channels(self) -> dict[str, Any]:
        kinds = tuple(place.kind for place in self._places if place.scope == "channel")
        spaces = {name: self._options(name, kinds) for name in self._names(kinds)}
        given = set(spaces)
        without = {f"{kind}_proxy_enabled": True for kind in ORDINARY if kind in kinds and self._reach[kind].without}
        for kind in kinds:
            reach = self._reach[kind]
            if kind in ORDINARY or any(NAME.fullmatch(name) for name in reach.literal):
                continue
            if reach.heads:
                name = _SAMPLE[kind]
                while name in given:
                    name += "_"
                options = spaces.setdefault(name, {})
                self._special(options, kind, f"namespace {name}")
                if kind not in STREAMS and "subscribe" in kinds and self._reach["subscribe"].covers(name):
                    options["subscribe_proxy_enabled"] = True
                self.notes.append(f"on_{kind} names no namespace, so the name {name!r} is an example: put in your own")
                continue
            taken = [key for key in without if not key.startswith("subscribe_stream")]
            if taken:
                self.notes.append(
                    f"on_{kind} is never called: channels without a namespace have {', '.join(taken)} already, which "
                    "Centrifugo does not combine with it; give its channels a namespace"
                )
            else:
                self._special(without, kind, "without_namespace")
        own: dict[str, Any] = {"without_namespace": without} if without else {}
        if spaces:
            own["namespaces"] = [{"name": name, **options} for name, options in spaces.items()]
        return own

    def _options(self, name: str, kinds: tuple[str, ...]) -> dict[str, Any]:
        named = [kind for kind in kinds if name in self._reach[kind].literal]
        special = [kind for kind in named if kind not in ORDINARY]
        ordinary = [kind for kind in named if kind in ORDINARY]
        options: dict[str, Any] = {}
        if special and special[0] in STREAMS and ordinary:
            self.notes.append(
                f"namespace {name}: Centrifugo does not combine a stream with {', '.join(ordinary)}, so "
                f"on_{special[0]} is never called there; give it a namespace of its own"
            )
            special = []
        for kind in special:
            self._special(options, kind, f"namespace {name}")
        if special and special[0] in STREAMS:
            return options
        for kind in () if options.get("subscription_type") == "map" else ("subscribe",) if special else ORDINARY:
            if kind in kinds and (kind in ordinary or self._reach[kind].covers(name)):
                options[f"{kind}_proxy_enabled"] = True
        return options

    def _special(self, options: dict[str, Any], kind: str, where: str) -> None:
        wanted = "stream" if kind in STREAMS else "shared_poll" if kind == "shared_poll_refresh" else "map"
        other = options.get("subscription_type") or (
            "stream" if "subscribe_stream_proxy_enabled" in options else wanted
        )
        if other != wanted:
            self.notes.append(f"{where}: on_{kind} is never called there, its channels are of the type {other}")
        elif wanted == "stream":
            if "subscribe_stream_proxy_enabled" in options:
                self.notes.append(f"{where}: one kind of stream only, so on_{STREAMS[0]} is never called there")
            options["subscribe_stream_proxy_enabled"] = True
            options[BIDIRECTIONAL] = kind == STREAMS[1]
        elif wanted == "shared_poll":
            options["subscription_type"] = "shared_poll"
        else:
            options["subscription_type"] = "map"
            own = options.setdefault("map", {"mode": "ephemeral", "key_ttl": "60s"})
            own[f"{kind.removeprefix('map_')}_proxy_enabled"] = True

    def _say_more(self) -> None:
        kinds = {place.kind for place in self._places}
        self.notes += target_notes(self._target)
        if "shared_poll_refresh" in kinds:
            self.notes.append("shared poll needs CENTRIFUGO_SHARED_POLL_HMAC_SECRET_KEY in Centrifugo's environment")
        for kind in sorted({"map_publish", "map_remove"} & kinds):
            self.notes.append(f"Centrifugo 6.9.1 answers {kind} with error 107 even when a hook allows it")
        if {"map_publish", "map_remove"} & kinds:
            self.notes.append(
                "Centrifugo 6.9.1 refuses map subscriptions that a subscribe proxy allowed, so that proxy is off in "
                "map namespaces: let clients in with allow_subscribe_for_client or a subscription token"
            )
        open_ones = [kind for kind, reach in self._reach.items() if reach.heads and kind in (*ORDINARY, "rpc")]
        if open_ones:
            self.notes.append(
                f"{', '.join(open_ones)}: hooks listen in every namespace; your other namespaces need the switch, too"
            )
