"""Worker processes: RoadRunner's keys of a pool, for hooks and for HTTP."""

from typing import Annotated, Final

from msgspec import Meta

from rtbridge.config.fields import Count, Duration, PositiveDuration, Section


class DynamicAllocator(Section, frozen=True, kw_only=True):
    """RoadRunner's extra workers."""

    max_workers: Annotated[int, Meta(ge=1, le=100, description="Extra workers at most.")] = 10
    spawn_rate: Annotated[int, Meta(ge=1, le=100, description="Workers started per second at most.")] = 5
    idle_timeout: Annotated[PositiveDuration, Meta(description="How long an idle extra worker is kept.")] = 60.0


class Supervisor(Section, frozen=True, kw_only=True):
    """RoadRunner's limits of a worker."""

    watch_tick: Annotated[Duration, Meta(description="How often workers are looked at.")] = 5.0
    ttl: Annotated[Duration, Meta(description="Age at which a worker is replaced; 0s = never.")] = 0.0
    idle_ttl: Annotated[Duration, Meta(description="Idle time after which a worker is replaced; 0s = never.")] = 0.0
    exec_ttl: Annotated[Duration, Meta(description="Time that one call may take; 0s = no limit.")] = 0.0
    max_worker_memory: Annotated[Count, Meta(description="Megabytes after which a worker is replaced; 0 = never.")] = 0


class Pool(Section, frozen=True, kw_only=True):
    """Worker processes, with RoadRunner's keys."""

    debug: Annotated[bool, Meta(description="One process in all: no workers, hooks run where the listeners are.")] = (
        False
    )
    num_workers: Annotated[int, Meta(ge=0, le=500, description="Worker processes; 0 = one for each CPU.")] = 0
    max_jobs: Annotated[Count, Meta(description="Calls after which a worker is replaced; 0 = never.")] = 0
    max_queue_size: Annotated[Count, Meta(description="Calls that may wait for a worker; 0 = no limit.")] = 10_000
    allocate_timeout: Annotated[
        Duration, Meta(description="Time that a worker gets to start, and a call waits for one at most.")
    ] = 60.0
    reset_timeout: Annotated[Duration, Meta(description="Time that replacing all workers may take; 0s = any.")] = 60.0
    stream_timeout: Annotated[
        Duration,
        Meta(
            description="RoadRunner's; streams end at once.",
            extra={"notice": "has no effect: the streams of a worker that is replaced end at once"},
        ),
    ] = 60.0
    destroy_timeout: Annotated[
        Duration, Meta(description="Time that a worker gets to shut down before it is killed.")
    ] = 60.0
    dynamic_allocator: Annotated[DynamicAllocator | None, Meta(description="Extra workers when none is free.")] = None
    supervisor: Annotated[Supervisor | None, Meta(description="Limits of a worker.")] = None


#: What is said of a key that means nothing where workers take connections from one socket.
_QUEUED: Final = "has no effect: connections wait in the system's queue of the socket until a worker takes them"


class HttpPool(Pool, frozen=True, kw_only=True):
    """Worker processes that serve the HTTP application: the same keys, for requests."""

    debug: Annotated[bool, Meta(description="No workers: the application runs where the socket is.")] = False
    max_jobs: Annotated[Count, Meta(description="Requests after which a worker is replaced; 0 = never.")] = 0
    max_queue_size: Annotated[
        Count, Meta(description="RoadRunner's; the system's queue of the socket has 2048.", extra={"notice": _QUEUED})
    ] = 0
    allocate_timeout: Annotated[Duration, Meta(description="Time that a worker gets to start.")] = 60.0
    stream_timeout: Annotated[
        Duration,
        Meta(
            description="RoadRunner's; answers of a worker that is replaced have rtbridge.drain_timeout.",
            extra={"notice": "has no effect: answers of a worker that is replaced have rtbridge.drain_timeout to end"},
        ),
    ] = 60.0
    dynamic_allocator: Annotated[
        DynamicAllocator | None, Meta(description="RoadRunner's extra workers.", extra={"notice": _QUEUED})
    ] = None
