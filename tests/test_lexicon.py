"""Mood words have places on the plane, and nobody's word is lost."""

from __future__ import annotations

import pytest

from device.domain.labels import AFFECT_OF_LABEL, Affect
from device.domain.lexicon import affect_of_words, folded, parse_lexicon, unknown_words
from device.library import load_lexicon

LEXICON = load_lexicon()

SMALL = parse_lexicon('without_feeling = ["live"]\n[words]\n"laid back" = [0.4, -0.4]\n"müde" = [-0.2, -0.8]')


def test_the_shipped_lexicon_knows_the_usual_words():
    usual = "happy sad calm energetic melancholic aggressive relaxed dark romantic party chill traurig joyeux alegre"
    assert unknown_words(usual.split(), LEXICON) == ()
    assert len(LEXICON.affects) >= 100


def test_the_seven_labels_lie_where_they_lie_everywhere():
    assert {label: LEXICON.affects[label] for label in AFFECT_OF_LABEL} == AFFECT_OF_LABEL


@pytest.mark.parametrize(
    ("word", "valence", "arousal"),
    [("joyful", 1, 1), ("peaceful", 1, -1), ("gloomy", -1, -1), ("furious", -1, 1), ("wütend", -1, 1)],
)
def test_words_lie_in_their_quadrants(word, valence, arousal):
    affect = affect_of_words([word], LEXICON)
    assert affect.valence * valence > 0 and affect.arousal * arousal > 0


@pytest.mark.parametrize("word", ["Laid-Back", "laid_back", "  LAID   BACK "])
def test_case_hyphens_and_spaces_make_no_difference(word):
    assert affect_of_words([word], SMALL) == Affect(0.4, -0.4)


def test_accents_make_no_difference_however_they_are_encoded():
    assert folded("müde") == folded("mu\u0308de") == folded("MUDE")


def test_several_words_give_their_mean_and_unknown_ones_do_not_count():
    affect = affect_of_words(["laid back", "müde", "glorbish"], SMALL)
    assert (affect.valence, affect.arousal) == (pytest.approx(0.1), pytest.approx(-0.6))


def test_no_known_word_gives_no_affect():
    assert affect_of_words(["glorbish"], SMALL) is None
    assert affect_of_words(["live"], SMALL) is None
    assert affect_of_words([], SMALL) is None


def test_unknown_words_are_listed_once_the_most_frequent_first():
    words = ["odd", "glorbish", "live", "laid back", "glorbish"]
    assert unknown_words(words, SMALL) == ("glorbish", "odd")


@pytest.mark.parametrize(
    "text",
    ["[words]\nodd = [2, 0]", "[words]\nodd = 1", "[words]\nodd = [true, 0]", "[word]\nodd = [0, 0]", "[words"],
)
def test_a_wrong_lexicon_is_refused(text):
    with pytest.raises(ValueError, match=r"odd: .* is not|word: no such part|Expected"):
        parse_lexicon(text)
