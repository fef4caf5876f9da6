"""What the front uses of uvicorn beside its documented face; a version that changes it shows here first."""

import asyncio
import inspect
import sys
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.embedded.fronts.conftest import application


@pytest.fixture
def protocol(parser: str) -> Any:
    """uvicorn's HTTP protocol for each of its parsers."""
    if parser == "h11":
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return H11Protocol
    assert "httptools" in sys.modules or __import__("httptools")
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return HttpToolsProtocol


class Transport(asyncio.Transport):
    """A transport that keeps what is written and who reads."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.reader: Any = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_protocol(self, protocol: Any) -> None:
        self.reader = protocol

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...


class Upgraded(asyncio.Protocol):
    """Takes over from HTTP."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.data = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.data += data


def config(**given: Any) -> uvicorn.Config:
    given = {"ws": "none", **given}
    made = uvicorn.Config(application, log_config=None, lifespan="off", proxy_headers=False, **given)
    made.load()
    return made


def test_protocols_are_made_from_what_is_given() -> None:
    """Where uvicorn takes a class, it takes whatever makes a protocol."""

    def make(**given: Any) -> Any:
        return given

    loaded = config(http=make, ws=make)
    assert loaded.http_protocol_class is make
    assert loaded.ws_protocol_class is make


async def test_a_request_as_its_protocol_sees_it(protocol: Any) -> None:
    """The cycle of a request says whether all of it is there, and whether it is answered."""
    server = uvicorn.Server(config())
    transport = Transport()
    http: Any = protocol(config=server.config, server_state=server.server_state, app_state={})
    assert vars(http)["cycle"] is None
    http.connection_made(transport)
    assert server.server_state.connections == {http}
    http.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    assert (http.cycle.more_body, http.cycle.response_complete) == (True, False)
    http.data_received(b"ab")
    assert (http.cycle.more_body, http.cycle.response_complete) == (False, False)
    await asyncio.wait(server.server_state.tasks)
    assert http.cycle.response_complete
    assert transport.written.endswith(b"POST / ab")
    http.connection_lost(None)
    assert server.server_state.connections == set()
    assert {"pause_writing", "resume_writing", "connection_lost", "loop"} <= set(dir(http))


async def test_an_upgrade_as_its_protocol_sees_it(protocol: Any) -> None:
    """The next protocol gets the transport, then the whole head in one piece; the connection is HTTP's no longer."""
    loaded = config(ws=Upgraded)
    state = ServerState()
    transport = Transport()
    http = protocol(config=loaded, server_state=state, app_state={})
    http.connection_made(transport)
    http.data_received(b"GET /p?q=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: B\r\n\r\n")
    upgraded = transport.reader
    assert isinstance(upgraded, Upgraded)
    assert upgraded.transport is transport
    assert set(upgraded.given) == {"config", "server_state", "app_state"}
    first, *lines = upgraded.data.split(b"\r\n")
    assert first == b"GET /p?q=1 HTTP/1.1"
    assert lines == [b"host: a", b"upgrade: websocket", b"connection: Upgrade", b"x-a: B", b"", b""]
    assert state.connections == set()


def test_the_server() -> None:
    """Its life is in the methods and attributes that are overridden and read."""
    server = uvicorn.Server(config())
    assert (server.started, server.should_exit) == (False, False)
    assert inspect.isgeneratorfunction(inspect.unwrap(uvicorn.Server.capture_signals))
    assert inspect.iscoroutinefunction(uvicorn.Server.main_loop)
    assert "await self.main_loop()" in inspect.getsource(uvicorn.Server._serve)
    assert "self.servers" in inspect.getsource(uvicorn.Server.startup)
    assert "timeout_graceful_shutdown" in inspect.getsource(uvicorn.Server.shutdown)
