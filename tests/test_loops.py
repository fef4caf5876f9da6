"""What a process is told about its event loop and its memory."""

import gc
from collections.abc import Iterator

import pytest

from rtbridge.loops import settle


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_after_the_start_is_not_looked_at_again() -> None:
    gc.set_threshold(700, 10, 10)
    settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] > 700


def test_chosen_thresholds_stay() -> None:
    gc.set_threshold(1234, 5, 6)
    settle()
    assert gc.get_threshold() == (1234, 5, 6)
