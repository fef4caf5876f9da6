"""How plugins listen: hook specs, the registry that checks and orders them, routers, and the chains that run them."""

from rtbridge.hooks.chain import Chain
from rtbridge.hooks.manager import ENTRY_POINTS, HookManager
from rtbridge.hooks.markers import hookimpl
from rtbridge.hooks.router import Router
from rtbridge.hooks.specs import CallNext
from rtbridge.hooks.threads import Threads

__all__ = ["ENTRY_POINTS", "CallNext", "Chain", "HookManager", "Router", "Threads", "hookimpl"]
