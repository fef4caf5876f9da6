"""The server API of Centrifugo: what a backend may ask of the server."""

from rtbridge.api._generated import METHODS
from rtbridge.api.base import Api
from rtbridge.api.local import LocalApi
from rtbridge.api.results import ClientInfo, History, Position, PresenceStats, Publication

__all__ = ["METHODS", "Api", "ClientInfo", "History", "LocalApi", "Position", "PresenceStats", "Publication"]
