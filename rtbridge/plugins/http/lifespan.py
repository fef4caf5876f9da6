"""Start and end of an ASGI application, as its ``lifespan`` protocol has them."""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message

from rtbridge.errors import PluginError

log = logging.getLogger("rtbridge.http")


class Lifespan:
    """Runs the lifespan of one application: one start, one end.

    Source: the ASGI specification, lifespan protocol 2.0. An application that raises before it has answered knows no
    lifespan, which is no fault.

    Args:
        app: The application.
        name: For errors.

    Attributes:
        state: What the application put there at its start, for every request.

    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._name = name
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Have the application start, and wait for it.

        Raises:
            PluginError: It cannot.

        """
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await asyncio.wait((self._task,))
            self._task = None
            text = str(answer.get("message", ""))
            if text:
                log.error("http.app: %s did not start\n%s", self._name, text.rstrip())
            last = text.strip().splitlines()[-1:] or ["it does not say why"]
            raise PluginError(f"http.app: {self._name} did not start: {last[0]}")

    async def shutdown(self, timeout: float) -> None:
        """Have the application end, and wait for it up to ``timeout`` seconds."""
        if self._task is None or self._task.done():
            return
        try:
            async with asyncio.timeout(timeout):
                answer = await self._ask("lifespan.shutdown")
                await asyncio.wait((self._task,))
        except TimeoutError:
            log.error("http.app: %s did not end within %g s", self._name, timeout)
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1)
            return
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("http.app: %s did not end well\n%s", self._name, str(answer.get("message", "")).rstrip())

    async def _ask(self, what: str) -> Message | None:
        """Tell the application, and wait for its answer; None if it ended without one."""
        assert self._task is not None
        self._to_app.put_nowait({"type": what})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait((answer, self._task), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and not self._from_app.empty():  # it answered and ended in one go
            await asyncio.wait((answer,))
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}

        heard = answered = failed = False

        async def receive() -> Message:
            nonlocal heard
            message = await self._to_app.get()
            heard = True
            return message

        async def send(message: Message) -> None:
            nonlocal answered, failed
            answered, failed = True, message["type"].endswith(".failed")
            self._from_app.put_nowait(message)

        try:
            await self._app(scope, receive, send)
        except Exception as exc:
            if failed:
                return  # it has said why
            if answered:
                log.error("http.app: the lifespan of %s failed", self._name, exc_info=exc)
            elif heard:
                log.warning("http.app: %s is served without a lifespan, which failed", self._name, exc_info=exc)
            else:
                log.debug("http.app: %s has no lifespan: %s: %s", self._name, type(exc).__name__, exc)
