"""When a call is made again, in a time of its own."""

import pytest

from rtbridge import ApiFailure, Command
from rtbridge.api._generated import METHODS
from rtbridge.api.base import batch_of
from rtbridge.api.retries import BACKOFF, READS, RETRIES, Attempts, repeatable
from rtbridge.testing import VirtualClock


def lost(*, happened: bool = True, temporary: bool = True) -> ApiFailure:
    return ApiFailure("lost", happened, temporary)


def test_reads_are_methods() -> None:
    """A name that is mistyped would never be made again."""
    assert set(METHODS) > READS


def test_what_may_happen_twice() -> None:
    """Reads, and what has a key."""
    commands = [Command.history("a"), Command.publish("a", 1, idempotency_key="k")]
    assert all(repeatable(command.method, command.request) for command in commands)
    assert repeatable("batch", batch_of(commands, False))
    once = Command.publish("a", 1)
    assert not repeatable(once.method, once.request)
    assert not repeatable("batch", batch_of([*commands, once], False))


def test_waits_grow_and_are_bounded() -> None:
    """Each is between half of its bound and its bound, which doubles."""
    clock = VirtualClock()
    attempts = Attempts(5.0, True, clock)
    for number in range(RETRIES):
        bound = BACKOFF * 2**number
        wait = attempts.again(lost())
        assert bound / 2 <= wait <= bound
        clock.advance(wait)
    with pytest.raises(ApiFailure):
        attempts.again(lost())


def test_no_attempt_begins_after_the_end() -> None:
    """The time of a call is that of all its attempts."""
    clock = VirtualClock()
    attempts = Attempts(1.0, True, clock)
    clock.advance(0.99)
    assert attempts.left == pytest.approx(0.01)
    with pytest.raises(ApiFailure):
        attempts.again(lost())
    clock.advance(5.0)
    assert attempts.left == 0.0


@pytest.mark.parametrize("repeat", [False, True])
def test_what_cannot_go_better_is_not_made_again(repeat: bool) -> None:
    """Such as a key that is refused."""
    with pytest.raises(ApiFailure):
        Attempts(5.0, repeat).again(lost(happened=False, temporary=False))


def test_what_was_not_sent_is_made_again() -> None:
    """Also what must not happen twice; once it may have happened that is over."""
    attempts = Attempts(5.0, False)
    assert attempts.again(lost(happened=False)) > 0
    with pytest.raises(ApiFailure):
        attempts.again(lost())


def test_one_attempt_that_may_have_happened_counts_for_all() -> None:
    """Though the last one cannot have."""
    attempts = Attempts(5.0, True)
    attempts.again(lost())
    for _ in range(RETRIES - 1):
        attempts.again(lost(happened=False))
    with pytest.raises(ApiFailure) as caught:
        attempts.again(lost(happened=False))
    assert caught.value.may_have_happened
