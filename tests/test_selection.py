"""The next song is near in affect, fresh, drawn by chance that can be repeated, and there is always one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.labels import Affect
from device.domain.selection import Play, SelectionSettings, choose, fits, shelve
from device.domain.tracks import Origin, Track

SETTINGS = SelectionSettings()
HAPPY, SAD = Affect(0.8, 0.5), Affect(-0.7, -0.45)
HOUR = 3600.0


def track(uri: str, valence: float, arousal: float, artist: str = "", album: str = "") -> Track:
    return Track(uri, uri, artist, album, 200.0, ("x",), Affect(valence, arousal), Origin.TAG)


def around(affect: Affect, count: int, prefix: str):
    return [
        track(f"{prefix}{n}", affect.valence + 0.01 * n, affect.arousal, f"{prefix}-artist{n}") for n in range(count)
    ]


def draws(shelf, target, plays=(), now_seconds=10 * HOUR, count=200, settings=SETTINGS, exclude=frozenset()):
    chosen = [choose(shelf, target, plays, now_seconds, seed, settings, exclude) for seed in range(count)]
    return Counter(track.uri for track in chosen if track)


BOTH = shelve([*around(HAPPY, 6, "happy"), *around(SAD, 6, "sad")])


def test_the_song_goes_with_the_mood():
    assert all(uri.startswith("happy") for uri in draws(BOTH, HAPPY))
    assert all(uri.startswith("sad") for uri in draws(BOTH, SAD))


def test_the_same_seed_chooses_the_same_song_and_seeds_differ():
    assert draws(BOTH, HAPPY) == draws(BOTH, HAPPY)
    assert len(draws(BOTH, HAPPY)) == SETTINGS.draw_among


def test_a_song_that_just_played_does_not_come_again_while_others_are_rested():
    plays = [Play("happy0", "", "", 10 * HOUR - 60)]
    seen = draws(BOTH, HAPPY, plays, count=1000)
    assert seen["happy0"] <= 10


def test_a_song_is_as_good_as_new_after_its_rest():
    rested = [Play("happy0", "", "", 10 * HOUR - SETTINGS.song_rest_seconds)]
    assert draws(BOTH, HAPPY, rested) == draws(BOTH, HAPPY)


@pytest.mark.parametrize("what", ["artist", "album"])
def test_an_artist_and_an_album_rest_too(what):
    common = {what: "same"}
    shelf = shelve([track("a", 0.8, 0.5, **common), track("b", 0.8, 0.5, **common), track("c", 0.8, 0.5)])
    play = Play("a", common.get("artist", ""), common.get("album", ""), 10 * HOUR)
    seen = draws(shelf, HAPPY, [play], count=1000)
    assert 0 < seen["b"] < seen["c"] / 2


def test_songs_without_an_artist_do_not_rest_together():
    shelf = shelve([track("a", 0.8, 0.5), track("b", 0.8, 0.5), track("c", 0.8, 0.5, "someone")])
    seen = draws(shelf, HAPPY, [Play("a", "", "", 10 * HOUR)], count=1000)
    assert seen["b"] == pytest.approx(seen["c"], rel=0.2)


def test_excluded_songs_are_never_chosen():
    exclude = frozenset({"happy0", "happy1", "no such song"})
    assert not exclude & draws(BOTH, HAPPY, exclude=exclude).keys()


def test_an_empty_shelf_and_an_excluded_one_give_nothing():
    assert choose(shelve([]), HAPPY, (), 0.0, 1, SETTINGS) is None
    everything = frozenset(track.uri for track in BOTH.tracks)
    assert choose(BOTH, HAPPY, (), 0.0, 1, SETTINGS, everything) is None


def test_when_all_have_just_played_the_longest_rested_is_the_likeliest():
    shelf = shelve([track(name, 0.8, 0.5) for name in "abc"])
    plays = [Play(name, "", "", 10 * HOUR - age) for name, age in (("a", 600), ("b", 300), ("c", 0))]
    seen = draws(shelf, HAPPY, plays, count=1000)
    assert seen["a"] > seen["b"] > seen["c"] == 0


def test_a_single_song_is_played_again():
    shelf = shelve([track("only", -0.5, 0.5)])
    assert choose(shelf, HAPPY, [Play("only", "", "", 0.0)], 0.0, 1, SETTINGS).uri == "only"


def test_where_all_are_far_the_nearest_is_chosen():
    narrow = replace(SETTINGS, affect_spread=0.05, draw_among=1)
    shelf = shelve([track("farthest", -1, -1), track("far", -0.9, -0.9)])
    assert choose(shelf, Affect(1, 1), (), 0.0, 1, narrow).uri == "far"


def test_tracks_without_affect_are_not_on_the_shelf():
    unknown = replace(track("x", 0, 0), affect=None)
    assert [t.uri for t in shelve([unknown, track("y", 0, 0)]).tracks] == ["y"]


def test_fits_up_to_two_spreads():
    assert fits(Affect(0.11, 0.5), HAPPY, SETTINGS)
    assert not fits(Affect(0.09, 0.5), HAPPY, SETTINGS)


points = st.floats(-1, 1)


@given(
    st.lists(st.tuples(points, points, st.sampled_from(["", "p", "q"])), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 14), st.floats(-1e6, 1e6)), max_size=20),
    st.tuples(points, points),
    st.integers(0, 2**32),
)
def test_there_is_always_a_song_unless_all_are_excluded(songs, played, target, seed):
    tracks = [track(str(n), valence, arousal, artist) for n, (valence, arousal, artist) in enumerate(songs)]
    plays = [Play(str(number), "p", "", at_seconds) for number, at_seconds in played]
    exclude = frozenset(str(n) for n in range(len(tracks) - 1))
    assert choose(shelve(tracks), Affect(*target), plays, 0.0, seed, SETTINGS, exclude).uri == str(len(tracks) - 1)
    assert choose(shelve(tracks), Affect(*target), plays, 0.0, seed, SETTINGS) in tracks
