"""The section ``rtbridge.embedded``: a server for clients, with Centrifugo's own keys and defaults.

What Centrifugo knows and this server does not is in ``centrifugo.json`` beside this file.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from rtbridge.config.channels import (
    Channel,
    ChannelNamespace,
    ChannelOptions,
    ChannelProxies,
    HeaderName,
    Proxy,
    Regex,
    Rpc,
    RpcNamespace,
    RpcOptions,
)
from rtbridge.config.embedded_kinds import CLAIM, INTERVAL, PEM, PREFIX, PUBLIC_KEY, SUBNET, URL, Pem, format_interval
from rtbridge.config.faults import Misfit
from rtbridge.config.fields import MAX_DURATION, CentrifugoSection, Count, Duration, Section
from rtbridge.errors import Disconnect

__all__ = [
    "Channel",
    "ChannelNamespace",
    "ChannelOptions",
    "ChannelProxies",
    "Client",
    "ClientProxies",
    "CodeTransform",
    "CodeTransforms",
    "Embedded",
    "Emulation",
    "Health",
    "HttpApi",
    "HttpServer",
    "HttpStream",
    "NodeName",
    "PemTls",
    "PersonalChannel",
    "Proxy",
    "Rpc",
    "RpcNamespace",
    "RpcOptions",
    "Shutdown",
    "Sse",
    "Stream",
    "SubscriptionToken",
    "SwitchedProxy",
    "Token",
    "TransformedDisconnect",
    "UniHttpStream",
    "UniSse",
    "UniWebSocket",
    "WebSocket",
]

Interval: TypeAlias = Annotated[
    float, Meta(ge=-MAX_DURATION, le=MAX_DURATION, extra={"kind": INTERVAL, "hint": "or -1"})
]
PemText: TypeAlias = Annotated[Pem, Meta(extra={"kind": PEM})]
SecretPem: TypeAlias = Annotated[Pem, Meta(extra={"kind": PEM, "secret": True})]
PublicKey: TypeAlias = Annotated[str, Meta(extra={"kind": PUBLIC_KEY})]
OptionalSecret: TypeAlias = Annotated[str, Meta(extra={"secret": True})]
ClaimName: TypeAlias = Annotated[str, Meta(extra={"kind": CLAIM})]
Prefix: TypeAlias = Annotated[str, Meta(extra={"kind": PREFIX})]
Subnet: TypeAlias = Annotated[str, Meta(extra={"kind": SUBNET})]
Url: TypeAlias = Annotated[str, Meta(extra={"kind": URL})]
PortNumber: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
Code: TypeAlias = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Level: TypeAlias = Annotated[int, Meta(ge=0, le=9)]
UnixTime: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class PemTls(CentrifugoSection, frozen=True, kw_only=True):
    """TLS of the server."""

    enabled: Annotated[bool, Meta(description="Serve TLS instead of plaintext.")] = False
    cert_pem: Annotated[PemText, Meta(description="The certificate.")] = Pem()
    key_pem: Annotated[SecretPem, Meta(description="The certificate's private key.")] = Pem()
    client_ca_pem: Annotated[
        PemText, Meta(description='The authority whose client certificates are wanted (mutual TLS); "" = none.')
    ] = Pem()

    def check(self) -> None:
        for key in ("cert_pem", "key_pem"):
            pem: Pem = getattr(self, key)
            # A path that nobody looked at (offline) has no text.
            if self.enabled and not pem and pem.file is None:
                raise Misfit(key, "the key is missing, and enabled is true")


class HttpServer(Section, frozen=True, kw_only=True):
    """Where clients connect."""

    address: Annotated[str, Meta(description='Host or IP address to listen on; "" = every interface.')] = ""
    port: Annotated[PortNumber, Meta(description="Port to listen on; 0 = a free one (8000 to Centrifugo itself).")] = (
        8000
    )
    tls: Annotated[PemTls, Meta(description="TLS.")] = PemTls()


class Token(CentrifugoSection, frozen=True, kw_only=True):
    """Keys of JWT, and the claims that are wanted."""

    hmac_secret_key: Annotated[OptionalSecret, Meta(description="Secret of HS256, HS384 and HS512.")] = ""
    hmac_previous_secret_key: Annotated[
        OptionalSecret, Meta(description="The secret before it, while one replaces the other.")
    ] = ""
    hmac_previous_secret_key_valid_until: Annotated[
        UnixTime, Meta(description="Unix time at which the previous secret ends; 0 = never.")
    ] = 0
    rsa_public_key: Annotated[PublicKey, Meta(description="Public key of RS256, RS384 and RS512.")] = ""
    ecdsa_public_key: Annotated[PublicKey, Meta(description="Public key of ES256, ES384 and ES512.")] = ""
    jwks_public_endpoint: Annotated[Url, Meta(description="Where public keys are fetched from (JWKS).")] = ""
    audience: Annotated[str, Meta(description="What aud has to be or to hold.")] = ""
    audience_regex: Annotated[Regex, Meta(description="What aud has to match.")] = ""
    issuer: Annotated[str, Meta(description="What iss has to be.")] = ""
    issuer_regex: Annotated[Regex, Meta(description="What iss has to match.")] = ""
    user_id_claim: Annotated[ClaimName, Meta(description='The claim with the user id; "" = sub.')] = ""

    def check(self) -> None:
        for key in ("audience", "issuer"):
            if getattr(self, key) and getattr(self, f"{key}_regex"):
                raise Misfit(f"{key}_regex", f"found it beside {key}, allowed: one of the two")


class SubscriptionToken(Token, frozen=True, kw_only=True):
    """The same for subscription tokens alone."""

    enabled: Annotated[bool, Meta(description="Use these keys for subscription tokens instead of client.token.")] = (
        False
    )


class SwitchedProxy(Proxy, frozen=True, kw_only=True):
    """How hooks are asked about connections, and whether."""

    enabled: Annotated[bool, Meta(description="Ask hooks.")] = False


class ClientProxies(CentrifugoSection, frozen=True, kw_only=True):
    """How hooks are asked about connections."""

    connect: Annotated[
        SwitchedProxy, Meta(description="For on_connect, which decides about clients without a token.")
    ] = SwitchedProxy()
    refresh: Annotated[
        SwitchedProxy, Meta(description="For on_refresh, which decides whether a connection that expires goes on.")
    ] = SwitchedProxy()


class PersonalChannel(CentrifugoSection, frozen=True, kw_only=True):
    """A channel for each user that it is subscribed to on its own."""

    enabled: Annotated[bool, Meta(description="Subscribe every user to a channel of its own.")] = False
    personal_channel_namespace: Annotated[str, Meta(description='The namespace of these channels; "" = none.')] = ""
    single_connection: Annotated[
        bool, Meta(description="Close a user's other connections when a new one comes; wants presence there.")
    ] = False


class TransformedDisconnect(CentrifugoSection, frozen=True, kw_only=True):
    """The disconnect that takes an error's place."""

    code: Annotated[Code, Meta(description="4000-4999, or one of Centrifugo's own codes.")]
    reason: Annotated[str, Meta(description="At most 123 bytes of ASCII.")] = ""

    def check(self) -> None:
        if not self.reason.isascii():
            raise Misfit("reason", f"found {self.reason!r}, allowed: ASCII")
        self.exception()

    def exception(self) -> Disconnect:
        """A new exception to raise."""
        return Disconnect(self.code, self.reason)


