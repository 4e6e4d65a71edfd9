"""The eyes look often while somebody moves, seldom in an empty room or on a hot board, at once when somebody comes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from device.domain.pace import COOLER_CELSIUS, EMPTY_LOOK_SECONDS, LINGER_SECONDS, PaceSettings
from device.domain.reading import UNIFORM, Modality, Reading
from device.ports import Frame
from device.sensing.lookout import THERMOMETER_SECONDS, Lookout, thumbnail_of

SETTINGS = PaceSettings(rate_hz=5.0, glance_rate_hz=8.0, slow_look_seconds=3.0, hottest_celsius=75.0)
WALL = np.full((480, 640, 3), 128, np.uint8)


def person(step: int) -> np.ndarray:
    """Somebody, as a bright patch of 60×80 pixels, who stands elsewhere at each step."""
    frame = WALL.copy()
    left = 200 + 7 * (step % 20)
    frame[200:280, left : left + 60] = 220
    return frame


class Room:
    """A lookout in a room whose time runs as the lookout wants; notes when it glanced and when it looked."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen = True
        """Whether a look finds a face."""
        self.celsius: float | None = 50.0
        self.glances: list[float] = []
        self.looks: list[float] = []
        self.lookout = Lookout(self._look, SETTINGS, lambda: self.celsius)

    def _look(self, frame: Frame) -> Reading | None:
        self.looks.append(frame.at_seconds)
        return Reading(Modality.FACE, UNIFORM, 1.0, frame.at_seconds) if self.seen else None

    def stay(self, seconds: float, shows: Callable[[int], np.ndarray]) -> tuple[float, float]:
        """Glances and looks a second over the stretch."""
        begin, glances, looks = self.now, len(self.glances), len(self.looks)
        while self.now < begin + seconds:
            self.glances.append(self.now)
            self.lookout.watch(Frame(shows(len(self.glances)), self.now))
            self.now += self.lookout.wait_seconds()
        return (len(self.glances) - glances) / seconds, (len(self.looks) - looks) / seconds


@pytest.fixture
def room() -> Room:
    return Room()


def empty(_: int) -> np.ndarray:
    return WALL


def test_somebody_who_moves_is_looked_at_at_the_full_rate(room: Room) -> None:
    assert room.stay(60, person) == pytest.approx((5.0, 5.0), rel=0.05)


def test_somebody_who_sits_still_is_looked_at_every_second(room: Room) -> None:
    room.stay(5, person)
    assert room.stay(60, lambda _: person(3)) == pytest.approx((8.0, 1.0), rel=0.05)


def test_an_empty_room_is_looked_at_every_few_seconds(room: Room) -> None:
    room.stay(5, person)
    room.seen = False
    room.stay(LINGER_SECONDS + 2, empty)
    glances, looks = room.stay(60, empty)
    assert glances == pytest.approx(8.0, rel=0.05) and looks == pytest.approx(1 / EMPTY_LOOK_SECONDS, rel=0.1)


def test_who_comes_into_an_empty_room_is_looked_at_with_the_first_glance(room: Room) -> None:
    room.seen = False
    room.stay(60, empty)
    room.seen, came = True, room.now
    room.stay(2, person)
    assert next(at for at in room.looks if at >= came) == came
    assert room.stay(10, person) == pytest.approx((5.0, 5.0), rel=0.05)


def test_who_sits_still_and_stirs_is_looked_at_with_that_glance(room: Room) -> None:
    room.stay(5, person)
    room.stay(5.4, lambda _: person(3))
    stirred = room.now
    room.lookout.watch(Frame(person(9), stirred))
    assert room.looks[-1] == stirred


def test_a_curtain_in_the_wind_does_not_keep_the_eyes_busy(room: Room) -> None:
    room.seen = False
    room.stay(LINGER_SECONDS + 1, person)
    _, looks = room.stay(60, person)
    assert looks == pytest.approx(1 / EMPTY_LOOK_SECONDS, rel=0.1)


def test_a_hot_board_looks_slowly_until_it_is_well_below_the_limit(room: Room) -> None:
    room.stay(5, person)
    room.celsius = SETTINGS.hottest_celsius + 1
    room.stay(THERMOMETER_SECONDS + 3, person)
    assert room.stay(60, person) == pytest.approx((1 / 3, 1 / 3), rel=0.1)
    room.celsius = SETTINGS.hottest_celsius - COOLER_CELSIUS + 1
    assert room.stay(60, person) == pytest.approx((1 / 3, 1 / 3), rel=0.1)
    room.celsius = SETTINGS.hottest_celsius - COOLER_CELSIUS - 1
    room.stay(THERMOMETER_SECONDS + 3, person)
    assert room.stay(60, person) == pytest.approx((5.0, 5.0), rel=0.05)


def test_a_board_that_does_not_say_how_hot_it_is_counts_as_cool(room: Room) -> None:
    room.celsius = None
    assert room.stay(30, person) == pytest.approx((5.0, 5.0), rel=0.05)


@pytest.mark.parametrize("noise_levels", [0, 5, 15, 25])
def test_the_cameras_noise_is_no_movement(room: Room, noise_levels: int) -> None:
    rng = np.random.default_rng(1)
    dark = [np.clip(rng.normal(60, noise_levels, WALL.shape), 0, 255).astype(np.uint8) for _ in range(10)]
    room.seen = False
    room.stay(LINGER_SECONDS + 1, lambda number: dark[number % 10])
    _, looks = room.stay(60, lambda number: dark[number % 10])
    assert looks == pytest.approx(1 / EMPTY_LOOK_SECONDS, rel=0.1)


def test_a_small_movement_far_away_is_one(room: Room) -> None:
    room.seen = False
    room.stay(30, empty)
    far = WALL.copy()
    far[240:280, 300:330] = 90
    room.lookout.watch(Frame(far, room.now))
    assert room.looks[-1] == room.now


def test_nothing_of_a_frame_stays_when_the_camera_is_closed(room: Room) -> None:
    room.stay(5, person)
    room.lookout.forget()
    assert not [value for value in vars(room.lookout).values() if isinstance(value, np.ndarray)]
    room.lookout.watch(Frame(person(3), room.now + 60))
    assert room.looks[-1] == room.now + 60


def test_who_was_seen_is_forgotten_with_the_camera() -> None:
    told: list[str] = []
    lookout = Lookout(lambda frame: None, SETTINGS, forget_people=lambda: told.append("forget"))
    told.clear()
    lookout.forget()
    assert told == ["forget"]


def test_a_thumbnail_is_the_mean_of_what_it_covers() -> None:
    frame = np.random.default_rng(1).integers(0, 256, WALL.shape, dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).reshape(48, 10, 64, 10).mean(axis=(1, 3))
    assert np.abs(thumbnail_of(frame) - grey).max() <= 1.5


def test_a_thumbnail_is_too_small_to_know_anybody_in() -> None:
    assert thumbnail_of(WALL).shape == (48, 64)
