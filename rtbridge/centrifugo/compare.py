"""What differs between the hooks that exist and a configuration that Centrifugo runs with."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rtbridge.centrifugo.places import PLACES, Place, items, look, switched_on, table
from rtbridge.centrifugo.reach import NAME, Reach, reach_of
from rtbridge.config.values import parse_duration
from rtbridge.hooks import Chain


class Ours(NamedTuple):
    """What rtbridge is configured to be.

    Attributes:
        grpc: Whether it listens for gRPC.
        http: Whether it listens for HTTP.
        tls: Whether it serves TLS.
        secret_key: Header or metadata key of the shared secret; None for no secret.
        secret_values: The values that it accepts; never repeated in a text.
        streams: Whether streams are to be called, too; over HTTP they cannot be.
        hook_timeout: Seconds that hooks may take; None for no bound of its own.

    """

    grpc: bool = True
    http: bool = True
    tls: bool = False
    secret_key: str | None = None
    secret_values: tuple[str, ...] = ()
    streams: bool = True
    hook_timeout: float | None = None


class Space(NamedTuple):
    """Options that can switch an event on, and what they belong to."""

    label: str
    namespace: str
    options: Mapping[str, Any]


def compare(theirs: Mapping[str, Any], chains: Mapping[str, Chain], denied: Mapping[str, str], ours: Ours) -> list[str]:
    """One line for each difference; none when the two fit.

    Args:
        theirs: Centrifugo's configuration. What its environment sets is not in it.
        chains: The compiled hooks, by kind.
        denied: How an unanswered event is denied, by kind, in words.
        ours: What rtbridge is configured to be.

    """
    found = switches(theirs, chains, denied, streams=ours.streams)
    proxies: dict[str, tuple[Mapping[str, Any], list[Place]]] = {}
    for place in PLACES:
        for space in () if chains[place.kind].empty else _on(theirs, place):
            label, proxy = _proxy(theirs, place, space.options)
            if proxy is None:
                found.append(f"{label} is not defined, and {_switch(place, space)}")
            else:
                proxies.setdefault(label, (proxy, []))[1].append(place)
    for label, (proxy, places) in proxies.items():
        distinct = list(dict.fromkeys(places))
        found += _endpoint(label, proxy, distinct, ours)
        found += _rest(label, proxy, distinct, chains, ours)
    return list(dict.fromkeys(found))


def switches(
    theirs: Mapping[str, Any], chains: Mapping[str, Chain], denied: Mapping[str, str], *, streams: bool = True
) -> list[str]:
    """One line for each hook that is not called, and for each event that is asked for and nobody answers.

    Args:
        theirs: Centrifugo's configuration.
        chains: The compiled hooks, by kind; of those that are not in it nothing is said.
        denied: How an unanswered event is denied, by kind, in words.
        streams: Whether a stream that is switched on nowhere is worth a line.

    """
    found: list[str] = []
    for place in PLACES:
        if place.kind not in chains:
            continue
        on = _on(theirs, place)
        if chains[place.kind].empty:
            found += [f"{_switch(place, s)} and no hook answers {place.kind}: {denied[place.kind]}" for s in on]
        elif on or streams or not place.stream:
            found += _calls(place, reach_of(chains[place.kind]), list(_spaces(theirs, place)), on)
    return found


def unread_meta(theirs: Mapping[str, Any], chains: Mapping[str, Chain]) -> list[str]:
    """One line for each default proxy that is called, has no meta, and has a hook that takes it."""
    return [
        line
        for place in PLACES
        if place.kind in chains and not chains[place.kind].empty and _on(theirs, place)
        for line in _meta(place.label, table(look(theirs, place.proxy)), place, chains)
    ]


def _on(theirs: Mapping[str, Any], place: Place) -> list[Space]:
    return [space for space in _spaces(theirs, place) if switched_on(place, space.options)]


def _spaces(theirs: Mapping[str, Any], place: Place) -> Iterable[Space]:
    if place.scope == "client":
        yield Space(place.label, "", table(look(theirs, place.proxy)))
        return
    yield Space(f"{place.scope}.without_namespace", "", table(look(theirs, (place.scope, "without_namespace"))))
    for options in map(table, items(look(theirs, (place.scope, "namespaces")))):
        name = str(options.get("name", ""))
        yield Space(f"{place.scope}.namespaces[{name}]", name, options)


def _switch(place: Place, space: Space) -> str:
    if place.kind == "shared_poll_refresh":
        return f"{space.label}.subscription_type is shared_poll"
    kind = f" ({place.kind})" if place.stream else ""
    return f"{space.label}.{'.'.join(place.switch)} is on{kind}"


def _calls(place: Place, reach: Reach, spaces: list[Space], on: list[Space]) -> Iterable[str]:
    switch, hook = ".".join(place.switch), f"on_{place.kind}"
    if place.scope == "client":
        if not on:
            yield f"{hook} is never called: {place.label}.{switch} is off"
        return
    for space in on:
        if not (reach.covers(space.namespace) if space.namespace else reach.without):
            where = f"namespace {space.namespace}" if space.namespace else "without a namespace"
            yield f"{_switch(place, space)} and no pattern of {hook} matches there ({where})"
    defined = {space.namespace: space for space in spaces}
    for name in reach.literal:
        if not NAME.fullmatch(name):
            continue
        if name not in defined:
            code = "error 102" if place.scope == "channel" else "error 104"
            yield f"{hook} listens in namespace {name}, which {place.scope}.namespaces does not define: {code}"
        elif defined[name] not in on:
            yield f"{hook} listens in namespace {name} and is never called there: {switch} is off"
    if not on and not reach.literal:
        yield f"{hook} is never called: {switch} is on in no namespace of {place.scope}"
    elif reach.without and not reach.everywhere and defined[""] not in on:
        yield f"{hook} is never called without a namespace: {place.scope}.without_namespace.{switch} is off"


def _proxy(theirs: Mapping[str, Any], place: Place, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    name = look(options, place.name) if place.name else None
    if name in (None, "", "default"):
        return place.label, table(look(theirs, place.proxy)) or None
    for proxy in map(table, items(theirs.get("proxies"))):
        if proxy.get("name") == name:
            return f"proxies[{name}]", proxy
    return f"proxies[{name}]", None


def _endpoint(label: str, proxy: Mapping[str, Any], places: list[Place], ours: Ours) -> Iterable[str]:
    endpoint = proxy.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint:
        yield f"{label}.endpoint is missing: Centrifugo does not start"
        return
    url = urlsplit(endpoint)
    if url.scheme in ("http", "https"):
        if not ours.http:
            yield f"{label}.endpoint is HTTP and rtbridge.http_proxy is not configured"
        if ours.http and ours.tls != (url.scheme == "https"):
            yield f"{label}.endpoint is {url.scheme}:// and rtbridge {'serves TLS' if ours.tls else 'serves no TLS'}"
        last = url.path.rstrip("/").rpartition("/")[2]
        for place in places:
            if place.stream:
                yield f"{label}.endpoint is HTTP and {place.kind} travels over gRPC only: Centrifugo does not start"
            elif last != place.kind:
                yield f"{label}.endpoint ends in /{last}, and rtbridge takes {place.kind} at /{place.kind}"
        return
    if not ours.grpc:
        yield f"{label}.endpoint is gRPC and centrifuge.proxy_address is not configured"
    elif ours.tls != bool(look(proxy, ("grpc", "tls", "enabled"))):
        state = "off and rtbridge serves TLS" if ours.tls else "on and rtbridge serves no TLS"
        yield f"{label}.grpc.tls.enabled is {state}"


def _rest(
    label: str, proxy: Mapping[str, Any], places: list[Place], chains: Mapping[str, Chain], ours: Ours
) -> Iterable[str]:
    wire = "http" if str(proxy.get("endpoint", "")).startswith(("http://", "https://")) else "grpc"
    if ours.secret_key is not None:
        yield from _secret(label, proxy, wire, ours.secret_key, ours.secret_values)
    timeout = proxy.get("timeout", "1s")
    seconds = _seconds(timeout)
    if seconds is None or seconds <= 0:
        yield f"{label}.timeout is {timeout!r}, which is no positive duration: Centrifugo does not start"
    elif ours.hook_timeout is not None and seconds <= ours.hook_timeout:
        yield (
            f"{label}.timeout is {timeout} and hooks may take {ours.hook_timeout:g}s (rtbridge.limits.hook_timeout): "
            "Centrifugo gives up first"
        )
    for place in places:
        yield from _meta(label, proxy, place, chains)


def _meta(label: str, proxy: Mapping[str, Any], place: Place, chains: Mapping[str, Chain]) -> Iterable[str]:
    routes = chains[place.kind].routes
    readers = [] if routes is None else [e.name for e in routes.listeners if "meta" in dict(e.arguments)]
    if readers and proxy.get("include_connection_meta") is not True:
        yield f"{label}.include_connection_meta is off and {readers[0]} takes meta"


def _secret(label: str, proxy: Mapping[str, Any], wire: str, key: str, values: tuple[str, ...]) -> Iterable[str]:
    field = "static_headers" if wire == "http" else "static_metadata"
    given = _pairs(look(proxy, (wire, field)))
    if wire == "grpc" and look(proxy, ("grpc", "credentials_key")):
        given[str(look(proxy, ("grpc", "credentials_key"))).lower()] = look(proxy, ("grpc", "credentials_value"))
    if key not in given:
        yield f"{label}: rtbridge refuses its calls, there is no {key} in {wire}.{field}"
    else:
        value = given[key]
        # An empty one, and one that is made from a variable, is known to Centrifugo's environment only.
        if value and "${" not in str(value) and str(value) not in values:
            yield f"{label}: rtbridge refuses its calls, {key} has a value that rtbridge.secret.values does not hold"
    for name in ("http_headers", "emulated_headers"):
        if key in [str(each).lower() for each in items(proxy.get(name))]:
            yield f"{label}.{name} lets clients send {key} themselves: remove it"


def _pairs(given: Any) -> dict[str, Any]:
    listed = {str(each.get("key", "")).lower(): each.get("value") for each in map(table, items(given))}
    return listed | {str(name).lower(): value for name, value in table(given).items()}


def _seconds(duration: object) -> float | None:
    try:
        return parse_duration(str(duration))
    except ValueError:
        return None
