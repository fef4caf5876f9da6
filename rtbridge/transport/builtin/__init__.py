"""A gRPC server in pure Python: a sans-IO core of HTTP/2 and gRPC with a thin front of asyncio."""

from rtbridge.transport.builtin.transport import BuiltinTransport

__all__ = ["BuiltinTransport"]
