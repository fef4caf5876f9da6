"""Public keys from an address (JWKS): fetched, kept for a while, looked for again when a token names a new one.

One fetch at a time, bounded in time and size, and with a pause after each, so that neither a slow endpoint nor tokens
with invented key ids make more work than that. Keys that are known go on working while the endpoint is down. Source:
RFC 7517, section 5.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

import h11
import msgspec

from rtbridge.clock import Clock
from rtbridge.embedded.keys import Jwk, Key
from rtbridge.errors import ConfigError

log = logging.getLogger("rtbridge.embedded")

#: Seconds for which keys are used without another look.
FRESH: Final = 300.0
#: Seconds after which keys that could not be fetched again are given up; Centrifugo's own bound.
KEPT: Final = 3600.0
#: Seconds without another fetch, after one that succeeded and after one that did not.
PAUSE: Final = 5.0
RETRY: Final = 1.0
#: Bounds of one fetch: seconds in all, bytes of the answer.
TIMEOUT: Final = 3.0
SIZE: Final = 1024 * 1024

Found: TypeAlias = Callable[[Key | Exception | None], None]
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], object]

_PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}")
_LITERAL: Final = r"(?:[\w-]|\\[.-])+"


class FetchFailed(Exception):
    """The keys could not be fetched; the text names neither the address's query nor what came."""


class KeySets:
    """The keys behind ``jwks_public_endpoint``: of one address, or of several that a template stands for.

    A template has groups of the patterns of issuer and audience in it: ``https://{{tenant}}.example/jwks.json`` with
    ``issuer_regex: ^https://(?P<tenant>one|two)\\.example$``. What a token says decides about the address before its
    signature is known to be good, so such a group has to list the values that it can have.

    Args:
        template: The address.
        patterns: The patterns by their keys.
        where: How the address is called in the configuration.
        clock: Says how old keys are.
        spawn: Runs a fetch beside everything else.

    Attributes:
        templated: Whether the address depends on the token.

    Raises:
        ConfigError: It is no address, or a group does not list its values.

    """

    def __init__(self, template: str, patterns: Mapping[str, str], where: str, clock: Clock, spawn: Spawn) -> None:
        self._template = template
        self._clock, self._spawn = clock, spawn
        self._values = {name: _values(name, patterns, where) for name in _PLACEHOLDER.findall(template)}
        self._sets: dict[str, KeySet] = {}
        self.templated = bool(self._values)
        _address(_PLACEHOLDER.sub("x", template), where)
        self._tls = ssl.create_default_context() if template.startswith("https:") else None

    def find(self, kid: str, names: Mapping[str, str], then: Found) -> None:
        """Pass on the key of this id, after a fetch where that is needed."""
        if not kid or any(names.get(name) not in values for name, values in self._values.items()):
            then(None)
            return
        url = _PLACEHOLDER.sub(lambda found: names[found[1]], self._template)
        found = self._sets.get(url)
        if found is None:
            found = self._sets[url] = KeySet(url, self._tls, self._clock, self._spawn)
        found.find(kid, then)


