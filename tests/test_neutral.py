"""The home's neutral face: learned from a face at rest, taken off what is read later, and never so much as to blind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.domain.brain import BrainSettings, State, handle, state_with, wishes_of
from device.domain.events import Asked, ForgetNeutral, LearnNeutral, Perceived, SenseChanged, SenseState, Tick
from device.domain.labels import LABELS
from device.domain.neutral import (
    LEAST_SECONDS,
    LOOK_SECONDS,
    MOST_LOG_ODDS,
    NEUTRAL,
    Looking,
    at_home,
    baseline,
    corrected,
    learn,
    take_look,
)
from device.domain.people import reading_with
from device.domain.picture import picture
from device.domain.programme import Programme
from device.domain.reading import Modality, Person, Posterior, Reading, normalised
from device.domain.snapshot import NeutralView
from device.lab.neutral import MOUTH_CORNERS, bent, effect

SETTINGS = BrainSettings()


def looks(**shares: float) -> Posterior:
    """A posterior of these labels, a little of every other."""
    return normalised(shares.get(label, 0.02) for label in LABELS)


SAD_AT_REST = looks(sad=0.55, neutral=0.35)
PLAIN = looks(neutral=0.85, sad=0.05)


def face(posterior: Posterior, at: float = 0.0, quality: float = 0.9) -> Reading:
    plain = Reading(Modality.FACE, posterior, quality, at)
    return reading_with(plain, (Person(posterior, 1.0),))


def after(posterior: Posterior, seconds: float = LOOK_SECONDS, every: float = 0.2, quality: float = 0.9) -> Looking:
    looking = Looking(0.0)
    for n in range(1, round(seconds / every) + 1):
        looking = take_look(looking, face(posterior, n * every, quality))
    return looking


def learned(posterior: Posterior) -> tuple[float, ...]:
    off, why = learn(after(posterior))
    assert off and not why
    return off


# --- what is learned ----------------------------------------------------------------------------------------------


def test_a_resting_face_that_looks_sad_is_neutral_afterwards() -> None:
    assert SAD_AT_REST.label == "sad"
    assert corrected(SAD_AT_REST, learned(SAD_AT_REST)).label == "neutral"


def test_somebody_like_that_who_is_plainly_sad_is_still_sad() -> None:
    assert corrected(looks(sad=0.95, neutral=0.02), learned(SAD_AT_REST)).label == "sad"


def test_other_looks_are_hardly_touched() -> None:
    off = learned(SAD_AT_REST)
    assert [label for label, less in zip(LABELS, off, strict=True) if less > 0] == ["sad"]
    assert corrected(looks(happy=0.8), off).label == "happy"


def test_a_face_that_is_read_well_at_rest_teaches_nothing() -> None:
    assert learned(PLAIN) == (0.0,) * len(LABELS)


def test_no_face_takes_off_more_than_the_cap_and_neutral_is_never_touched() -> None:
    off = learned(looks(angry=0.97, neutral=0.001))
    assert max(off) == MOST_LOG_ODDS and min(off) >= 0.0 and off[NEUTRAL] == 0.0


def test_the_less_was_seen_the_less_is_believed() -> None:
    odds = [0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0]
    sad = LABELS.index("sad")
    assert baseline(odds, 20.0)[sad] > baseline(odds, 4.0)[sad] > baseline(odds, 0.0)[sad] == 0.0


@pytest.mark.parametrize("every", [0.2, 1.0, 3.0])
def test_what_is_learned_does_not_depend_on_how_often_it_looks(every: float) -> None:
    off, _ = learn(after(SAD_AT_REST, every=every))
    assert off and off == pytest.approx(learned(SAD_AT_REST), abs=0.05)


def test_each_of_several_people_is_read_anew() -> None:
    both = reading_with(face(SAD_AT_REST), (Person(SAD_AT_REST, 1.0), Person(looks(happy=0.9), 1.0)))
    read = at_home(both, learned(SAD_AT_REST))
    assert [person.posterior.label for person in read.people] == ["neutral", "happy"]
    assert at_home(both, None) is both


# --- what is refused ----------------------------------------------------------------------------------------------


def test_too_short_a_look_is_refused_and_says_how_short() -> None:
    assert learn(Looking(0.0))[1].startswith("nobody was seen well enough")
    off, why = learn(after(SAD_AT_REST, seconds=LEAST_SECONDS - 2))
    assert off is None and "6 of 20 seconds" in why


def test_poor_looks_do_not_count() -> None:
    assert learn(after(SAD_AT_REST, quality=0.3))[0] is None


def test_a_laughing_face_is_not_at_rest() -> None:
    off, why = learn(after(looks(happy=0.9)))
    assert off is None and "happy" in why


# --- in the speaker -----------------------------------------------------------------------------------------------


def run(state: State, posterior: Posterior | None, start: float, seconds: float) -> State:
    """Look at a face (None: an empty room) twice a second."""
    for n in range(1, round(2 * seconds) + 1):
        at = start + n / 2
        events = [Perceived(face(posterior, at), at)] if posterior else []
        for event in (*events, Tick(at)):
            state, _ = handle(state, event, SETTINGS)
    return state


def ask(state: State, command: LearnNeutral | ForgetNeutral) -> State:
    return handle(state, Asked(command, "test", state.now_seconds), SETTINGS)[0]


def camera(state: State, to: SenseState, at: float) -> State:
    return handle(state, SenseChanged(Modality.FACE, to, "", at), SETTINGS)[0]


def told(state: State) -> NeutralView:
    return picture(state, 1).neutral


@pytest.fixture
def watching() -> State:
    return run(camera(State(), SenseState.ON, 0.0), SAD_AT_REST, 0.0, 20.0)


def test_a_home_that_looks_sad_at_rest_is_neutral_once_it_was_learned(watching: State) -> None:
    assert watching.mood.label == "sad"
    looking = run(ask(watching, LearnNeutral()), SAD_AT_REST, 20.0, 5.0)
    assert told(looking) == NeutralView(False, pytest.approx(15.0))
    after_it = run(looking, SAD_AT_REST, 25.0, 30.0)
    assert told(after_it) == NeutralView(True) and after_it.mood.label == "neutral"
    assert state_with(wishes_of(after_it), Programme()).neutral == after_it.neutral
    assert run(ask(after_it, ForgetNeutral()), SAD_AT_REST, 55.0, 20.0).mood.label == "sad"


def test_learning_anew_looks_at_faces_as_they_are(watching: State) -> None:
    once = run(ask(watching, LearnNeutral()), SAD_AT_REST, 20.0, 22.0)
    twice = run(ask(once, LearnNeutral()), SAD_AT_REST, 42.0, 22.0)
    assert once.neutral and twice.neutral == pytest.approx(once.neutral, abs=0.05)


def test_nothing_is_learned_without_a_camera_or_a_face(watching: State) -> None:
    off = ask(camera(watching, SenseState.OFF, 20.0), LearnNeutral())
    assert off.looking is None and told(off).detail == "the camera is off"
    alone = ask(run(watching, None, 20.0, 20.0), LearnNeutral())
    assert alone.looking is None and told(alone).detail.startswith("nobody is seen")


def test_the_camera_going_off_ends_it_and_what_was_known_stays(watching: State) -> None:
    known = replace(watching, neutral=learned(SAD_AT_REST))
    ended = camera(run(ask(known, LearnNeutral()), SAD_AT_REST, 20.0, 5.0), SenseState.LOST, 25.5)
    assert told(ended) == NeutralView(True, None, "the camera went off")


def test_leaving_halfway_says_so(watching: State) -> None:
    left = run(run(ask(watching, LearnNeutral()), SAD_AT_REST, 20.0, 4.0), None, 24.0, 18.0)
    assert left.neutral is None and "4 of 20 seconds" in told(left).detail


# --- how it is measured -------------------------------------------------------------------------------------------


def test_the_measure_sees_both_what_is_won_and_what_is_lost() -> None:
    barely_sad = looks(sad=0.5, neutral=0.4)
    measured = effect("he", [SAD_AT_REST] * 5, [SAD_AT_REST, barely_sad], [NEUTRAL, LABELS.index("sad")])
    assert measured.neutral == (0.0, 1.0) and measured.accuracy == (0.5, 0.5) and measured.balanced == (0.5, 0.5)
    assert 0 < measured.strongest <= MOST_LOG_ODDS


def test_a_made_up_face_is_bent_where_it_should_be_and_nowhere_else() -> None:
    image = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[:, np.newaxis], (1, 48))
    same, drooping = bent(image, (), 0.0), bent(image, MOUTH_CORNERS, 4.0)
    assert np.array_equal(same, image)
    assert drooping[36, 15] < image[36, 15] - 10 and np.array_equal(drooping[:10], image[:10])
