"""Readings, fusion and mood: what the speaker believes, and when it changes its mind."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from device.domain.fusion import SMALLEST_PROBABILITY, FusionSettings, explain, fuse, weight_of
from device.domain.labels import LABELS, UNKNOWN
from device.domain.mood import Mood, MoodSettings, step
from device.domain.reading import UNIFORM, Modality, Posterior, Reading, calibrate, divergence, normalised

FUSION = FusionSettings(half_life_seconds=4.0, expiry_seconds=12.0, smallest_weight=0.05)
MOOD = MoodSettings(smoothing_seconds=1.0, dwell_seconds=5.0, margin=0.1, smallest_top=0.4)


def sure_of(label: str, top: float = 0.9) -> Posterior:
    rest = (1 - top) / (len(LABELS) - 1)
    return Posterior(tuple(top if name == label else rest for name in LABELS))


def reading(label: str, modality: Modality = Modality.FACE, *, top=0.9, quality=1.0, at=0.0, note="") -> Reading:
    return Reading(modality, sure_of(label, top), quality, at, note)


def live(mood: Mood, label: str | None, start: float, seconds: float) -> Mood:
    """Feed ten readings a second that all say `label` (None: nothing perceived)."""
    for tenth in range(int(seconds * 10) + 1):
        at = start + tenth / 10
        mood = step(mood, fuse([reading(label, at=at)], at, FUSION) if label else None, at, MOOD)
    return mood


posteriors = st.lists(st.floats(0.001, 1.0), min_size=7, max_size=7).map(normalised)


@given(st.lists(st.floats(-500, 500), min_size=7, max_size=7), st.floats(0.05, 20))
def test_any_logits_become_probabilities_in_the_same_order(logits, temperature) -> None:
    posterior = calibrate(logits, temperature)
    assert math.isclose(sum(posterior.values), 1.0, abs_tol=1e-6)
    assert posterior.values[logits.index(max(logits))] == posterior.top


def test_a_higher_temperature_is_less_sure_of_the_same_label() -> None:
    logits = [0.0, 1.0, 4.0, 2.0, 0.0, 0.0, 0.0]
    assert calibrate(logits, 3.0).label == calibrate(logits, 1.0).label == "fear"
    assert calibrate(logits, 3.0).top < calibrate(logits, 1.0).top


def test_a_posterior_that_does_not_sum_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="sums to 1"):
        Posterior((0.5,) * 7)


def test_a_uniform_posterior_has_no_confidence_however_good_the_image() -> None:
    assert Reading(Modality.FACE, UNIFORM, 1.0, 0.0).confidence == pytest.approx(0.0, abs=1e-9)


@given(posteriors, st.floats(0.3, 1.0))
def test_one_modality_alone_keeps_its_own_answer(posterior, quality) -> None:
    alone = fuse([Reading(Modality.VOICE, posterior, quality, 0.0)], 0.0, FUSION)
    if alone and alone.support:
        assert alone.posterior.values == pytest.approx(posterior.values, abs=1e-3)


def test_two_that_agree_are_surer_than_either() -> None:
    both = fuse([reading("sad", top=0.6), reading("sad", Modality.VOICE, top=0.6)], 0.0, FUSION)
    assert both and both.posterior.label == "sad"
    assert both.posterior.top > 0.6


EVERYTHING = replace(FUSION, smallest_weight=0.0)


@given(posteriors, st.permutations(range(len(LABELS))), st.floats(0.1, 1.0))
def test_two_that_count_alike_are_pooled_as_independent_witnesses(posterior, order, quality) -> None:
    other = Posterior(tuple(posterior.values[i] for i in order))
    readings = [Reading(Modality.FACE, posterior, quality, 0.0), Reading(Modality.VOICE, other, quality, 0.0)]
    both = fuse(readings, 0.0, replace(EVERYTHING, voice_trust=1.0))
    if both and all(not share.ignored for share in both.shares):
        seen, heard = ([max(p, SMALLEST_PROBABILITY) for p in one.values] for one in (posterior, other))
        product = [one * another for one, another in zip(seen, heard, strict=True)]
        assert both.posterior.values == pytest.approx([p / sum(product) for p in product])


@given(posteriors)
def test_beside_what_hardly_counts_a_reading_keeps_its_own_answer(posterior) -> None:
    face, faint = Reading(Modality.FACE, posterior, 1.0, 0.0), reading("angry", Modality.VOICE, quality=0.001)
    both, alone = (fuse(readings, 0.0, EVERYTHING) for readings in ([face, faint], [face]))
    assert both and alone
    if both.support > 0.01:
        assert both.posterior.values == pytest.approx(alone.posterior.values, abs=0.02)


def test_whoever_hardly_knows_leaves_the_other_its_answer_however_well_perceived() -> None:
    face = reading("sad", top=0.6)
    both = fuse([face, reading("angry", Modality.VOICE, top=0.15)], 0.0, EVERYTHING)
    assert both and not any(share.ignored for share in both.shares)
    assert both.posterior.values == pytest.approx(face.posterior.values, abs=0.04)


def test_two_that_hardly_count_are_pooled_like_any_others() -> None:
    faint = [reading("sad", quality=1e-200), reading("sad", Modality.VOICE, quality=1e-200)]
    clear = [reading("sad"), reading("sad", Modality.VOICE)]
    one, other = (fuse(readings, 0.0, EVERYTHING) for readings in (faint, clear))
    assert one and other and one.posterior.values == pytest.approx(other.posterior.values)


def test_a_voice_that_counts_half_makes_nine_fifths_of_a_witness_of_the_two() -> None:
    def odds(readings: list[Reading]) -> float:
        fused = fuse(readings, 0.0, replace(FUSION, voice_trust=0.5))
        assert fused
        return math.log(fused.posterior.values[LABELS.index("sad")] / fused.posterior.values[LABELS.index("happy")])

    face, voice = reading("sad", top=0.6), reading("sad", Modality.VOICE, top=0.6)
    assert odds([face, voice]) == pytest.approx(1.8 * odds([face]))


def test_the_better_perceived_of_two_that_differ_counts_more_and_the_older_less() -> None:
    def odds(quality: float, at: float) -> float:
        voice = reading("angry", Modality.VOICE, quality=quality, at=at)
        fused = fuse([reading("happy"), voice], 0.0, FUSION)
        assert fused
        return math.log(fused.posterior.values[LABELS.index("happy")] / fused.posterior.values[LABELS.index("angry")])

    assert 0 < odds(1.0, 0.0) < odds(0.5, 0.0) < odds(0.25, 0.0)
    assert odds(0.5, -4.0) == pytest.approx(odds(0.25, 0.0))


@given(posteriors, posteriors, st.floats(0.1, 1.0))
def test_it_does_not_matter_which_reading_is_named_first(one, other, quality) -> None:
    face, voice = Reading(Modality.FACE, one, 1.0, 0.0), Reading(Modality.VOICE, other, quality, 0.0)
    first, last = fuse([face, voice], 0.0, FUSION), fuse([voice, face], 0.0, FUSION)
    assert first and last
    assert first.posterior.values == pytest.approx(last.posterior.values)


@given(posteriors, posteriors)
def test_posteriors_differ_by_the_jensen_shannon_divergence(one, other) -> None:
    middle = [(p + q) / 2 for p, q in zip(one.values, other.values, strict=True)]
    expected = (entropy(one.values, middle, base=2) + entropy(other.values, middle, base=2)) / 2
    assert divergence([one, other], [2, 2]) == pytest.approx(expected, abs=1e-9)


def test_posteriors_differ_by_nothing_when_alike_and_by_one_when_they_exclude_each_other() -> None:
    happy, sad = (Posterior(tuple(float(label == one) for label in LABELS)) for one in ("happy", "sad"))
    assert divergence([happy, happy], [0.2, 0.7]) == 0.0
    assert divergence([happy, sad], [1, 1]) == 1.0
    assert 0 < divergence([happy, sad], [1, 9]) < 0.5


def test_the_clearer_modality_wins_a_contradiction() -> None:
    clear_face = fuse([reading("happy"), reading("angry", Modality.VOICE, quality=0.2)], 0.0, FUSION)
    clear_voice = fuse([reading("happy", quality=0.2), reading("angry", Modality.VOICE)], 0.0, FUSION)
    assert clear_face and clear_face.posterior.label == "happy"
    assert clear_voice and clear_voice.posterior.label == "angry"


def test_a_reading_halves_its_weight_every_half_life_and_expires() -> None:
    seen = reading("happy")
    assert weight_of(seen, 4.0, FUSION) == pytest.approx(weight_of(seen, 0.0, FUSION) / 2)
    assert weight_of(seen, 12.1, FUSION) == 0.0


def test_a_poor_reading_is_ignored_and_the_reason_is_told() -> None:
    music = reading("happy", Modality.VOICE, quality=0.01, note="own music")
    fused = fuse([reading("sad"), music], 0.0, FUSION)
    assert fused and fused.posterior.label == "sad"
    assert explain(fused.shares) == "face sad 0.90, voice ignored: own music"


def test_what_has_no_weight_at_all_is_ignored_even_where_any_weight_counts() -> None:
    everything = replace(FUSION, smallest_weight=0.0)
    for readings in ([reading("sad"), reading("happy", Modality.VOICE, quality=0.0)], [reading("sad", quality=0.0)]):
        fused = fuse(readings, 0.0, everything)
        assert fused and fused.shares[-1].ignored == "not sure"


def test_no_usable_reading_gives_no_answer() -> None:
    assert fuse([], 0.0, FUSION) is None
    assert fuse([reading("happy", at=-13.0)], 0.0, FUSION) is None


def test_where_all_is_perceived_badly_nothing_is_known_and_the_reason_is_told() -> None:
    fused = fuse(
        [reading("happy", quality=0.0, note="dark"), reading("sad", Modality.VOICE, quality=0.01)], 0.0, FUSION
    )
    assert fused and fused.support == 0.0
    assert fused.posterior.values == pytest.approx([1 / 7] * 7)
    assert explain(fused.shares) == "face ignored: dark, voice ignored: not sure"


def test_a_voice_counts_less_beside_a_face_of_the_same_weight_but_all_when_alone() -> None:
    fused = fuse([reading("happy"), reading("angry", Modality.VOICE)], 0.0, FUSION)
    assert fused and fused.posterior.label == "happy"
    even = fuse([reading("happy"), reading("angry", Modality.VOICE)], 0.0, replace(FUSION, voice_trust=1.0))
    assert even
    assert even.posterior.values[LABELS.index("happy")] == pytest.approx(even.posterior.values[LABELS.index("angry")])


def test_a_worse_reading_counts_less_but_not_out_of_proportion() -> None:
    def angry_of(quality: float) -> float:
        fused = fuse([reading("happy", top=0.7), reading("angry", Modality.VOICE, quality=quality)], 0.0, FUSION)
        assert fused
        return fused.posterior.values[LABELS.index("angry")]

    assert angry_of(0.2) < angry_of(0.6) < angry_of(1.0)


def test_the_mood_begins_unknown_and_changes_only_after_the_dwell() -> None:
    assert Mood().label == UNKNOWN
    early = live(Mood(), "happy", 0.0, 4.5)
    assert (early.label, early.candidate) == (UNKNOWN, "happy")
    assert live(early, "happy", 4.6, 2.0).label == "happy"


def test_a_short_grimace_changes_nothing() -> None:
    happy = live(Mood(), "happy", 0.0, 10.0)
    grimace = live(happy, "angry", 10.0, 2.0)
    assert live(grimace, "happy", 12.0, 6.0).label == "happy"


def test_a_lasting_change_is_followed() -> None:
    happy = live(Mood(), "happy", 0.0, 10.0)
    assert live(happy, "sad", 10.0, 10.0).label == "sad"


def test_a_lead_within_the_margin_does_not_replace_the_mood() -> None:
    near = normalised([0, 0, 0, 0.45, 0.5, 0, 0.05])
    mood = live(Mood(), "happy", 0.0, 10.0)
    for tenth in range(400):
        at = 10.0 + tenth / 10
        mood = step(mood, fuse([Reading(Modality.FACE, near, 1.0, at)], at, FUSION), at, MOOD)
    assert mood.label == "happy"


def test_an_empty_room_becomes_unknown() -> None:
    assert live(live(Mood(), "happy", 0.0, 10.0), None, 10.0, 15.0).label == UNKNOWN


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 1), st.floats(0, 3)), max_size=30))
def test_the_same_events_always_give_the_same_mood(events) -> None:
    def play() -> Mood:
        mood, at = Mood(), 0.0
        for label, quality, pause in events:
            at += pause
            mood = step(mood, fuse([reading(label, quality=quality, at=at)], at, FUSION), at, MOOD)
        return mood

    assert play() == play()