class KeySet:
    """The keys of one address.

    Args:
        url: The address.
        tls: What decides whom to trust there; None for plain HTTP.
        clock: Says how old keys are.
        spawn: Runs a fetch beside everything else.

    """

    def __init__(self, url: str, tls: ssl.SSLContext | None, clock: Clock, spawn: Spawn) -> None:
        self._url, self._tls, self._clock, self._spawn = urlsplit(url), tls, clock, spawn
        self._keys: dict[str, Key] = {}
        self._fetched = self._next = clock.monotonic()
        self._failed: FetchFailed | None = None
        self._fetching = False
        self._waiting: list[tuple[str, Found]] = []

    def find(self, kid: str, then: Found) -> None:
        """Pass on the key of this id: at once where it is known, else after a fetch."""
        now = self._clock.monotonic()
        if now - self._fetched >= KEPT:
            self._keys = {}
        key = self._keys.get(kid)
        may_fetch = not self._fetching and now >= self._next
        if key is None and (self._fetching or may_fetch):
            self._waiting.append((kid, then))
        if may_fetch and (key is None or now - self._fetched >= FRESH):
            self._fetching = True
            self._spawn(self._fetch())
        if key is not None:
            then(key)
        elif not self._fetching:
            then(self._failed)

    async def _fetch(self) -> None:
        failed: FetchFailed | None = FetchFailed("the fetch of the keys was cancelled")
        try:
            self._keys = read_keys(await get(self._url, self._tls))
            failed = None
            self._fetched = self._clock.monotonic()
        except FetchFailed as exc:
            failed = exc
            log.warning("keys of %s: %s", self._url.netloc + self._url.path, exc)
        finally:
            self._failed, self._fetching = failed, False
            self._next = self._clock.monotonic() + (RETRY if failed is not None else PAUSE)
            waiting, self._waiting = self._waiting, []
            for kid, then in waiting:
                try:
                    then(self._keys.get(kid, failed))
                except Exception:
                    log.exception("a token that waited for its key could not be dealt with")


def read_keys(data: bytes) -> dict[str, Key]:
    """The keys of a JWK set by their ids; those of no use here are left out.

    Raises:
        FetchFailed: It is no JWK set.

    """
    try:
        values = msgspec.json.decode(data, type=_Set).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise FetchFailed("the answer is no JWK set") from exc
    keys: dict[str, Key] = {}
    for value in values:
        try:
            jwk = msgspec.json.decode(value, type=Jwk)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        key = jwk.key()
        if jwk.kid and key:
            keys[jwk.kid] = key
    return keys


class _Set(msgspec.Struct):
    keys: list[msgspec.Raw]


async def get(url: SplitResult, tls: ssl.SSLContext | None) -> bytes:
    """What an address answers to GET; neither redirects nor proxies are followed.

    Raises:
        FetchFailed: It could not be had within the bounds.

    """
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(
                url.hostname, url.port or (443 if tls else 80), ssl=tls, server_hostname=url.hostname if tls else None
            )
            try:
                return await _exchange(url, reader, writer)
            finally:
                writer.transport.abort()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as exc:
        raise FetchFailed(f"no answer within {TIMEOUT:g} s") from exc
    except (OSError, UnicodeError, h11.RemoteProtocolError) as exc:
        raise FetchFailed(f"{type(exc).__name__}: {exc}") from exc


async def _exchange(url: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = [
        ("Host", url.netloc),
        ("Accept", "application/json"),
        ("User-Agent", "rtbridge"),
        ("Connection", "close"),
    ]
    for sent in (h11.Request(method="GET", target=target, headers=headers), h11.EndOfMessage()):
        writer.write(connection.send(sent) or b"")
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(64 * 1024))
            case h11.Response(status_code=status) if status != 200:
                raise FetchFailed(f"answered with status {status}")
            case h11.Data(data=data):
                body += data
                if len(body) > SIZE:
                    raise FetchFailed(f"the answer is larger than {SIZE} bytes")
            case h11.EndOfMessage():
                return bytes(body)
            case _:
                pass  # headers that came, or 1xx


def _address(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"{where} is no address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"{where} has to be an address that begins with https:// or http://")
    if parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{where} has to be an address without a user, a #fragment, blanks and letters outside ASCII")


def _values(name: str, patterns: Mapping[str, str], where: str) -> frozenset[str]:
    for pattern in patterns.values():
        found = re.search(rf"\(\?P?<{re.escape(name)}>({_LITERAL}(?:\|{_LITERAL})*)\)", pattern, re.ASCII)
        if found is not None:
            return frozenset(value.replace("\\", "") for value in found[1].split("|"))
    raise ConfigError(
        f"{where} has {{{{{name}}}}} in it; issuer_regex or audience_regex has to have a group that lists its values, "
        f"(?P<{name}>one|two)"
    )
