"""The second of the five plugins as a module, for worker processes."""

from bench.workload import Quota

_plugin = Quota()
on_rpc, on_publish = _plugin.on_rpc, _plugin.on_publish
