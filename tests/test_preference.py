"""What a house hears out it hears more often, what it skips less often; mood by mood, and forgotten when asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device.domain.labels import Affect, affect_of
from device.domain.preference import (
    DAY_SECONDS,
    Outcome,
    OutcomeKind,
    Preference,
    PreferenceSettings,
    aim,
    explain,
    forget,
    learn,
    learn_all,
    weights,
)
from device.domain.shelf import shelve
from device.domain.tracks import Origin, Track, recording_key, text_key

SETTINGS = PreferenceSettings()
LASTING = PreferenceSettings(half_life_days=36500.0)
NOTHING = Preference()
SAD = affect_of("sad")
LIKED, DISLIKED, SKIPPED, NOT_NOW, HEARD = (
    OutcomeKind.LIKED,
    OutcomeKind.DISLIKED,
    OutcomeKind.SKIPPED_EARLY,
    OutcomeKind.NOT_IN_THIS_MOOD,
    OutcomeKind.HEARD_OUT,
)
TIMBRES = {"harsh": bytes([100] + [0] * 11), "soft": bytes([156] + [0] * 11)}


def track(artist: str, title: str, timbre: bytes = b"") -> Track:
    return Track(f"{artist}/{title}", title, artist, "", 200.0, (), SAD, Origin.TAG, timbre=timbre)


TRACKS = [
    *(track(artist, title) for artist in "ABC" for title in ("one", "two", "three")),
    track("", ""),
    *(track(name, name, timbre) for name, timbre in TIMBRES.items()),
]
SHELF = shelve(TRACKS)
ROWS = np.arange(len(SHELF))
ROW = {track.uri: row for row, track in enumerate(TRACKS)}


def outcome(kind, uri="A/one", mood="sad", off=(0.0, 0.0), at_days=0.0) -> Outcome:
    chosen = TRACKS[ROW[uri]]
    aimed = affect_of(mood)
    affect = Affect(aimed.valence + off[0], aimed.arousal + off[1])
    recording, artist = recording_key(chosen), text_key(chosen.artist)
    return Outcome(kind, mood, affect, recording, artist, chosen.timbre, aimed, at_days * DAY_SECONDS)


def taught(*outcomes, start=NOTHING, by=SETTINGS) -> Preference:
    return learn_all(outcomes, by, start)


def weight(preference, uri, mood="sad", by=SETTINGS) -> float:
    return float(weights(preference, mood, SHELF, ROWS, by)[ROW[uri]])


def moved(preference, mood="sad", by=SETTINGS) -> np.ndarray:
    affect = aim(preference, mood, SAD, by)
    return np.array([affect.valence - SAD.valence, affect.arousal - SAD.arousal])


def test_who_knows_nothing_changes_nothing():
    assert weights(NOTHING, "sad", SHELF, ROWS, SETTINGS).tolist() == pytest.approx([1.0] * len(ROWS))
    assert weights(NOTHING, "sad", SHELF, ROWS, SETTINGS).dtype == np.float32
    assert weights(NOTHING, "sad", SHELF, ROWS[:0], SETTINGS).shape == (0,)
    assert aim(NOTHING, "sad", SAD, SETTINGS) == SAD
    assert explain(NOTHING, "sad", 1, 2) == ""


def test_a_skip_lowers_and_a_song_heard_out_raises_the_song_and_a_little_its_artist():
    skipped, heard = taught(outcome(SKIPPED)), taught(outcome(HEARD))
    assert weight(skipped, "A/one") < weight(skipped, "A/two") < 1 == pytest.approx(weight(NOTHING, "A/one"))
    assert weight(heard, "A/one") > weight(heard, "A/two") > 1


def test_one_skip_banishes_neither_the_artist_nor_the_song():
    skipped = taught(outcome(SKIPPED))
    assert weight(skipped, "A/two") > 0.6
    assert weight(skipped, "A/one") > 0.3


def test_a_like_counts_for_more_than_a_song_heard_out():
    assert weight(taught(outcome(LIKED)), "A/one") > weight(taught(outcome(HEARD)), "A/one")


def test_an_artist_that_is_often_skipped_becomes_rare_also_with_songs_nobody_heard():
    skipped = taught(*(outcome(SKIPPED, uri) for uri in ("A/one", "A/two") for _ in range(5)))
    assert weight(skipped, "A/three") < 0.5
    assert weight(skipped, "B/one") > 0.9


def test_learning_in_one_mood_hardly_touches_another():
    skipped = taught(*(outcome(SKIPPED) for _ in range(20)))
    assert weight(skipped, "A/one") < 0.2
    assert weight(skipped, "A/two", "happy") > 0.55
    assert weight(skipped, "B/one", "happy") == pytest.approx(1.0)
    assert moved(skipped, "happy") == pytest.approx([0, 0])


def test_what_several_moods_agree_upon_holds_in_the_next():
    moods = ("sad", "angry", "neutral", "fear")
    one = taught(*(outcome(SKIPPED, "A/one", "sad") for _ in range(20)))
    several = taught(*(outcome(SKIPPED, "A/one", mood) for mood in moods for _ in range(5)))
    assert weight(several, "A/two", "happy") < weight(one, "A/two", "happy")


def test_not_in_this_mood_counts_in_this_mood_only():
    refused = taught(outcome(NOT_NOW))
    assert weight(refused, "A/one") < 0.3
    for mood in ("happy", "unknown"):
        assert weights(refused, mood, SHELF, ROWS, SETTINGS).tolist() == pytest.approx([1.0] * len(ROWS))


def test_a_dislike_counts_in_every_mood():
    disliked = taught(outcome(DISLIKED, mood="happy"))
    assert weight(disliked, "A/one", "sad") < 0.15
    assert weight(disliked, "A/two", "sad") > 0.6


def test_songs_without_names_do_not_pay_for_one_another():
    assert weight(taught(*(replace(outcome(SKIPPED), artist=0, recording=0) for _ in range(5))), "/") > 0.99


def test_the_aim_moves_towards_what_is_heard_out_and_away_from_what_is_skipped():
    rng = np.random.default_rng(1)
    wanted = np.array([0.5, 0.3])
    preference, played = NOTHING, []
    for _ in range(300):
        off = moved(preference) + rng.normal(0, 0.15, 2)
        enjoyed = rng.random() < 0.9 * np.exp(-np.sum((off - wanted) ** 2) / (2 * 0.35**2))
        preference = learn(preference, outcome(HEARD if enjoyed else SKIPPED, off=tuple(off)), SETTINGS)
        played.append(np.hypot(*(moved(preference) - wanted)))
    assert played[-1] < 0.2
    assert np.mean(played[-50:]) < np.mean(played[:50]) / 2


def test_a_house_content_with_the_aim_keeps_it():
    rng = np.random.default_rng(2)
    preference = NOTHING
    for _ in range(300):
        off = moved(preference) + rng.normal(0, 0.15, 2) + [0.1, 0]
        enjoyed = rng.random() < 0.9 * np.exp(-np.sum(off**2) / (2 * 0.35**2))
        preference = learn(preference, outcome(HEARD if enjoyed else SKIPPED, off=tuple(off)), SETTINGS)
    assert np.hypot(*moved(preference)) < 0.15


@pytest.mark.parametrize("kind, way", [(HEARD, 1), (LIKED, 1), (SKIPPED, -1), (NOT_NOW, -1)])
@pytest.mark.parametrize("off", [(0.2, 0.0), (-0.1, 0.3), (0.5, -0.5)])
def test_the_first_song_pulls_or_pushes_the_aim(kind, way, off):
    assert way * moved(taught(outcome(kind, off=off))) @ off > 0


def test_the_aim_moves_no_farther_than_allowed():
    near = replace(SETTINGS, farthest_aim=0.25)
    heard = [outcome(HEARD, off=(1.0, 0.3)) for _ in range(50)] + [outcome(SKIPPED) for _ in range(50)]
    assert np.hypot(*moved(taught(*heard))) > 0.3
    assert np.hypot(*moved(taught(*heard), by=near)) == pytest.approx(0.25)


def test_a_sound_that_is_skipped_becomes_rare_and_its_opposite_frequent():
    heard = [outcome(kind, f"{name}/{name}") for name, kind in (("harsh", SKIPPED), ("soft", HEARD)) for _ in range(20)]
    preference = taught(*(replace(each, artist=0, recording=0) for each in heard))
    assert weight(preference, "harsh/harsh") < 0.85
    assert weight(preference, "soft/soft") > 1.1
    assert weight(preference, "B/one") == pytest.approx(1.0), "nothing is known of how it sounds"
    assert weight(preference, "harsh/harsh") < weight(preference, "harsh/harsh", "happy") < 1
    deaf = replace(SETTINGS, timbre_spread=0.0)
    assert weight(preference, "harsh/harsh", by=deaf) == pytest.approx(1.0)


def test_tastes_fade():
    skips = [outcome(SKIPPED) for _ in range(5)]
    fresh, later = taught(*skips), taught(*skips, outcome(HEARD, "B/one", at_days=600))
    assert weight(fresh, "A/one") < 0.3
    assert weight(later, "A/one") > 0.95


def test_tastes_do_not_fade_while_nobody_listens():
    preference = taught(outcome(SKIPPED, at_days=0))
    assert weight(preference, "A/one") == weight(taught(outcome(SKIPPED, at_days=500)), "A/one")


def test_the_faintest_are_forgotten_when_there_are_too_many():
    few = replace(SETTINGS, most_tallies=10)
    many = [replace(outcome(SKIPPED, at_days=n), recording=n + 1, artist=n + 1) for n in range(30)]
    preference = learn_all(many, few)
    assert {key for _, key in preference.recordings} == {key for _, key in preference.artists} == set(range(21, 31))


def test_forgetting_everything_restores_the_prior():
    assert forget(taught(outcome(SKIPPED), outcome(LIKED, "soft/soft"))) == replace(NOTHING)


def test_a_forgotten_mood_is_as_if_it_had_never_been():
    sad, happy = [outcome(SKIPPED, off=(0.1, 0.2)), outcome(DISLIKED)], [outcome(HEARD, "B/two", "happy")]
    without = forget(taught(*sad, *happy), mood="sad")
    assert without == taught(*happy)


def test_a_forgotten_artist_and_a_forgotten_recording_are_as_good_as_new():
    preference = taught(*(outcome(SKIPPED, uri) for uri in ("A/one", "A/two", "B/one")), outcome(HEARD, "C/one"))
    artist, recording = text_key("A"), text_key("A", "one")
    assert weight(forget(preference, artist=artist), "A/one") == pytest.approx(1.0)
    assert weight(forget(preference, artist=artist), "B/one") == weight(preference, "B/one")
    one = forget(preference, recording=recording)
    assert weight(one, "A/one") == weight(one, "A/three") < 1
    assert forget(preference, mood="happy", artist=artist) == preference


def test_says_why_in_a_few_words():
    preference = taught(
        outcome(LIKED, "A/one", "happy"),
        outcome(LIKED, "A/one", "happy"),
        outcome(HEARD, "A/two", "happy"),
        *(outcome(SKIPPED, "B/one") for _ in range(6)),
        outcome(SKIPPED, "C/one", "fear"),
    )

    def why(uri, mood):
        return explain(preference, mood, recording_key(TRACKS[ROW[uri]]), text_key(TRACKS[ROW[uri]].artist))

    assert why("A/one", "happy") == "liked twice when happy; this artist is welcome when happy"
    assert why("B/one", "sad") == "skipped 6 times when sad; this artist is often skipped when sad"
    assert why("B/two", "sad") == "this artist is often skipped when sad"
    assert why("C/one", "fear") == "skipped once when afraid"
    assert why("C/two", "angry") == ""


def test_draws_repeat_with_their_seed_and_vary_less_where_more_is_known():
    little, much = (
        taught(outcome(HEARD)),
        taught(*(outcome(kind) for kind in (HEARD, HEARD, SKIPPED) for _ in range(40))),
    )

    def drawn(preference, seed):
        return weights(preference, "sad", SHELF, ROWS, SETTINGS, np.random.default_rng(seed))

    assert drawn(little, 3).tolist() == drawn(little, 3).tolist() != drawn(little, 4).tolist()

    def spread(preference):
        return np.std([np.log(drawn(preference, seed)[ROW["A/one"]]) for seed in range(200)])

    assert spread(much) < spread(little) / 1.5
    aims = {aim(little, "sad", SAD, SETTINGS, np.random.default_rng(seed)).valence for seed in range(5)}
    assert len(aims) == 5


offsets = st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
moods = st.sampled_from(["sad", "happy", "unknown"])
histories = st.lists(
    st.builds(outcome, st.sampled_from(OutcomeKind), st.sampled_from(sorted(ROW)), moods, offsets, st.floats(0, 400)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(histories, st.randoms(use_true_random=False), st.sampled_from([SETTINGS, LASTING]))
def test_the_order_of_telling_does_not_matter(history, random, by):
    shuffled = random.sample(history, len(history))
    one, other = learn_all(history, by), learn_all(shuffled, by)
    step_by_step = NOTHING
    for each in history:
        step_by_step = learn(step_by_step, each, by)
    for mood in ("sad", "happy"):
        expected = weights(one, mood, SHELF, ROWS, by)
        assert weights(other, mood, SHELF, ROWS, by) == pytest.approx(expected, rel=1e-4)
        assert weights(step_by_step, mood, SHELF, ROWS, by) == pytest.approx(expected, rel=1e-4)
        assert moved(other, mood, by) == pytest.approx(moved(one, mood, by), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(histories, st.one_of(st.none(), st.integers(0, 99)))
def test_weights_and_aims_stay_within_their_bounds(history, seed):
    preference = taught(*history)
    for mood in ("sad", "happy", "angry"):
        rng = None if seed is None else np.random.default_rng(seed)
        found = weights(preference, mood, SHELF, ROWS, SETTINGS, rng)
        assert np.all((found >= 0.05 - 1e-6) & (found <= 2 + 1e-6))
        affect = aim(preference, mood, SAD, SETTINGS, rng)
        assert -1 <= affect.valence <= 1 and -1 <= affect.arousal <= 1
        assert np.hypot(affect.valence - SAD.valence, affect.arousal - SAD.arousal) <= SETTINGS.farthest_aim + 1e-9


@settings(max_examples=60, deadline=None)
@example([outcome(LIKED, "B/one"), outcome(DISLIKED, "B/one")], "B/one")
@given(histories, st.sampled_from(["A/one", "A/two", "B/one"]))
def test_after_any_history_a_skip_never_raises_and_a_song_heard_out_never_lowers_the_song(history, uri):
    preference = taught(*history)
    at_days = preference.at_seconds / DAY_SECONDS
    before = weight(preference, uri)
    assert weight(taught(outcome(SKIPPED, uri, at_days=at_days), start=preference), uri) <= before + 1e-6
    assert weight(taught(outcome(HEARD, uri, at_days=at_days), start=preference), uri) >= before - 1e-6
