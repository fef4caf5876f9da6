"""The embedded server's section as a configuration of Centrifugo, and what its switches mean for the hooks."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rtbridge.centrifugo.build import Built, Target, target_notes, wire_of
from rtbridge.centrifugo.compare import switches, unread_meta
from rtbridge.centrifugo.places import PLACES, PRO, Place, items, look, put, switched_on, table
from rtbridge.config.centrifugo import SECTION
from rtbridge.config.embedded import Embedded
from rtbridge.config.embedded_kinds import INTERVAL, Pem, format_interval
from rtbridge.config.fields import Section, secret_fields
from rtbridge.config.kinds import DURATION
from rtbridge.config.shape import Shape, shape_of
from rtbridge.errors import ConfigError
from rtbridge.hooks import Chain

#: Events that only a real Centrifugo sends; its keys for them are not the embedded server's.
FOREIGN: Final = ("map_publish", "map_remove", "shared_poll_refresh", *PRO)


def called(embedded: Embedded) -> list[Place]:
    """The events whose switch is on somewhere."""
    tree, _ = tree_of(embedded)
    return [place for place in PLACES if any(switched_on(place, each) for each in _options(tree, place))]


def whole(embedded: Embedded, target: Target | None, *, timeout: str | None = None) -> Built:
    """The configuration with which a real Centrifugo does what the embedded server does.

    What has its default is left out. So are secrets: Centrifugo takes each of them from a variable of its own.

    Args:
        embedded: The section.
        target: How Centrifugo reaches rtbridge; None where no event is switched on.
        timeout: How long Centrifugo waits, as a duration of its own; what the section says by default.

    Raises:
        ConfigError: An event is switched on that cannot travel the way that Centrifugo is to take.

    """
    config, notes = tree_of(embedded)
    for place in called(embedded):
        assert target is not None
        wire = wire_of(place, target)
        if wire["endpoint"] is None:
            raise ConfigError(
                f"{place.label}: streams travel over gRPC only; set centrifuge.proxy_address, which has to listen"
            )
        own = table(look(config, place.proxy))
        head = {key: own.pop(key) for key in ("enabled",) if key in own} | {"endpoint": wire.pop("endpoint")}
        proxy = {**head, **own, **wire}
        if timeout is not None:
            proxy["timeout"] = timeout
        for key in ("http_headers", "emulated_headers"):
            # A forwarded header beats a static one in Centrifugo: a client could send the secret's itself.
            if kept := [name for name in items(proxy.get(key)) if str(name).lower() != target.secret_key]:
                proxy[key] = kept
            elif proxy.pop(key, None) is not None:
                notes.append(f"{place.label}.{key}: {target.secret_key} carries the secret, so it is left out")
        put(config, place.proxy, proxy)
    return Built(config, [*notes, *(target_notes(target) if target is not None else [])])


def tree_of(embedded: Embedded) -> tuple[dict[str, Any], list[str]]:
    """The section in Centrifugo's own format, without defaults, and what its reader should know."""
    notes: list[str] = []
    config = _section(embedded, "", notes)
    if config.pop("trusted_subnets", None) is not None:
        notes.append(
            "Centrifugo has no trusted_subnets: where http_headers names X-Forwarded-For, hooks get it as it came"
        )
    if embedded.http_server.port == 0:
        notes.append("http_server.port is 0, which is 8000 to Centrifugo")
    return config, notes


def warnings(
    embedded: Embedded, chains: Mapping[str, Chain], denied: Mapping[str, str], *, alone: bool = True
) -> list[str]:
    """What does not fit: hooks that are never called, events that nobody answers, doors that stand open.

    Args:
        embedded: The section.
        chains: The compiled hooks, by kind.
        denied: How an unanswered event is denied, by kind, in words.
        alone: Whether no Centrifugo calls these hooks, too.

    """
    tree, _ = tree_of(embedded)
    own = {kind: chain for kind, chain in chains.items() if kind not in FOREIGN}
    found = [*switches(tree, own, denied), *unread_meta(tree, own)]
    if alone:
        lost = [kind for kind in FOREIGN if not chains[kind].empty]
        found += [f"on_{kind} is never called: only a real Centrifugo sends it" for kind in lost]
    if not _is_loopback(embedded.http_server.address):
        if embedded.client.insecure:
            found.append("client.insecure is on, beyond this machine: whoever reaches it may do everything")
        if embedded.http_api.insecure and not embedded.http_api.disabled:
            found.append("http_api.insecure is on, beyond this machine: whoever reaches it has the server API")
    return [f"{SECTION}: {line}" for line in found]


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _options(tree: Mapping[str, Any], place: Place) -> list[dict[str, Any]]:
    if place.scope == "client":
        return [table(look(tree, place.proxy))]
    spaces = map(table, items(look(tree, (place.scope, "namespaces"))))
    return [table(look(tree, (place.scope, "without_namespace"))), *spaces]


def _section(section: Section, path: str, notes: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    info = msgspec.inspect.type_info(type(section))
    assert isinstance(info, msgspec.inspect.StructType)
    for each in info.fields:
        value, name = getattr(section, each.name), f"{path}{each.name}"
        if value == each.default:
            continue
        if each.name in secret_fields(type(section)) and not (isinstance(value, Pem) and value.file is not None):
            variable = f"CENTRIFUGO_{name.upper().replace('.', '_')}"
            notes.append(f"start Centrifugo with {variable} set to the value of {SECTION}.{name}")
            continue
        written = _value(value, shape_of(each.type), name, notes)
        if written != {}:
            result[each.name] = written
    # In Centrifugo's own examples a namespace starts with its name.
    return {"name": result.pop("name"), **result} if "name" in result else result


def _value(value: Any, shape: Shape, path: str, notes: list[str]) -> Any:
    match value:
        case Section():
            return _section(value, f"{path}.", notes)
        case tuple():
            return [_value(each, shape, f"{path}.*", notes) for each in value]
        case Pem() if value.file is not None:
            notes.append(f"{path} names a file; it has to be on the machine of Centrifugo")
            return str(value.file)
        case float() if shape.kind in (DURATION, INTERVAL):
            return format_interval(value)
        case _:
            return value
