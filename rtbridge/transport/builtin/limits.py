"""What one connection may ask of the server, and the budgets that tell abuse from use."""

from typing import Final, NamedTuple

from rtbridge.transport.settings import GrpcSettings

_DEFAULTS: Final = GrpcSettings("")


class Limits(NamedTuple):
    """Bounds of one connection; sizes in bytes, times in seconds.

    Attributes:
        message_size: Largest message that is answered. Up to :attr:`refusal_factor` times as much is read, so that
            it can be refused with a reason; what is larger fails its call with RESOURCE_EXHAUSTED unread.
        header_size: Largest metadata that is answered: names and values. The factor holds for it, too; a header
            block beyond that ends the connection.
        refusal_factor: See above.
        streams: Calls under way at once (SETTINGS_MAX_CONCURRENT_STREAMS); more are refused with REFUSED_STREAM.
        stream_window: What a stream may send before it is read (SETTINGS_INITIAL_WINDOW_SIZE).
        connection_window: What all streams together may send before it is read.
        unread: Bytes of unfinished requests and of messages that no hook has read yet, which one connection may have
            us keep, or two of the largest messages if that is more; beyond it calls fail with RESOURCE_EXHAUSTED.
        unsent: Bytes of replies that may wait for a peer who does not take them; until it does, new calls are refused,
            and those under way fail with RESOURCE_EXHAUSTED.
        continuations: CONTINUATION frames of one header block.
        resets: Streams that a peer may give up, or make us reset, in a burst.
        resets_rate: The same for each second after the burst.
        idle_frames: Frames that ask for work without being part of a call (SETTINGS, PING, PRIORITY, WINDOW_UPDATE,
            empty frames), in a burst without a reply in between.
        idle_frames_rate: The same for each second after the burst.
        compress_from: Replies of this size and more are compressed where the caller accepts gzip; None for none.

    """

    message_size: int = _DEFAULTS.message_size
    header_size: int = _DEFAULTS.header_size
    refusal_factor: int = 4
    streams: int = 10_000
    stream_window: int = 2**20
    connection_window: int = 2**24
    unread: int = 2**26
    unsent: int = 2**26
    continuations: int = 16
    resets: int = 2_000
    resets_rate: float = 1_000.0
    idle_frames: int = 2_000
    idle_frames_rate: float = 100.0
    compress_from: int | None = None


class Budget:
    """So much at once, and so much more each second.

    Args:
        burst: How much at once.
        rate: How much comes back each second.

    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = self._left = burst
        self._rate = rate
        self._at = 0.0

    def spend(self, cost: float, now: float) -> bool:
        """Whether that much was left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - cost
        self._at = now
        return self._left >= 0
