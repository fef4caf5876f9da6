"""Protobuf message classes, made from the checked-in descriptor set in a pool of our own.

A generated ``_pb2`` module would register itself in protobuf's default pool, where a second copy of Centrifugo's
messages (such as centrifuge-python's) makes the import of both fail.
"""

from functools import cache
from importlib import resources
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

#: The file inside this package, written by ``python -m rtbridge._codegen``.
FILE = "descriptors.binpb"

#: What parsing a message raises for broken bytes. Without its C extension protobuf reports broken UTF-8 in a string
#: field as UnicodeDecodeError.
DECODE_FAULTS: Final = (DecodeError, UnicodeDecodeError)


@cache
def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """Every proto file that rtbridge speaks, without comments."""
    return descriptor_pb2.FileDescriptorSet.FromString(resources.files("rtbridge.codec").joinpath(FILE).read_bytes())


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """The private pool that holds those files."""
    private = descriptor_pool.DescriptorPool()
    for file in descriptor_set().file:
        private.Add(file)
    return private


@cache
def message_class(name: str) -> Any:
    """The class of the message with that full name, ``centrifugal.centrifugo.proxy.ConnectRequest``.

    Raises:
        KeyError: No file describes it.

    """
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))