class CodeTransform(CentrifugoSection, frozen=True, kw_only=True):
    """One error that answers a connect, and what becomes of it."""

    code: Annotated[Code, Meta(description="Code of the error.")]
    to: Annotated[TransformedDisconnect, Meta(description="The disconnect in its place.")]


class CodeTransforms(CentrifugoSection, frozen=True, kw_only=True):
    """Which disconnects take the place of errors that a unidirectional client cannot be told."""

    enabled: Annotated[bool, Meta(description="Use them.")] = False
    transforms: Annotated[tuple[CodeTransform, ...], Meta(description="One for each error.")] = ()


class Client(CentrifugoSection, frozen=True, kw_only=True):
    """Connections of clients."""

    proxy: Annotated[ClientProxies, Meta(description="How hooks are asked about connections.")] = ClientProxies()
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins of the pages that may connect, with wildcards; none = clients without an origin."),
    ] = ()
    token: Annotated[Token, Meta(description="Tokens of connections, and of subscriptions by default.")] = Token()
    subscription_token: Annotated[SubscriptionToken, Meta(description="Tokens of subscriptions.")] = SubscriptionToken()
    allow_anonymous_connect_without_token: Annotated[
        bool, Meta(description="Clients may connect without a token; they have no user id.")
    ] = False
    disallow_anonymous_connection_tokens: Annotated[bool, Meta(description="Tokens have to name a user.")] = False
    ping_interval: Annotated[Interval, Meta(description="How often clients are pinged; -1 = never.")] = 25.0
    pong_timeout: Annotated[
        Interval, Meta(description="How long a pong may take, less than ping_interval; -1 = no matter.")
    ] = 8.0
    expired_close_delay: Annotated[
        Duration, Meta(description="Time for a refresh before an expired connection is closed.")
    ] = 25.0
    expired_sub_close_delay: Annotated[
        Duration, Meta(description="Time for a refresh before an expired subscription ends.")
    ] = 25.0
    stale_close_delay: Annotated[Duration, Meta(description="Time that a connection has to authenticate itself.")] = (
        10.0
    )
    channel_limit: Annotated[Count, Meta(description="Channels that one client subscribes to at most.")] = 128
    queue_max_size: Annotated[
        Count, Meta(description="Bytes that wait for one client at most; a slower one is disconnected.")
    ] = 1_048_576
    presence_update_interval: Annotated[Duration, Meta(description="How often presence is renewed.")] = 27.0
    concurrency: Annotated[
        Count, Meta(description="Commands of one client that are served at once; 0 and 1 = in their order.")
    ] = 0
    connection_limit: Annotated[Count, Meta(description="Connections at most; 0 = no limit.")] = 0
    user_connection_limit: Annotated[Count, Meta(description="Connections of one user at most; 0 = no limit.")] = 0
    connection_rate_limit: Annotated[Count, Meta(description="New connections per second; 0 = no limit.")] = 0
    connect_include_server_time: Annotated[bool, Meta(description="Tell clients the time when they connect.")] = False
    history_max_publication_limit: Annotated[
        Count, Meta(description="Publications that one history call returns at most.")
    ] = 300
    recovery_max_publication_limit: Annotated[
        Count, Meta(description="Publications that are recovered at most; who missed more is told so.")
    ] = 300
    user_id_http_header: Annotated[
        HeaderName, Meta(description='A header with the user id, from a proxy that nobody gets past; "" = none.')
    ] = ""
    insecure: Annotated[
        bool, Meta(description="No tokens, no permissions: everybody may do everything. For development.")
    ] = False
    subscribe_to_user_personal_channel: Annotated[PersonalChannel, Meta(description="A channel for each user.")] = (
        PersonalChannel()
    )
    connect_code_to_unidirectional_disconnect: Annotated[
        CodeTransforms, Meta(description="Disconnects in place of errors, for unidirectional clients.")
    ] = CodeTransforms()

    def check(self) -> None:
        if self.ping_interval <= self.pong_timeout:
            ping, pong = format_interval(self.ping_interval), format_interval(self.pong_timeout)
            raise Misfit("pong_timeout", f"found {pong}, allowed: less than ping_interval, which is {ping}")


