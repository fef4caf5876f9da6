"""A server API that remembers: what hooks asked of it, and what a test lets it answer."""

from typing import Any

import msgspec

from rtbridge.api import METHODS
from rtbridge.api import _generated as messages
from rtbridge.errors import ApiError
from rtbridge.events.values import encode_payload


class ApiCalls:
    """The other end of the ``api`` that hooks get in :class:`~rtbridge.testing.App`.

    Attributes:
        calls: Every call in order: the method's name in the API and its request, a message of the server API. Those of
            a batch stand one by one.

    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._answers: dict[str, Any] = {}

    @property
    def published(self) -> list[tuple[str, Any]]:
        """Channel and payload of each publication, those of broadcasts among them."""
        found: list[tuple[str, Any]] = []
        for _, request in self.calls:
            if isinstance(request, messages.PublishRequest | messages.BroadcastRequest):
                channels = [request.channel] if isinstance(request, messages.PublishRequest) else request.channels
                data = None if request.data is msgspec.UNSET else msgspec.json.decode(request.data)
                found += [(channel, data) for channel in channels]
        return found

    def answer(self, method: str, **result: Any) -> None:
        """Answer a method so from now on.

        Args:
            method: Its name in the API: ``presence_stats``.
            result: Fields of its result, as JSON has them: ``num_clients=2``.

        """
        self._answers[method] = msgspec.json.decode(encode_payload(result), type=METHODS[method][1])

    def refuse(self, method: str, code: int, message: str = "") -> None:
        """Refuse a method with an :class:`~rtbridge.ApiError` from now on."""
        self._answers[method] = ApiError(code, message)

    def serve(self, method: str, request: Any) -> Any:
        """Note a call and answer it; without an answer of the test's, with an empty result.

        Raises:
            ApiError: The test refuses the method.

        """
        if isinstance(request, messages.BatchRequest):
            return messages.BatchResponse(replies=[self._reply(command) for command in request.commands])
        self.calls.append((method, request))
        answer = self._answers.get(method)
        if isinstance(answer, ApiError):
            raise answer
        if answer is None and isinstance(request, messages.BroadcastRequest):
            each = messages.PublishResponse(result=messages.PublishResult())
            return messages.BroadcastResult(responses=[each for _ in request.channels])
        return METHODS[method][1]() if answer is None else answer

    def _reply(self, command: messages.Command) -> messages.Reply:
        (method,) = (name for name in command.__struct_fields__ if getattr(command, name) is not None)
        try:
            return messages.Reply(**{method: self.serve(method, getattr(command, method))})
        except ApiError as exc:
            return messages.Reply(error=messages.Error(exc.code, exc.message))
