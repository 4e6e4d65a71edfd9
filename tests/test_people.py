"""Faces are followed while they are seen, weighed by how near, frontal and settled they are, and may differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.domain.fusion import Fused, FusionSettings, explain, fuse
from device.domain.labels import LABELS, MIXED, UNKNOWN, affect_of
from device.domain.mood import Mood, MoodSettings, step
from device.domain.people import (
    LINGER_SECONDS,
    MOST_PEOPLE,
    SETTLED_SECONDS,
    Sighting,
    Track,
    disagreement,
    follow,
    reading_of,
)
from device.domain.reading import UNIFORM, Person, Posterior, Reading
from device.lab.people import PAIRS, SECONDS, another_look, drawn_pairs, table
from device.lab.people import watch as watch_pair

MOOD = MoodSettings(smoothing_seconds=0.5, dwell_seconds=1.0)


def sure_of(label: str, top: float = 0.9) -> Posterior:
    rest = (1 - top) / (len(LABELS) - 1)
    return Posterior(tuple(top if name == label else rest for name in LABELS))


def face(label: str, x: float = 160.0, side: float = 100.0, quality: float = 1.0, top: float = 0.9) -> Sighting:
    return Sighting(x, 200.0, side, sure_of(label, top), quality)


def watch(*frames: tuple[float, tuple[Sighting, ...]]) -> tuple[Track, ...]:
    """The tracks after looks at these times."""
    tracks: tuple[Track, ...] = ()
    for at, sightings in frames:
        tracks = follow(tracks, sightings, at)
    return tracks


def look_on(sightings: tuple[Sighting, ...], seconds: float = 6.0, every: float = 0.2) -> Reading:
    """The reading after looking at the same faces for a while."""
    frames = [(n * every, sightings) for n in range(round(seconds / every) + 1)]
    return reading_of(watch(*frames), frames[-1][0])


def share_of(reading: Reading, label: str) -> float:
    return reading.posterior.values[LABELS.index(label)]


# --- tracks -------------------------------------------------------------------------------------------------------


def test_a_face_that_moves_a_little_stays_one_track() -> None:
    tracks = watch(*[(n / 5, (face("happy", 100.0 + 30 * n),)) for n in range(8)])
    assert len(tracks) == 1 and tracks[0].looks == 8


def test_a_face_elsewhere_is_somebody_else() -> None:
    assert len(watch((0.0, (face("happy", 100.0),)), (0.2, (face("happy", 500.0),)))) == 1
    tracks = watch((0.0, (face("happy", 100.0),)), (0.2, (face("happy", 100.0),)), (0.4, (face("happy", 500.0),)))
    assert sorted(track.looks for track in tracks) == [1, 2]


def test_a_face_of_another_size_in_the_same_place_is_somebody_else() -> None:
    tracks = watch((0.0, (face("happy", side=200),)), (0.2, (face("happy", side=200),)), (0.4, (face("sad", side=60),)))
    assert len(tracks) == 2


def test_looks_that_are_seconds_apart_still_follow() -> None:
    tracks = watch(*[(3.0 * n, (face("happy", 150 + 100.0 * (n % 2)),)) for n in range(4)])
    assert [track.looks for track in tracks] == [4]


def test_two_people_who_sit_close_keep_their_own_looks() -> None:
    pair = (face("happy", 200), face("sad", 290))
    tracks = watch(*[(n / 5, pair if n % 2 else pair[::-1]) for n in range(10)])
    assert sorted(track.posterior.label for track in tracks) == ["happy", "sad"]
    assert all(track.posterior.top == pytest.approx(0.9) for track in tracks)


def test_a_track_ends_soon_after_its_face_was_last_seen() -> None:
    seen = [(0.0, (face("happy"),)), (0.2, (face("happy"),))]
    assert len(watch(*seen, (0.2 + LINGER_SECONDS - 0.1, ()))) == 1
    assert watch(*seen, (0.2 + LINGER_SECONDS + 0.1, ())) == ()


def test_who_comes_back_after_that_is_nobody_known() -> None:
    tracks = watch((0.0, (face("happy"),)), (0.2, (face("happy"),)), (9.0, (face("sad"),)))
    assert [(track.looks, track.posterior.label) for track in tracks] == [(1, "sad")]


def test_a_clock_that_begins_anew_finds_nobody_known() -> None:
    tracks = watch((80.0, (face("happy"),)), (80.2, (face("happy"),)), (0.1, (face("sad"),)))
    assert [(track.looks, track.posterior.label) for track in tracks] == [(1, "sad")]


def test_a_look_is_averaged_with_the_seconds_before_and_poor_ones_count_less() -> None:
    calm = [(n / 5, (face("neutral"),)) for n in range(10)]
    twitch = reading_of(watch(*calm, (2.0, (face("angry"),))), 2.0)
    assert twitch.posterior.label == "neutral" and share_of(twitch, "angry") > 0.1
    blurred = reading_of(watch(*calm, (2.0, (face("angry", quality=0.2),))), 2.0)
    assert share_of(blurred, "angry") < share_of(twitch, "angry")
    lasting = reading_of(watch(*calm, *[(2.0 + n / 5, (face("angry"),)) for n in range(10)]), 3.8)
    assert lasting.posterior.label == "angry"


# --- weights ------------------------------------------------------------------------------------------------------


def test_a_single_face_keeps_its_own_answer() -> None:
    reading = look_on((face("happy", top=0.7, quality=0.8),))
    assert reading.posterior.values == pytest.approx(sure_of("happy", 0.7).values)
    assert reading.quality == pytest.approx(0.8) and reading.disagreement == 0.0 and len(reading.people) == 1


def test_people_count_by_area_and_by_quality() -> None:
    near = look_on((face("happy", 100, 200), face("sad", 500, 100)))
    assert share_of(near, "happy") == pytest.approx(0.9 * 0.8 + 0.2 * 0.1 / 6)
    turned = look_on((face("happy", 100, quality=0.25), face("sad", 500)))
    assert share_of(turned, "sad") == pytest.approx(0.9 * 0.8 + 0.2 * 0.1 / 6)


def test_whoever_has_only_just_come_counts_less_than_who_has_been_here() -> None:
    here = [(n / 5, (face("sad", 500),)) for n in range(50)]
    both = (face("happy", 100), face("sad", 500))
    just_now = reading_of(watch(*here, (10.0, both), (10.2, both)), 10.2)
    assert share_of(just_now, "sad") > 0.7
    later = reading_of(watch(*here, *[(10 + n / 5, both) for n in range(round(5 * SETTLED_SECONDS) + 1)]), 15.0)
    assert share_of(later, "happy") == pytest.approx(share_of(later, "sad"), abs=0.01)


def test_what_is_found_in_one_frame_only_has_no_say_beside_a_face() -> None:
    reading = reading_of(
        watch(*[(n / 5, (face("sad"),)) for n in range(5)], (1.0, (face("sad"), face("happy", 500)))), 1.0
    )
    assert len(reading.people) == 1 and reading.posterior.label == "sad"


def test_a_face_that_is_missed_for_a_moment_fades_and_does_not_vanish() -> None:
    both = (face("happy", 100), face("sad", 500))
    tracks = watch(*[(n / 5, both) for n in range(30)], (6.8, (both[0],)))
    assert len(reading_of(tracks, 6.8).people) == 2
    assert 0.55 < share_of(reading_of(tracks, 6.8), "happy") < 0.7


def test_a_crowd_is_no_more_than_its_most_weighty() -> None:
    reading = look_on(tuple(face("happy", 100.0 * n, 40.0 + n) for n in range(9)))
    assert len(reading.people) == MOST_PEOPLE


# --- disagreement -------------------------------------------------------------------------------------------------


def test_people_who_look_alike_do_not_differ() -> None:
    assert disagreement([Person(sure_of("happy"), 1.0)] * 3) == pytest.approx(0.0, abs=1e-9)
    assert disagreement([]) == disagreement([Person(sure_of("happy"), 1.0)]) == 0.0


def test_the_surer_two_people_are_of_different_looks_the_more_they_differ() -> None:
    by_top = [disagreement([Person(sure_of("happy", t), 1), Person(sure_of("sad", t), 1)]) for t in (0.3, 0.6, 0.9, 1)]
    assert by_top == sorted(by_top) and by_top[0] < 0.1 and by_top[-1] == pytest.approx(1.0)


def test_somebody_far_off_does_not_make_a_room_differ() -> None:
    assert disagreement([Person(sure_of("happy"), 1.0), Person(sure_of("sad"), 0.2)]) == 0.0
    assert disagreement([Person(sure_of("happy"), 1.0), Person(sure_of("sad"), 0.5)]) > MOOD.mixed_above


def test_somebody_nobody_can_read_does_not_differ_much() -> None:
    assert disagreement([Person(sure_of("happy", 0.7), 1.0), Person(UNIFORM, 1.0)]) < MOOD.mixed_above


# --- the mood -----------------------------------------------------------------------------------------------------


def live(mood: Mood, sightings: tuple[Sighting, ...], start: float, seconds: float) -> Mood:
    tracks: tuple[Track, ...] = ()
    for tenth in range(int(seconds * 10) + 1):
        at = start + tenth / 10
        tracks = follow(tracks, sightings, at)
        mood = step(mood, _fused(tracks, at), at, MOOD)
    return mood


def _fused(tracks: tuple[Track, ...], at: float) -> Fused | None:
    return fuse([reading_of(tracks, at)], at, FusionSettings()) if tracks else None


APART = (face("happy", 100), face("sad", 500))


def test_a_room_whose_people_differ_is_mixed_after_the_dwell_and_not_before() -> None:
    assert live(Mood(), APART, 0.0, 0.8).label == UNKNOWN
    assert live(Mood(), APART, 0.0, 5.0).label == MIXED


def test_a_mixed_room_is_of_one_mood_again_when_people_agree_and_unknown_when_they_leave() -> None:
    mixed = live(Mood(), APART, 0.0, 5.0)
    assert live(mixed, (face("sad", 100), face("sad", 500)), 5.0, 5.0).label == "sad"
    assert live(mixed, (), 5.0, 6.0).label == UNKNOWN


def test_a_mixed_room_stays_mixed_within_the_margin() -> None:
    edge = Fused(sure_of("happy", 0.6), 1.0, (), MOOD.mixed_above - 0.5 * MOOD.margin)
    fresh = mixed = Mood()
    mixed = replace(mixed, label=MIXED, disagreement=0.5)
    for tenth in range(80):
        fresh, mixed = (step(mood, edge, tenth / 10, MOOD) for mood in (fresh, mixed))
    assert (fresh.label, mixed.label) == ("happy", MIXED)


def test_a_mixed_room_is_met_calmly() -> None:
    assert affect_of(MIXED) == affect_of(UNKNOWN)


def test_the_reason_names_what_differs_and_how_many_agree() -> None:
    def words(*sightings: Sighting) -> str:
        fused = fuse([look_on(sightings)], 6.0, FusionSettings())
        assert fused
        return explain(fused.shares)

    assert words(face("happy", 100, 120), face("sad", 500)) == "faces differ: happy, sad"
    assert words(face("happy", 100), face("happy", 500)) == "face happy 0.90 (2 people)"
    assert words(face("happy", 100)) == "face happy 0.90"


# --- the measurement ----------------------------------------------------------------------------------------------


def test_the_measured_pairs_are_mixed_after_the_dwell_where_they_differ_and_never_where_they_do_not() -> None:
    chance = np.random.default_rng(1)
    happy, sad = [face("happy"), face("happy", top=0.8)], [face("sad"), face("sad", top=0.8)]
    alike, apart = watch_pair(happy, happy, chance), watch_pair(happy, sad, chance)
    assert not any(alike.mixed) and alike.first < 0.1 and alike.last < 0.1
    settled = MoodSettings().dwell_seconds + MoodSettings().smoothing_seconds
    assert apart.mixed == tuple(seconds > settled for seconds in SECONDS) and apart.first > 0.4


def test_a_face_too_poor_to_read_makes_no_measured_pair_mixed() -> None:
    poor = [face("sad", quality=0.05)]
    assert not any(watch_pair([face("happy")], poor, np.random.default_rng(1)).mixed)
    assert not any(watch_pair(poor, poor, np.random.default_rng(1)).mixed)


def test_half_of_the_measured_pairs_have_the_same_label_and_are_counted_by_kind() -> None:
    chance = np.random.default_rng(1)
    labels = chance.integers(0, 7, 50)
    pairs = drawn_pairs(labels, chance)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    assert len(pairs) == PAIRS and same.sum() == PAIRS // 2 and (pairs[:, 0] != pairs[:, 1]).all()
    watched = [watch_pair([face("happy")], [face(label)], chance) for label in ("happy", "sad")]
    told = table(watched, np.array([[3, 3], [3, 4]]), np.array([True, False])).splitlines()
    assert told[1].split()[2:4] == ["1", "0.0"] and told[2].split()[2:4] == ["1", "100.0"]
    assert told[4].split()[3] == "1" and told[5].split()[3:5] == ["0", "–"]


def test_another_look_at_a_face_is_a_little_different_and_the_same_face() -> None:
    rows, columns = np.mgrid[:48, :48]
    smooth = (128 + 60 * np.sin(rows / 7) * np.cos(columns / 5)).astype(np.uint8)
    looks = [another_look(smooth, np.random.default_rng(seed)) for seed in range(20)]
    assert all(look.shape == (48, 48) and look.dtype == np.uint8 and (look != smooth).any() for look in looks)
    assert min(np.corrcoef(look.ravel(), smooth.ravel())[0, 1] for look in looks) > 0.7
