"""A server that takes reports as Sentry does, envelopes over HTTP, and hooks that fail."""

import asyncio
import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.integrations.logging import _IGNORED_LOGGERS

from rtbridge import ClientError, Disconnect, Router, RPCResult
from rtbridge.app import UNHANDLED_EVENTS
from rtbridge.config import Config, parse_config
from rtbridge.plugins import sentry
from rtbridge.testing import App

#: Seconds after which a wait has failed.
BOUND = 25


class Sink:
    """Sentry's side.

    Attributes:
        events: What was reported, in the order in which it came.
        hold: Requests are answered once this is set.
        status: What they are answered.

    """

    def __init__(self) -> None:
        sink = self
        self.events: list[dict[str, Any]] = []
        self.raw = b""
        self.hold = threading.Event()
        self.hold.set()
        self.status = 200
        self.asked = threading.Semaphore(0)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/api/7/envelope/"
                sink.asked.release()
                sink.hold.wait(BOUND)
                if sink.status == 200:
                    sink._take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                try:
                    self.send_response(sink.status)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:  # whoever asked is gone
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.dsn = f"http://s3cretkey@127.0.0.1:{self._server.server_port}/7"

    def _take(self, envelope: bytes) -> None:
        self.raw += envelope
        _, _, rest = envelope.partition(b"\n")
        while rest:
            head, _, rest = rest.partition(b"\n")
            if not head:
                continue
            item = json.loads(head)
            size = item.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
            payload, rest = rest[:size], rest[size + 1 :]
            if item["type"] == "event":
                self.events.append(json.loads(payload))

    def errors(self) -> list[tuple[str, str]]:
        """Type and text of what was reported, the exception that is at the end of its chain."""
        ends = [(event.get("exception") or {"values": [{}]})["values"][-1] for event in self.events]
        return sorted((str(end.get("type")), str(end.get("value"))) for end in ends)

    def close(self) -> None:
        """Stop; once more does nothing."""
        self.hold.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


async def settled(app: App) -> None:
    """Wait until every event is over and every report has left."""
    await asyncio.wait_for(app.runtime.bridge.drain(), BOUND)
    await asyncio.to_thread(sentry_sdk.flush, BOUND)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No client is left over, and nothing of this process's own environment asks for one."""
    for name in list(os.environ):
        if name.startswith("SENTRY_"):
            monkeypatch.delenv(name)
    with sentry_sdk.isolation_scope() as scope:
        scope.clear()
        yield
    sentry_sdk.get_client().close(timeout=0.0)
    sentry_sdk.get_global_scope().set_client(None)
    sentry._Process.client = sentry._Process.base = None
    _IGNORED_LOGGERS.difference_update(sentry._OWN_LOGGERS)


def config(sink: Sink, **own: Any) -> dict[str, Any]:
    return {"rtbridge": {"sentry": {"dsn": sink.dsn}, **own}}


def parsed(plugins: list[str], **own: Any) -> Config:
    given = {
        "version": "3",
        "centrifuge": {"proxy_address": None, "pool": {"num_workers": 2, "destroy_timeout": "5s"}},
        "rtbridge": {"entry_points": False, "plugins": plugins, "drain_timeout": "5s", **own},
    }
    return parse_config(given, known_events=UNHANDLED_EVENTS).config


router = Router()


@router.on_rpc("fail")
async def fail(data: str) -> RPCResult:
    token = f"t0ken-{data}"
    raise LookupError("no such order") from KeyError(len(token))


@router.on_rpc("block")
def block() -> RPCResult:
    sentry_sdk.set_tag("thread", "yes")
    raise LookupError("on a thread")


@router.on_rpc("wrong")
async def wrong() -> Any:
    return 7


@router.on_rpc("unwritable")
async def unwritable() -> Any:
    return RPCResult(data=object())


@router.on_rpc("wait")
async def wait() -> None:
    await asyncio.Event().wait()


@router.on_rpc("error")
async def error() -> None:
    raise ClientError(400, "no")


@router.on_rpc("disconnect")
async def disconnect() -> None:
    raise Disconnect(4500)


@router.on_rpc("fine")
async def fine() -> RPCResult:
    return RPCResult(data=1)


class Hooks:
    """A way to fail by each name, and three not to."""

    router = router
