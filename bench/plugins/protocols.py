"""The third of the five plugins as a module, for worker processes."""

from bench.workload import Protocols

_plugin = Protocols()
on_rpc, on_publish = _plugin.on_rpc, _plugin.on_publish
