"""Centrifugo-first realtime SDK for Python."""

__version__ = "0.1.0"
