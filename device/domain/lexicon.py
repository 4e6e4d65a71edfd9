"""What mood words mean: a plain look-up from a word to its place on the valence/arousal plane."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import Any

from device.domain.labels import Affect

FIRST_LANGUAGE = "en"
"""Of the words in [words] itself; [words.de] holds German ones."""

DENIED = -0.3
""""not happy" is so much of happy: a little to the other side, as a song that is not happy need not be sad."""

PARTS = ("not_written", "sources", "without_feeling", "words")

_DENIALS = ("not ", "non ", "nicht ", "kein ", "keine ", "pas ", "no ")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Mood words in folded form, see `folded`."""

    affects: Mapping[str, Affect]
    without_feeling: frozenset[str]
    """Words that are known and say nothing about the feeling ("acoustic")."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where the word's place comes from."""
    languages: Mapping[str, str] = field(default_factory=dict)
    not_written: frozenset[str] = frozenset()
    """Words that are understood and never chosen to be written."""

    def affect_of(self, word: str) -> Affect | None:
        """The word's place, or, for one that is denied, a little of the opposite; None when it has none."""
        name = folded(word)
        base = self._denied(name)
        if name in self.affects or base is None or base not in self.affects:
            return self.affects.get(name)
        affect = self.affects[base]
        return Affect(affect.valence * DENIED, affect.arousal * DENIED)

    def knows(self, word: str) -> bool:
        """Whether the word has a place, or is known to say nothing about the feeling."""
        name = folded(word)
        known = self.affects.keys() | self.without_feeling
        return name in known or self._denied(name) in known

    def source_of(self, word: str) -> str:
        """Where the word's place comes from; empty for a word that is not listed."""
        name = folded(word)
        return self.sources.get(name) or self.sources.get(self._denied(name) or "", "")

    def extended(self, own: Lexicon) -> Lexicon:
        """With the words of `own`, which count where both have them."""
        kept = {word: affect for word, affect in self.affects.items() if word not in own.without_feeling}
        return Lexicon(
            affects=kept | dict(own.affects),
            without_feeling=(self.without_feeling - own.affects.keys()) | own.without_feeling,
            sources=dict(self.sources) | dict(own.sources),
            languages=dict(self.languages) | dict(own.languages),
            not_written=(self.not_written - own.affects.keys()) | own.not_written,
        )

    @staticmethod
    def _denied(name: str) -> str | None:
        return next((name.removeprefix(denial) for denial in _DENIALS if name.startswith(denial)), None)


def parse_lexicon(text: str, source: str = "not said") -> Lexicon:
    """Read a lexicon's TOML; else ValueError. `source` is what is said of words whose own source is not.

    Its parts: [words] (word = [valence, arousal], or [valence, arousal, "name of a source"]) with a table for each
    further language ([words.de]); [sources], where a language or a name has its text; and the lists
    `without_feeling` and `not_written`. Of two languages with the same word the first counts.
    """
    table = tomllib.loads(text)
    for key in table:
        if key not in PARTS:
            raise ValueError(f"{key}: no such part; known here: {', '.join(PARTS)}")
    named = {name: str(about) for name, about in _table(table, "sources").items()}
    affects: dict[str, Affect] = {}
    sources: dict[str, str] = {}
    languages: dict[str, str] = {}
    for language, word, entry in _entries(_table(table, "words")):
        place, name = _place(word, entry)
        if name and name not in named:
            raise ValueError(f"{word}: {name!r} is not one of [sources]: {', '.join(named) or 'there are none'}")
        key = folded(word)
        if key not in affects:
            affects[key], languages[key] = place, language
            sources[key] = named.get(name or language, source)
    without = _words(table, "without_feeling")
    sources |= {word: named.get(FIRST_LANGUAGE, source) for word in without}
    return Lexicon(affects, without, sources, languages, _words(table, "not_written"))


def folded(word: str) -> str:
    """The form in which words are compared: no case, no accents, hyphens and underscores as single spaces."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
    return " ".join(re.split(r"[-_\s]+", plain.casefold().strip()))


def affect_of_words(words: Iterable[str], lexicon: Lexicon) -> Affect | None:
    """The mean of the words that are known; None when none is."""
    known = [affect for affect in map(lexicon.affect_of, words) if affect]
    if not known:
        return None
    return Affect(
        sum(affect.valence for affect in known) / len(known),
        sum(affect.arousal for affect in known) / len(known),
    )


def weighted_affect(weights: Mapping[str, float], lexicon: Lexicon) -> Affect | None:
    """The mean of the words that are known, by how sure each is, 0 … 1; None when none is.

    Less than one sure word in all draws the point to the middle of the plane.
    """
    known = [(lexicon.affect_of(word), weight) for word, weight in weights.items() if weight > 0]
    places = [(affect, weight) for affect, weight in known if affect]
    if not places:
        return None
    total = max(1.0, sum(weight for _, weight in places))
    return Affect(
        sum(affect.valence * weight for affect, weight in places) / total,
        sum(affect.arousal * weight for affect, weight in places) / total,
    )


def unknown_words(words: Iterable[str], lexicon: Lexicon) -> tuple[str, ...]:
    """The words nobody knows, each once, the most frequent first."""
    counts = Counter(words)
    unknown = (word for word in counts if not lexicon.knows(word))
    return tuple(sorted(unknown, key=lambda word: (-counts[word], word)))


def nearest_words(affect: Affect, lexicon: Lexicon, count: int = 2, language: str = FIRST_LANGUAGE) -> tuple[str, ...]:
    """The words that say best how something feels, the nearest first; of words at one place the first by letters."""
    places: dict[Affect, str] = {}
    for word in sorted(lexicon.affects):
        fit = lexicon.languages.get(word, FIRST_LANGUAGE) == language and word not in lexicon.not_written
        if fit and not word.startswith(_DENIALS):
            places.setdefault(lexicon.affects[word], word)
    near = sorted(places, key=lambda place: (_distance(place, affect), places[place]))
    return tuple(places[place] for place in near[:count])


def _distance(one: Affect, other: Affect) -> float:
    return hypot(one.valence - other.valence, one.arousal - other.arousal)


def _entries(words: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Language, word and what stands behind it; the first language's words first."""
    yield from ((FIRST_LANGUAGE, word, entry) for word, entry in words.items() if not isinstance(entry, dict))
    for language, table in words.items():
        if isinstance(table, dict):
            yield from ((language, word, entry) for word, entry in table.items())


def _table(table: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = table.get(part, {})
    if not isinstance(found, dict):
        raise ValueError(f"{part}: {found!r} is not a table, written [{part}]")
    return found


def _words(table: Mapping[str, Any], part: str) -> frozenset[str]:
    found = table.get(part, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise ValueError(f"{part}: {found!r} is not a list of words in quotes")
    return frozenset(map(folded, found))


def _place(word: str, entry: Any) -> tuple[Affect, str]:
    """The place, and the name of its source or nothing."""
    point = entry[:2] if isinstance(entry, list) else entry
    name = entry[2] if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], str) else ""
    numbers = isinstance(entry, list) and len(entry) == 2 + bool(name) and all(type(n) in (int, float) for n in point)
    if not numbers or len(point) != 2 or not all(-1 <= number <= 1 for number in point):
        raise ValueError(f"{word}: {entry!r} is not [valence, arousal], each -1 … 1")
    return Affect(float(point[0]), float(point[1])), name