class HttpApi(CentrifugoSection, frozen=True, kw_only=True):
    """The server API."""

    disabled: Annotated[bool, Meta(description="Do not serve it.")] = False
    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/api"
    key: Annotated[OptionalSecret, Meta(description='What calls have to carry; "" = every call is refused.')] = ""
    error_mode: Annotated[
        Literal["", "transport"], Meta(description='How errors are told: in the body (""), or as an HTTP status.')
    ] = ""
    insecure: Annotated[bool, Meta(description="Take calls without a key.")] = False


class WebSocket(CentrifugoSection, frozen=True, kw_only=True):
    """The WebSocket transport."""

    disabled: Annotated[bool, Meta(description="Do not serve it.")] = False
    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/websocket"
    compression: Annotated[bool, Meta(description="permessage-deflate, for clients that offer it.")] = False
    compression_min_size: Annotated[Count, Meta(description="Smaller messages are not compressed, in bytes.")] = 0
    compression_level: Annotated[Level, Meta(description="1 = fast, 9 = small.")] = 1
    write_timeout: Annotated[Duration, Meta(description="How long a client may take to read.")] = 1.0
    message_size_limit: Annotated[Count, Meta(description="Largest message from a client, in bytes.")] = 65_536
    decompressed_message_size_limit: Annotated[
        Count, Meta(description="The same after decompression; 0 = ten times message_size_limit.")
    ] = 0


