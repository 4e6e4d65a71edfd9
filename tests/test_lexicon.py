"""Mood words have places on the plane, and nobody's word is lost."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from device.domain.labels import AFFECT_OF_LABEL, Affect
from device.domain.lexicon import affect_of_words, folded, nearest_words, parse_lexicon, unknown_words, weighted_affect
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
    ("text", "complaint"),
    [
        ("[words]\nodd = [2, 0]", "odd: .* is not"),
        ("[words]\nodd = 1", "odd: .* is not"),
        ("[words]\nodd = [true, 0]", "odd: .* is not"),
        ("[words]\nodd = [0, 0, 0]", "odd: .* is not"),
        ("[words.de]\nodd = [0]", "odd: .* is not"),
        ('[words]\nodd = [0, 0, "hearsay"]', "odd: 'hearsay' is not one of"),
        ("[word]\nodd = [0, 0]", "word: no such part"),
        ("words = 3", "words: 3 is not a table"),
        ("sources = []", "sources: .* is not a table"),
        ('without_feeling = "live"', "without_feeling: .* is not a list"),
        ("not_written = [3]", "not_written: .* is not a list"),
        ("[words", "Expected"),
    ],
)
def test_a_wrong_lexicon_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_lexicon(text)


@pytest.mark.parametrize(("language", "least"), [("en", 150), ("de", 60), ("fr", 60), ("es", 60)])
def test_the_shipped_lexicon_speaks_four_languages(language, least):
    assert sum(spoken == language for spoken in LEXICON.languages.values()) >= least


def test_every_word_says_where_its_place_comes_from():
    assert all(LEXICON.source_of(word) for word in (*LEXICON.affects, *LEXICON.without_feeling))
    assert "labels.py" in LEXICON.source_of("Happy")
    assert "English word" in LEXICON.source_of("fröhlich")
    assert LEXICON.source_of("nicht fröhlich") == LEXICON.source_of("fröhlich")
    assert LEXICON.source_of("glorbish") == ""


def test_words_of_one_form_lie_at_one_place_in_every_language():
    table = tomllib.loads(resources.files("device").joinpath("lexicon.toml").read_text(encoding="utf-8"))["words"]
    places = {}
    for words in (table, *(part for part in table.values() if isinstance(part, dict))):
        for word, place in words.items():
            if isinstance(place, list):
                assert places.setdefault(folded(word), place[:2]) == place[:2], word


@pytest.mark.parametrize(
    ("word", "denied"),
    [("cheerful", "not cheerful"), ("fröhlich", "nicht fröhlich"), ("triste", "pas triste"), ("alegre", "no alegre"),
     ("aggressive", "non_aggressive")],
)  # fmt: skip
def test_a_denied_word_lies_a_little_to_the_other_side(word, denied):
    affect, opposite = LEXICON.affect_of(word), LEXICON.affect_of(denied)
    if denied.replace("_", " ") not in LEXICON.affects:
        assert (opposite.valence, opposite.arousal) == (affect.valence * -0.3, affect.arousal * -0.3)
    assert unknown_words([denied], LEXICON) == ()


def test_a_listed_denied_word_goes_before_the_rule():
    assert LEXICON.affect_of("not happy") == Affect(-0.25, -0.15)


def test_denying_what_nobody_knows_is_unknown_and_what_has_no_feeling_stays_without():
    assert unknown_words(["not glorbish", "not instrumental"], LEXICON) == ("not glorbish",)
    assert LEXICON.affect_of("not instrumental") is None


def test_a_word_of_two_languages_counts_as_the_first_has_it():
    both = parse_lexicon("[words.fr]\nodd = [0.5, 0.5]\n[words]\nodd = [0.1, 0.1]")
    assert both.affects["odd"] == Affect(0.1, 0.1) and both.languages["odd"] == "en"


def test_weights_count_and_little_evidence_draws_to_the_middle():
    assert weighted_affect({"müde": 1.0}, SMALL) == Affect(-0.2, -0.8)
    assert weighted_affect({"müde": 0.5, "glorbish": 1.0}, SMALL) == Affect(-0.1, -0.4)
    both = weighted_affect({"müde": 1.0, "laid back": 0.5}, SMALL)
    assert (both.valence, both.arousal) == (pytest.approx(0.0), pytest.approx(-1 / 1.5))
    assert weighted_affect({"glorbish": 1.0}, SMALL) is None


@pytest.mark.parametrize("label", ["happy", "sad", "angry"])
def test_the_nearest_word_to_a_words_own_place_is_that_word(label):
    assert nearest_words(AFFECT_OF_LABEL[label], LEXICON, 1) == (label,)


def test_the_nearest_words_are_near_and_fit_to_be_written():
    for valence in range(-10, 11, 2):
        for arousal in range(-10, 11, 2):
            affect = Affect(valence / 10, arousal / 10)
            words = nearest_words(affect, LEXICON, 3)
            assert len(set(words)) == 3
            assert all(LEXICON.languages[word] == "en" and not word.startswith("not ") for word in words)
            assert not LEXICON.not_written & set(words)


def test_nearest_words_may_be_of_another_language():
    assert nearest_words(LEXICON.affect_of("traurig"), LEXICON, 1, "de") == ("traurig",)


def test_a_lexicon_of_ones_own_extends_and_overrides_the_shipped_one(tmp_path):
    path = tmp_path / "lexicon.toml"
    path.write_text('without_feeling = ["dark"]\n[words]\nglorbish = [0.5, 0.5]\nhappy = [0.9, 0.9]\nlive = [0.2, 0.2]')
    own = load_lexicon(path)
    assert own.affect_of("glorbish") == Affect(0.5, 0.5)
    assert own.affect_of("happy") == Affect(0.9, 0.9)
    assert own.affect_of("live") == Affect(0.2, 0.2) and own.affect_of("dark") is None
    assert own.affect_of("sad") == LEXICON.affect_of("sad")
    assert unknown_words(["dark", "live"], own) == () and "live" not in own.without_feeling
    assert own.source_of("glorbish") == str(path) and "labels.py" in own.source_of("sad")
