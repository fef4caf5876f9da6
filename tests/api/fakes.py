"""Servers that do to a client what a test says, and count what they were asked."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio

from rtbridge.api.remote import Answered
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Address
from rtbridge.control.service import ControlTransport

PACKAGE: Final = "centrifugal.centrifugo.api"


class Asked(NamedTuple):
    """One request over HTTP."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Answer(NamedTuple):
    """What is written, and whether the connection is closed afterwards."""

    data: bytes
    close: bool = False


def answer(body: str | bytes = b'{"result":{}}', status: int = 200, *headers: str, close: bool = False) -> Answer:
    """An answer of HTTP."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}", *headers]
    return Answer("\r\n".join(lines).encode() + b"\r\n\r\n" + raw, close)


#: Closes without an answer.
DROP: Final = Answer(b"", True)


class HttpFake:
    """Answers requests in turn; the last answer stands for the rest. None never answers.

    Attributes:
        asked: The requests so far.
        url: Where it is.

    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answer | None] = [answer()]
        self.connections = 0
        self.url = ""
        self._over = asyncio.Event()
        self._open: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["HttpFake"]:
        """Listens on a free port of the loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
        try:
            yield self
        finally:
            self._over.set()
            server.close()
            for writer in self._open.values():
                writer.close()
            await asyncio.gather(*self._open)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append(Asked(head[0].split()[1], headers, body, number))
                given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if given is None:
                    await self._over.wait()
                    break
                writer.write(given.data)
                await writer.drain()
                if given.close:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        del self._open[task]


class GrpcFake:
    """The gRPC API with one answer for every method.

    Args:
        credentials: TLS; None for plaintext.

    Attributes:
        asked: Method and metadata of every call.
        answer: Makes the response; given the method and the context.

    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self._credentials = credentials
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[str, Any], Awaitable[bytes]] = self.empty
        self.target = ""

    async def empty(self, method: str, context: Any) -> bytes:
        """A result that has nothing in it."""
        response = message_class(f"{PACKAGE}.{method}Response")()
        response.result.SetInParent()
        return bytes(response.SerializeToString())

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["GrpcFake"]:
        """Listens on a free port of the loopback."""
        fake = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                method = details.method.rpartition("/")[2]

                async def serve(request: bytes, context: Any) -> bytes:
                    fake.asked.append((method, dict(context.invocation_metadata())))
                    return await fake.answer(method, context)

                return grpc.unary_unary_rpc_method_handler(serve)

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Handler(),))
        if self._credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", self._credentials)
        self.target = f"127.0.0.1:{port}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)


class ControlFake:
    """The control RPC of a process that does nothing but answer the server API.

    Args:
        answer: Makes the answer, or an awaitable of it, of a method's name and its request in JSON.
        token: What callers show; None for nothing.

    Attributes:
        asked: The methods so far.
        target: Where it is.

    """

    def __init__(self, answer: Callable[[str, bytes], Any], token: str | None = None) -> None:
        self.asked: list[str] = []
        self.answer = answer
        self.target = ""
        self._token = token

    async def api(self, method: str, request: bytes) -> Answered:
        """See :class:`rtbridge.control.base.Controlled`."""
        self.asked.append(method)
        made = self.answer(method, request)
        found: Answered = await made if inspect.isawaitable(made) else made
        return found

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["ControlFake"]:
        """Listens on a free port of the loopback."""
        controlled: Any = self
        server = ControlTransport(controlled, Address(host="127.0.0.1", port=0), self._token)
        await server.start()
        self.target = server.address
        try:
            yield self
        finally:
            await server.stop(0)
