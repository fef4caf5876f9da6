"""Bytes ↔ events, on the two wires that Centrifugo's proxies speak."""

from rtbridge.codec._json_generated import JSON
from rtbridge.codec._proto_generated import PROTO
from rtbridge.codec.base import Codec

__all__ = ["JSON", "PROTO", "Codec"]
