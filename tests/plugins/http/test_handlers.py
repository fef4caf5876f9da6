"""Handlers that return values, or yield them, here and in FastAPI."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import Response as FastAPIResponse
from starlette.requests import Request
from starlette.responses import Response

from rtbridge.http import Site, StreamResponse, early_hints, handler, respond


async def test_handlers_and_values(host: Any) -> None:
    """What handlers of either kind may return."""
    site = Site()
    values: dict[str, Any] = {"text": "a", "bytes": b"b", "none": None, "json": {"a": [1, None]}, "own": Response("o")}

    @site.get("/async/{name}")
    async def asynchronous(request: Request) -> Any:
        return values[request.path_params["name"]]

    @site.get("/sync/{name}")
    def sync(request: Request) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        return values[request.path_params["name"]]

    @site.put("/")
    @site.patch("/")
    @site.delete("/")
    def change(request: Request) -> str:
        return request.method

    served = await host(site)
    for kind in ("async", "sync"):
        got = {name: await served.client.get(f"/{kind}/{name}") for name in values}
        assert [got[name].text for name in ("text", "bytes", "none", "json", "own")] == [
            "a",
            "b",
            "",
            '{"a":[1,null]}',
            "o",
        ]
        assert got["none"].status_code == 204
        assert got["json"].headers["content-type"] == "application/json"
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await served.client.request(method, "/")).text == method
    with pytest.raises(TypeError):
        respond(object())


async def test_in_fastapi(host: Any) -> None:
    """The answers are Starlette's kind, and a handler of ours can be a route of theirs."""
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> FastAPIResponse:
        return StreamResponse(iter(["a", "b"]))

    async def parts(_: Request) -> AsyncIterator[str]:
        yield "c"

    app.add_api_route("/handler", handler(parts), response_model=None)
    site = await host(app)
    assert (await site.client.get("/stream")).text == "ab"
    assert (await site.client.get("/handler")).text == "c"


async def test_early_hints(host: Any) -> None:
    """False where the server cannot send them, as here; sent where it has ASGI's extension for it."""
    site = Site()
    link = "</style.css>; rel=preload; as=style"

    @site.get("/")
    async def page(request: Request) -> bool:
        return await early_hints(request, link)

    assert (await (await host(site)).client.get("/")).json() is False
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await site({**scope, "extensions": {"http.response.early_hint": {}}}, receive, send)
    assert sent[0] == {"type": "http.response.early_hint", "links": [link.encode()]}
    assert sent[2]["body"] == b"true"


@pytest.mark.parametrize("link", ["</a>\r\nx: y", "</\u00e9>"])
async def test_early_hints_that_are_none(link: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        await early_hints(Request({"type": "http"}), link)