class UniWebSocket(CentrifugoSection, frozen=True, kw_only=True):
    """The unidirectional WebSocket transport."""

    enabled: Annotated[bool, Meta(description="Serve it.")] = False
    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/uni_websocket"
    compression: Annotated[bool, Meta(description="permessage-deflate, for clients that offer it.")] = False
    compression_min_size: Annotated[Count, Meta(description="Smaller messages are not compressed, in bytes.")] = 0
    compression_level: Annotated[Level, Meta(description="1 = fast, 9 = small.")] = 1
    write_timeout: Annotated[Duration, Meta(description="How long a client may take to read.")] = 1.0
    message_size_limit: Annotated[Count, Meta(description="Largest message from a client, in bytes.")] = 65_536
    decompressed_message_size_limit: Annotated[
        Count, Meta(description="The same after decompression; 0 = ten times message_size_limit.")
    ] = 0


class Stream(CentrifugoSection, frozen=True, kw_only=True):
    """A transport of HTTP requests with endless answers."""

    enabled: Annotated[bool, Meta(description="Serve it.")] = False
    handler_prefix: Annotated[Prefix, Meta(description="Its path.")]
    max_request_body_size: Annotated[Count, Meta(description="Largest request, in bytes.")] = 65_536


class Sse(Stream, frozen=True, kw_only=True):
    """Server-sent events; clients send through ``emulation``."""

    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/sse"


class HttpStream(Stream, frozen=True, kw_only=True):
    """Streaming of HTTP bodies; clients send through ``emulation``."""

    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/http_stream"


class UniSse(Stream, frozen=True, kw_only=True):
    """Server-sent events to clients that only listen."""

    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/uni_sse"


class UniHttpStream(Stream, frozen=True, kw_only=True):
    """Streaming of HTTP bodies to clients that only listen."""

    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/connection/uni_http_stream"


class Emulation(CentrifugoSection, frozen=True, kw_only=True):
    """Where clients of ``sse`` and ``http_stream`` send."""

    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/emulation"
    max_request_body_size: Annotated[Count, Meta(description="Largest request, in bytes.")] = 65_536


class Health(CentrifugoSection, frozen=True, kw_only=True):
    """A page that says whether the server is up."""

    enabled: Annotated[bool, Meta(description="Serve it.")] = False
    handler_prefix: Annotated[Prefix, Meta(description="Its path.")] = "/health"


class NodeName(CentrifugoSection, frozen=True, kw_only=True):
    """What this server is called."""

    name: Annotated[str, Meta(description='Name in the API\'s info; "" = host name and port.')] = ""


