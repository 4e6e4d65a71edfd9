"""The meter says how far the work is and how long it takes, and only where somebody watches."""

from __future__ import annotations

import io

import pytest

from device.meter import Meter, in_words


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_it_tells_the_time_left_once_it_can_and_ends_its_line():
    out, clock = Terminal(), Clock()
    with Meter("files", out, clock) as meter:
        for done, now in ((0, 0.0), (1, 0.1), (10, 10.0), (1200, 1200.0)):
            clock.now = now
            meter(done, 1200)
    shown = [line.rstrip() for line in out.getvalue().split("\r")[1:]]
    assert shown == ["0 of 1,200 files", "10 of 1,200 files, 20 min left", "1,200 of 1,200 files"]
    assert out.getvalue().endswith("\n")


def test_what_was_longer_before_is_covered():
    out, clock = Terminal(), Clock()
    with Meter("files", out, clock) as meter:
        for done, now in ((99, 10.0), (100, 20.0)):
            clock.now = now
            meter(done, 100)
    first, last = out.getvalue().strip("\r\n").split("\r")
    assert len(first) == len(last)


def test_it_is_silent_where_nobody_watches_or_nothing_is_to_do():
    out = io.StringIO()
    with Meter("files", out) as meter:
        meter(1, 2)
    assert out.getvalue() == ""
    out = Terminal()
    with Meter("files", out) as meter:
        meter(0, 0)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_lengths_are_told_as_a_person_says_them(seconds, words):
    assert in_words(seconds) == words
