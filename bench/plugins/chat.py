"""The last of the five plugins as a module, for worker processes."""

from bench.workload import Chat

router = Chat().router