class Shutdown(CentrifugoSection, frozen=True, kw_only=True):
    """How the server stops."""

    timeout: Annotated[Duration, Meta(description="How long clients have to be gone.")] = 30.0


class Embedded(CentrifugoSection, frozen=True, kw_only=True):
    """The server for clients in this process; all it knows is in this process's memory."""

    http_server: Annotated[HttpServer, Meta(description="Where clients connect.")] = HttpServer()
    trusted_subnets: Annotated[
        tuple[Subnet, ...],
        Meta(
            description="Networks of proxies in front, whose X-Forwarded-For is believed. "
            "The one key here that Centrifugo does not have."
        ),
    ] = ()
    client: Annotated[Client, Meta(description="Connections of clients.")] = Client()
    channel: Annotated[Channel, Meta(description="Channels.")] = Channel()
    rpc: Annotated[Rpc, Meta(description="RPC methods.")] = Rpc()
    http_api: Annotated[HttpApi, Meta(description="The server API over HTTP.")] = HttpApi()
    websocket: Annotated[WebSocket, Meta(description="WebSocket.")] = WebSocket()
    sse: Annotated[Sse, Meta(description="Server-sent events.")] = Sse()
    http_stream: Annotated[HttpStream, Meta(description="HTTP streaming.")] = HttpStream()
    uni_websocket: Annotated[UniWebSocket, Meta(description="WebSocket that clients only listen to.")] = UniWebSocket()
    uni_sse: Annotated[UniSse, Meta(description="Server-sent events that clients only listen to.")] = UniSse()
    uni_http_stream: Annotated[UniHttpStream, Meta(description="HTTP streaming that clients only listen to.")] = (
        UniHttpStream()
    )
    emulation: Annotated[Emulation, Meta(description="What clients of sse and http_stream send.")] = Emulation()
    health: Annotated[Health, Meta(description="A page that says whether the server is up.")] = Health()
    node: Annotated[NodeName, Meta(description="This server.")] = NodeName()
    shutdown: Annotated[Shutdown, Meta(description="How the server stops.")] = Shutdown()

    def check(self) -> None:
        self._check_personal_channel()
        taken: dict[str, str] = {}
        for key, prefix in self._prefixes():
            path = prefix.rstrip("/") or "/"
            if path in taken:
                raise Misfit(f"{key}.handler_prefix", f"found {prefix!r}, which is that of {taken[path]}, too")
            taken[path] = key

    def _check_personal_channel(self) -> None:
        personal = self.client.subscribe_to_user_personal_channel
        path, name = "client.subscribe_to_user_personal_channel", personal.personal_channel_namespace
        spaces = {space.name: space for space in self.channel.namespaces}
        if personal.enabled and name and name not in spaces:
            text = f"found {name!r}, which is not in channel.namespaces; there: {', '.join(spaces) or 'none'}"
            raise Misfit(f"{path}.personal_channel_namespace", text)
        checked: dict[str, ChannelOptions] = {f"the namespace {name}": spaces[name]} if name in spaces else {}
        if not (personal.enabled and name):
            checked["channel.without_namespace"] = self.channel.without_namespace
        for where, options in checked.items():
            if personal.single_connection and not options.presence:
                raise Misfit(f"{path}.single_connection", f"found true, which needs presence in {where}")

    def _prefixes(self) -> list[tuple[str, str]]:
        """Section and path of whatever is served."""
        emulated = self.sse.enabled or self.http_stream.enabled
        served = {
            "websocket": not self.websocket.disabled,
            "sse": self.sse.enabled,
            "http_stream": self.http_stream.enabled,
            "uni_websocket": self.uni_websocket.enabled,
            "uni_sse": self.uni_sse.enabled,
            "uni_http_stream": self.uni_http_stream.enabled,
            "emulation": emulated,
            "http_api": not self.http_api.disabled,
            "health": self.health.enabled,
        }
        return [(name, getattr(self, name).handler_prefix) for name, on in served.items() if on]
