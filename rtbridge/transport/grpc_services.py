"""Health and reflection, as bytes in and bytes out, for any gRPC server.

The messages are ours (``proto/grpc``) in our own pool: the packages that ship them import generated modules, which
would tie users to a protobuf version.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from rtbridge.codec.descriptors import descriptor_set, message_class
from rtbridge.readiness import Readiness

_SERVING: Final = 1
_NOT_SERVING: Final = 2
_SERVICE_UNKNOWN: Final = 3

_NOT_FOUND: Final = 5
_UNIMPLEMENTED: Final = 12

_HEALTH: Final = "grpc.health.v1.Health"
_REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

#: Path → whether it streams, and what serves it.
Table = dict[str, tuple[bool, Callable[..., Any]]]


class GrpcServices:
    """Health of the named services, and reflection when it is asked for.

    Args:
        services: Full names of the services that share one state.
        reflection: Whether to describe them to whoever asks.
        readiness: What the state follows.

    """

    def __init__(self, services: Iterable[str], *, reflection: bool, readiness: Readiness) -> None:
        self._services = [*services, _HEALTH, *(_REFLECTION if reflection else ())]
        self._readiness = readiness
        self._stopping = False
        self._watchers: set[asyncio.Event] = set()
        self.table: Table = {f"/{_HEALTH}/Check": (False, self._check), f"/{_HEALTH}/Watch": (True, self._watch)}
        readiness.watch(self._tell)
        if reflection:
            self._files = _Files()
            for name in _REFLECTION:
                self.table[f"/{name}/ServerReflectionInfo"] = (True, self._reflect)

    def stopping(self) -> None:
        """From now on the answer is NOT_SERVING, and watchers are told."""
        self._stopping = True
        self._tell()

    def _tell(self) -> None:
        for changed in self._watchers:
            changed.set()

    def _status(self, name: str) -> int | None:
        if name and name not in self._services:
            return None
        return _SERVING if self._readiness.ready and not self._stopping else _NOT_SERVING

    def _check(self, request: bytes) -> bytes | None:
        try:
            asked = message_class("grpc.health.v1.HealthCheckRequest").FromString(request)
        except DecodeError:
            return None
        status = self._status(asked.service)
        return None if status is None else _health(status)

    async def _watch(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        request = await anext(requests, b"")
        try:
            asked = message_class("grpc.health.v1.HealthCheckRequest").FromString(request)
        except DecodeError:
            return
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            while True:
                status = self._status(asked.service)
                yield _health(_SERVICE_UNKNOWN if status is None else status)
                if self._stopping:
                    return
                await changed.wait()
                changed.clear()
        finally:
            self._watchers.discard(changed)

    async def _reflect(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        message = message_class("grpc.reflection.v1.ServerReflectionRequest")
        async for raw in requests:
            try:
                request = message.FromString(raw)
            except DecodeError:
                return
            yield self._describe(request).SerializeToString()

    def _describe(self, request: Any) -> Any:
        response = message_class("grpc.reflection.v1.ServerReflectionResponse")()
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        asked = request.WhichOneof("message_request")
        files: list[bytes] | None = None
        if asked == "list_services":
            for name in self._services:
                response.list_services_response.service.add().name = name
            return response
        if asked == "file_by_filename":
            files = self._files.by_name(request.file_by_filename)
        elif asked == "file_containing_symbol":
            files = self._files.by_symbol(request.file_containing_symbol)
        if files is None:
            supported = asked in ("file_by_filename", "file_containing_symbol")
            response.error_response.error_code = _NOT_FOUND if supported else _UNIMPLEMENTED
            response.error_response.error_message = "not found" if supported else "there are no extensions here"
        else:
            response.file_descriptor_response.file_descriptor_proto.extend(files)
        return response


def _health(status: int) -> bytes:
    response = message_class("grpc.health.v1.HealthCheckResponse")()
    response.status = status
    return bytes(response.SerializeToString())


class _Files:
    """The proto files by name and by the symbols that they define. v1alpha is v1 under another package name."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._symbols: dict[str, str] = {}
        for file in descriptor_set().file:
            self._add(file)
            if file.package == "grpc.reflection.v1":
                alpha = descriptor_pb2.FileDescriptorProto()
                alpha.CopyFrom(file)
                _rename(alpha, file.package, "grpc.reflection.v1alpha")
                alpha.name = file.name.replace(".proto", "_v1alpha.proto")
                self._add(alpha)

    def _add(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self._files[file.name] = file.SerializeToString()
        for service in file.service:
            self._symbols[f"{file.package}.{service.name}"] = file.name
            for method in service.method:
                self._symbols[f"{file.package}.{service.name}.{method.name}"] = file.name
        for name in [m.name for m in file.message_type] + [e.name for e in file.enum_type]:
            self._symbols[f"{file.package}.{name}"] = file.name

    def by_name(self, name: str) -> list[bytes] | None:
        found = self._files.get(name)
        return None if found is None else [found]

    def by_symbol(self, symbol: str) -> list[bytes] | None:
        name = self._symbols.get(symbol)
        return None if name is None else [self._files[name]]


def _rename(file: descriptor_pb2.FileDescriptorProto, old: str, new: str) -> None:
    file.package = new
    for message in file.message_type:
        for field in message.field:
            if not field.type_name:  # to set it, even to nothing, makes a scalar field invalid
                continue
            field.type_name = field.type_name.replace(f".{old}.", f".{new}.")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{old}.", f".{new}.")
            method.output_type = method.output_type.replace(f".{old}.", f".{new}.")
