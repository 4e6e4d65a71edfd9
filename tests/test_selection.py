"""The next song is near in affect, fresh, drawn by chance that can be repeated, and there is always one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.labels import Affect
from device.domain.selection import POOL, Play, SelectionSettings, Wish, choose, fits, with_keys
from device.domain.shelf import shelve
from device.domain.tracks import Origin, Track

SETTINGS = SelectionSettings()
HAPPY, SAD = Affect(0.8, 0.5), Affect(-0.7, -0.45)
HOUR = 3600.0
points = st.floats(-1, 1)


def track(uri: str, valence: float, arousal: float, artist: str = "", album: str = "", **more) -> Track:
    return Track(uri, uri, artist, album, 200.0, ("x",), Affect(valence, arousal), Origin.TAG, **more)


def around(affect: Affect, count: int, prefix: str):
    return [
        track(f"{prefix}{n}", affect.valence + 0.01 * n, affect.arousal, f"{prefix}-artist{n}") for n in range(count)
    ]


def pick(shelf, target, plays=(), now_seconds=10 * HOUR, seed=1, settings=SETTINGS, favour=None, **wish):
    known = [with_keys(play, shelf) for play in plays]
    return choose(shelf, Wish(target, **wish), known, now_seconds, seed, settings, favour)


def draws(shelf, target, plays=(), count=200, **more):
    chosen = [pick(shelf, target, plays, seed=seed, **more) for seed in range(count)]
    return Counter(choice.uri for choice in chosen if choice)


BOTH = shelve([*around(HAPPY, 6, "happy"), *around(SAD, 6, "sad")])


def test_the_song_goes_with_the_mood():
    assert all(uri.startswith("happy") for uri in draws(BOTH, HAPPY))
    assert all(uri.startswith("sad") for uri in draws(BOTH, SAD))


def test_the_same_seed_chooses_the_same_song_and_seeds_differ():
    assert draws(BOTH, HAPPY) == draws(BOTH, HAPPY)
    assert len(draws(BOTH, HAPPY)) == 6
    assert len(draws(BOTH, HAPPY, settings=replace(SETTINGS, draw_among=3))) == 3


def test_a_song_that_just_played_does_not_come_again_while_others_are_rested():
    plays = [Play("happy0", "", "", 10 * HOUR - 60)]
    seen = draws(BOTH, HAPPY, plays, count=1000)
    assert seen["happy0"] == 0


def test_a_song_is_as_good_as_new_after_twice_its_rest_and_a_skipped_one_after_four_times_that():
    play = Play("happy0", "", "", 10 * HOUR - 2 * SETTINGS.song_rest_seconds)
    assert draws(BOTH, HAPPY, [play]) == draws(BOTH, HAPPY)
    assert "happy0" not in draws(BOTH, HAPPY, [replace(play, skipped=True)])
    long_ago = replace(play, at_seconds=10 * HOUR - 4.2 * SETTINGS.song_rest_seconds, skipped=True)
    assert "happy0" in draws(BOTH, HAPPY, [long_ago])


@pytest.mark.parametrize("what", ["artist", "album"])
def test_an_artist_and_an_album_rest_too(what):
    common = {"artist": "same"} if what == "artist" else {"album": "same", "album_artist": "many"}
    shelf = shelve([track("a", 0.8, 0.5, **common), track("b", 0.8, 0.5, **common), track("c", 0.8, 0.5)])
    play = Play("a", "", "", 10 * HOUR - 60)
    seen = draws(shelf, HAPPY, [play], count=1000, settings=replace(SETTINGS, artist_gap_songs=0, album_gap_songs=0))
    assert 0 < seen["b"] < seen["c"] / 2


@pytest.mark.parametrize("what", ["artist", "album"])
def test_other_songs_lie_between_two_of_an_artist_or_album_while_there_are_others(what):
    common = {"artist": "same"} if what == "artist" else {"album": "same", "album_artist": "many"}
    songs = [track("a", 0.8, 0.5, **common), track("b", 0.8, 0.5, **common), *around(HAPPY, 3, "other")]
    plays = [Play("a", "", "", 10 * HOUR - 600), Play("other0", "", "", 10 * HOUR - 300)]
    assert "b" not in draws(shelve(songs), HAPPY, plays)
    assert "b" in draws(shelve(songs[:3]), HAPPY, plays)


def test_an_artist_who_had_more_than_a_fair_share_is_rarer_until_that_is_levelled():
    songs = [track(f"{artist}{n}", 0.8, 0.5, artist) for artist in "abcd" for n in range(20)]
    long_ago = [Play(f"a{n}", "", "", -3 * SETTINGS.song_rest_seconds) for n in range(15)]
    others = [Play(f"{artist}{n}", "", "", -3 * SETTINGS.song_rest_seconds) for artist in "bcd" for n in range(15)]
    shelf, wide = shelve(songs), replace(SETTINGS, draw_among=1000)

    def share(plays):
        seen = draws(shelf, HAPPY, plays, settings=wide, count=600)
        return sum(count for uri, count in seen.items() if uri.startswith("a")) / 600

    assert share([]) == pytest.approx(0.25, abs=0.06)
    assert share(long_ago) < 0.12
    assert share([*long_ago, *others]) == pytest.approx(0.25, abs=0.06)


def test_two_albums_of_one_name_are_two():
    shelf = shelve(
        [
            track("a", 0.8, 0.5, "one", "Greatest Hits"),
            track("b", 0.8, 0.5, "two", "Greatest Hits"),
            *around(SAD, 9, "s"),
        ]
    )
    assert draws(shelf, HAPPY, [Play("a", "", "", 10 * HOUR)]).keys() == {"b"}


def test_copies_of_a_recording_rest_together():
    copies = [replace(track(uri, 0.8, 0.5, "Ida"), title="Lemon") for uri in ("a.flac", "b.mp3")]
    shelf = shelve([*copies, *around(HAPPY, 3, "other")])
    assert "b.mp3" not in draws(shelf, HAPPY, [Play("a.flac", "", "", 10 * HOUR - 600)])


def test_songs_without_an_artist_do_not_rest_together():
    shelf = shelve([track("a", 0.8, 0.5), track("b", 0.8, 0.5), track("c", 0.8, 0.5, "someone")])
    seen = draws(shelf, HAPPY, [Play("a", "", "", 10 * HOUR)], count=1000)
    assert seen["b"] == pytest.approx(seen["c"], rel=0.2)


def test_what_sounds_like_the_last_song_is_likelier():
    alike, other = bytes([40] * 12), bytes([216] * 12)
    songs = [track("alike", 0.8, 0.5, timbre=alike), track("other", 0.8, 0.5, timbre=other), track("unheard", 0.8, 0.5)]
    seen = draws(shelve(songs), HAPPY, count=1000, sounds_like=(alike,))
    assert seen["alike"] > seen["unheard"] > seen["other"] > 0
    indifferent = draws(
        shelve(songs), HAPPY, count=1000, sounds_like=(alike,), settings=replace(SETTINGS, timbre_share=0)
    )
    assert indifferent["other"] == pytest.approx(indifferent["alike"], rel=0.25)


def test_what_is_liked_here_is_likelier():
    seen = draws(BOTH, HAPPY, count=1000, favour=lambda shelf, rows: np.where(rows == 2, 5.0, 1.0).astype(np.float32))
    assert seen["happy2"] > 2 * seen["happy0"]


def test_an_uncertain_affect_matches_less_where_it_points_and_more_elsewhere():
    songs = [track("sure", 0.8, 0.5), track("unsure", 0.8, 0.5, uncertainty=0.6)]
    shelf = shelve(songs)
    assert draws(shelf, HAPPY, count=1000)["sure"] > 2 * draws(shelf, HAPPY, count=1000)["unsure"]
    far = Affect(-0.2, 0.0)
    assert draws(shelf, far, count=1000)["unsure"] > 500


def test_explicit_songs_and_low_ratings_are_left_out_on_demand():
    shelf = shelve([track("e", 0.8, 0.5, explicit=True), track("one", 0.8, 0.5, rating=1), track("none", 0.8, 0.5)])
    assert draws(shelf, HAPPY).keys() == {"e", "one", "none"}
    assert draws(shelf, HAPPY, settings=replace(SETTINGS, allow_explicit=False)).keys() == {"one", "none"}
    assert draws(shelf, HAPPY, settings=replace(SETTINGS, smallest_rating=3)).keys() == {"e", "none"}
    only = shelve([track("e", 0.8, 0.5, explicit=True)])
    assert pick(only, HAPPY, settings=replace(SETTINGS, allow_explicit=False)) is None


def test_quiet_hours_choose_below_their_ceiling_and_the_calmest_where_nothing_is():
    shelf = shelve([track("loud", 0.8, 0.6), track("mild", 0.7, 0.1), track("still", 0.5, -0.4)])
    assert draws(shelf, HAPPY, highest_arousal=0.2).keys() <= {"mild", "still"}
    loud = shelve([track("loud", 0.8, 0.9), track("less", 0.7, 0.3)])
    seen = draws(loud, HAPPY, highest_arousal=-0.2, count=1000)
    assert seen["less"] > seen["loud"]


def test_a_crowd_above_the_ceiling_hides_no_song_below_it():
    crowd = [track(f"loud{n}", 0.8, 0.5) for n in range(POOL + 500)]
    shelf = shelve([*crowd, *around(Affect(0.0, 0.0), 20, "still"), *around(SAD, 20, "sad")])
    assert all(uri.startswith("still") for uri in draws(shelf, HAPPY, highest_arousal=0.0))
    plays = [Play(f"still{n}", "", "", 10 * HOUR - 60) for n in range(10)]
    rested = draws(shelf, HAPPY, plays, highest_arousal=0.0)
    assert rested.keys() <= {f"still{n}" for n in range(10, 20)}
    below = frozenset(uri for n in range(20) for uri in (f"still{n}", f"sad{n}"))
    assert pick(shelf, HAPPY, highest_arousal=0.0, exclude=below).uri.startswith("loud"), "better than silence"


@given(st.lists(st.tuples(points, points), min_size=1, max_size=300), st.tuples(points, points), st.integers(1, 50))
def test_all_that_lie_under_a_ceiling_are_looked_at_and_no_others(places, target, count):
    shelf = shelve([track(str(n), *place) for n, place in enumerate(places)])
    under = {n for n, (_, arousal) in enumerate(places) if np.float32(arousal) <= target[1] + 1e-6}
    seen = shelf.nearest(Affect(*target), count, highest_arousal=target[1]).tolist()
    assert set(seen) <= under
    assert len(seen) >= min(count, len(under))
    assert set(shelf.nearest(Affect(*target), 300, highest_arousal=target[1]).tolist()) == under


def test_excluded_songs_are_never_chosen():
    exclude = frozenset({"happy0", "happy1", "no such song"})
    assert not exclude & draws(BOTH, HAPPY, exclude=exclude).keys()


def test_a_disliked_song_is_never_chosen_nor_its_copies_and_an_excluded_ones_copies_are():
    copies = [replace(track(uri, 0.8, 0.5, "Ida"), title="Lemon") for uri in ("a.flac", "b.mp3")]
    shelf = shelve([*copies, *around(HAPPY, 3, "other")])
    lemon, gone = frozenset({"a.flac"}), frozenset({"no such song"})
    assert not {"a.flac", "b.mp3"} & draws(shelf, HAPPY, disliked=lemon | gone).keys()
    assert "b.mp3" in draws(shelf, HAPPY, exclude=lemon | gone)


def test_an_empty_shelf_and_an_excluded_one_give_nothing():
    assert pick(shelve([]), HAPPY) is None
    everything = frozenset(BOTH.uri(row) for row in range(len(BOTH)))
    assert pick(BOTH, HAPPY, exclude=everything) is None


def test_when_all_have_just_played_the_longest_rested_is_the_likeliest():
    shelf = shelve([track(name, 0.8, 0.5) for name in "abc"])
    plays = [Play(name, "", "", 10 * HOUR - age) for name, age in (("a", 600), ("b", 300), ("c", 0))]
    seen = draws(shelf, HAPPY, plays, count=1000)
    assert seen["a"] > seen["b"] > seen["c"] == 0


def test_when_all_have_played_a_moment_ago_the_nearest_is_still_the_likeliest():
    plays = [Play(uri, "", "", 10 * HOUR) for uri in (f"{name}{n}" for name in ("sad", "happy") for n in range(6))]
    shelf = shelve([*around(SAD, 6, "sad"), *around(HAPPY, 6, "happy")])
    assert all(uri.startswith("happy") for uri in draws(shelf, HAPPY, plays, settings=replace(SETTINGS, draw_among=3)))


def test_a_single_song_is_played_again():
    shelf = shelve([track("only", -0.5, 0.5)])
    assert pick(shelf, HAPPY, [Play("only", "", "", 10 * HOUR)]).uri == "only"


def test_a_small_library_repeats_what_fits_rather_than_play_what_does_not():
    shelf = shelve([*around(HAPPY, 2, "happy"), *around(SAD, 20, "sad")])
    plays = [Play("happy1", "", "", 10 * HOUR - 3600), Play("happy0", "", "", 10 * HOUR - 300)]
    assert draws(shelf, HAPPY, plays, exclude=frozenset({"happy0"}), count=500)["happy1"] > 450


def test_where_all_are_far_the_nearest_is_chosen():
    narrow = replace(SETTINGS, affect_spread=0.05, draw_among=1)
    shelf = shelve([track("farthest", -1, -1), track("far", -0.9, -0.9)])
    assert pick(shelf, Affect(1, 1), settings=narrow).uri == "far"


def test_tracks_without_affect_are_not_on_the_shelf():
    unknown = replace(track("x", 0, 0), affect=None)
    shelf = shelve([unknown, track("y", 0, 0)])
    assert (len(shelf), shelf.uri(0)) == (1, "y")


def test_fits_up_to_two_spreads():
    assert fits(Affect(0.11, 0.5), HAPPY, SETTINGS)
    assert not fits(Affect(0.09, 0.5), HAPPY, SETTINGS)


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
    shelf = shelve(tracks)
    assert pick(shelf, Affect(*target), plays, 0.0, seed, exclude=exclude).uri == str(len(tracks) - 1)
    assert pick(shelf, Affect(*target), plays, 0.0, seed).uri in {track.uri for track in tracks}


@given(st.lists(st.tuples(points, points), min_size=1, max_size=300), st.tuples(points, points), st.integers(1, 50))
def test_the_nearest_are_always_among_those_looked_at(places, target, count):
    shelf = shelve([track(str(n), *place) for n, place in enumerate(places)])
    distances = np.hypot(*(np.array(places) - target).T)
    seen = shelf.nearest(Affect(*target), count)
    if len(seen) < len(places) and len(places) <= 2 * count:
        assert distances[seen].min() == pytest.approx(distances.min())
    assert len(seen) >= min(count, len(places)) / 2
    assert len(set(seen.tolist())) == len(seen)


def test_a_million_songs_in_one_place_are_looked_at_by_turns():
    shelf = shelve([track(f"{n}", 0.5, 0.5) for n in range(3000)])
    seen = {row for draw in range(40) for row in shelf.nearest(Affect(0.5, 0.5), 100, draw).tolist()}
    assert len(seen) == 3000


def test_a_shelf_finds_a_uri_and_tells_it():
    shelf = shelve([track(uri, 0.1, 0.2) for uri in ("a/ä.ogg", "A/ä.ogg", "b")])
    assert [shelf.row_of(uri) for uri in ("a/ä.ogg", "A/ä.ogg", "b", "c")] == [0, 1, 2, None]
    assert [shelf.uri(row) for row in range(3)] == ["a/ä.ogg", "A/ä.ogg", "b"]
