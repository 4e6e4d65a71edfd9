"""What mood words mean: a plain look-up from a word to its place on the valence/arousal plane."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from device.domain.labels import Affect


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Mood words in folded form, see `folded`."""

    affects: Mapping[str, Affect]
    without_feeling: frozenset[str]
    """Words that are known and say nothing about the feeling ("acoustic")."""


def parse_lexicon(text: str) -> Lexicon:
    """Read a lexicon's TOML: a list `without_feeling` and [words] (word = [valence, arousal]); else ValueError."""
    table = tomllib.loads(text)
    for key in table:
        if key not in ("words", "without_feeling"):
            raise ValueError(f"{key}: no such part; known here: without_feeling, words")
    affects = {folded(word): _point(word, point) for word, point in table.get("words", {}).items()}
    return Lexicon(affects, frozenset(folded(word) for word in table.get("without_feeling", ())))


def folded(word: str) -> str:
    """The form in which words are compared: no case, no accents, hyphens and underscores as single spaces."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
    return " ".join(re.split(r"[-_\s]+", plain.casefold().strip()))


def affect_of_words(words: Iterable[str], lexicon: Lexicon) -> Affect | None:
    """The mean of the words that are known; None when none is."""
    known = [lexicon.affects[folded(word)] for word in words if folded(word) in lexicon.affects]
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
    known = [(affect_of_words([word], lexicon), weight) for word, weight in weights.items() if weight > 0]
    places = [(affect, weight) for affect, weight in known if affect]
    total = max(1.0, sum(weight for _, weight in places))
    if not places:
        return None
    return Affect(
        sum(affect.valence * weight for affect, weight in places) / total,
        sum(affect.arousal * weight for affect, weight in places) / total,
    )


def unknown_words(words: Iterable[str], lexicon: Lexicon) -> tuple[str, ...]:
    """The words nobody knows, each once, the most frequent first."""
    known = lexicon.affects.keys() | lexicon.without_feeling
    counts = Counter(word for word in words if folded(word) not in known)
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def _point(word: str, point: Any) -> Affect:
    numbers = isinstance(point, list) and len(point) == 2 and all(type(value) in (int, float) for value in point)
    if not numbers or not all(-1 <= value <= 1 for value in point):
        raise ValueError(f"{word}: {point!r} is not [valence, arousal], each -1 … 1")
    return Affect(float(point[0]), float(point[1]))
