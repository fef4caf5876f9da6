"""The server API as hooks and applications call it; implementations say how a call travels."""

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rtbridge.api import _generated as messages
from rtbridge.api._methods_generated import AsyncMethods, SyncMethods
from rtbridge.api.commands import Command
from rtbridge.errors import ApiError, ApiFailure

T = TypeVar("T")


class Api(AsyncMethods):
    """What a backend may ask of the server, in coroutines. Payloads are JSON values; ``bytes`` travel as they are.

    Every method takes ``timeout``: seconds that the call may take, retries included. Every method raises
    :class:`rtbridge.ApiError` when the server refuses the call, its subclass :class:`rtbridge.ApiFailure` when it does
    not answer, and ValueError for a timeout that is not above zero. Close it on the event loop that used it, or use it
    as an asynchronous context manager.

    Attributes:
        sync: The same for threads, such as those of ``def`` hooks. That of a hook's ``api`` runs its calls on the event
            loop of the hooks; called there, it raises RuntimeError. That of any other ``Api`` has connections of its
            own, which :meth:`close` closes, too.

    """

    sync: "SyncApi"

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, timeout: float | None = None) -> "Api":
        """A client of the server that a ``.rr.yaml`` names, for a process that rtbridge does not run.

        Nothing is connected before the first call, so it may be made while modules are imported.

        Args:
            path: The file; by default what the variable ``RR_CONFIG_PATH`` names, or ``.rr.yaml``.
            timeout: Seconds that a call may take, in place of ``rtbridge.centrifugo_api.timeout``.

        Raises:
            ConfigError: The file cannot be used, or names no server that this process could call.

        """
        from rtbridge.api.connect import endpoint_from, open_async

        return open_async(endpoint_from(path, timeout))

    @abstractmethod
    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """The result of a method by its name in the API, ``presence_stats``.

        Args:
            method: The name.
            request: Its request, of :mod:`rtbridge.api._generated`.
            timeout: Seconds that it may take, retries included; None for the configured ones.

        Raises:
            ApiError: The server refuses the call.
            ApiFailure: It does not answer.

        """

    async def run(self, command: Command[T], *, timeout: float | None = None) -> T:
        """The result of a command.

        Args:
            command: The command.
            timeout: Seconds that it may take, retries included; None for the configured ones.

        Raises:
            ApiError: The server refuses it, or does not answer.

        """
        return command.read(await self.call(command.method, command.request, timeout=timeout))

    async def batch(
        self, commands: Iterable[Command[T]], *, parallel: bool = False, timeout: float | None = None
    ) -> list[T | ApiError]:
        """Several commands in one request; for each its result, or why it was refused.

        Args:
            commands: ``[Command.publish("news", 1), Command.presence("room")]``.
            parallel: Let the server work them off side by side, and not one after the other.
            timeout: Seconds that all of them may take, retries included; None for the configured ones.

        Raises:
            ApiFailure: The server does not answer; some of them may have been done.

        """
        given = list(commands)
        if not given:
            return []
        return results_of(given, await self.call("batch", batch_of(given, parallel), timeout=timeout))

    async def close(self) -> None:
        """Close what is open; a later call opens it again."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SyncApi(SyncMethods):
    """The same for code that blocks: Django, Flask, scripts. Threads may share one, and so may forked processes.

    Every method takes ``timeout`` and raises what those of :class:`Api` do. Not for event loops: a call blocks.
    """

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, timeout: float | None = None) -> "SyncApi":
        """See :meth:`Api.from_config`."""
        from rtbridge.api.connect import endpoint_from, open_sync

        return open_sync(endpoint_from(path, timeout))

    @abstractmethod
    def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""

    def run(self, command: Command[T], *, timeout: float | None = None) -> T:
        """See :meth:`Api.run`."""
        return command.read(self.call(command.method, command.request, timeout=timeout))

    def batch(
        self, commands: Iterable[Command[T]], *, parallel: bool = False, timeout: float | None = None
    ) -> list[T | ApiError]:
        """See :meth:`Api.batch`."""
        given = list(commands)
        if not given:
            return []
        return results_of(given, self.call("batch", batch_of(given, parallel), timeout=timeout))

    def close(self) -> None:
        """Close what is open; a later call opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def batch_of(commands: list[Command[T]], parallel: bool) -> messages.BatchRequest:
    """The request of a batch."""
    wired = [messages.Command(**{command.method: command.request}) for command in commands]
    return messages.BatchRequest(commands=wired, parallel=parallel)


def results_of(commands: list[Command[T]], answer: messages.BatchResponse) -> list[T | ApiError]:
    """What became of each command of a batch.

    Raises:
        ApiFailure: The server answered more or fewer commands than it was given.

    """
    if len(answer.replies) != len(commands):
        raise ApiFailure(f"the server answered {len(answer.replies)} of {len(commands)} commands of a batch")
    found: list[T | ApiError] = []
    for command, reply in zip(commands, answer.replies, strict=True):
        result = getattr(reply, command.method)
        if reply.error is not None:
            found.append(ApiError(reply.error.code, reply.error.message))
        elif result is None:
            found.append(ApiFailure(f"the server left out the answer to {command.method} in a batch"))
        else:
            found.append(command.read(result))
    return found
