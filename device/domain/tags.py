"""What the texts in a music file's tags mean, however the program that wrote them names and spells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from device.domain.text import cleaned

MOST_WORDS = 32
LONGEST_WORD = 64
LONGEST_TEXT = 500
LOUDEST_GAIN_DB = 60.0
"""A gain beyond this, up or down, is a slip."""

R128_TO_REPLAYGAIN_DB = 5.0
"""R128 gains (RFC 7845) aim at -23 LUFS, ReplayGain 2 at -18 LUFS."""

Pairs = Iterable[tuple[str, str]]
"""Names and texts as they stand in a file."""

Fields = Mapping[str, Sequence[str]]
"""All texts under a name, by the folded name."""

MANY_ARTISTS = frozenset(
    ("various artists", "various", "va", "v.a.", "verschiedene interpreten", "diverse", "artistes divers",
     "varios artistas", "varios")
)  # fmt: skip

_OTHER_NAMES = {
    "year": "date",
    "author": "artist",
    "wm/year": "date",
    "wm/albumtitle": "album",
    "wm/iscompilation": "compilation",
    "musicbrainzrecordingid": "musicbrainztrackid",
    "musicbrainzreleaseid": "musicbrainzalbumid",
}
"""Folded names that mean the same as another."""

_MEASURED = re.compile(
    r"(?:ab:hi:)?(?:high)?mood:?(happy|sad|aggressive|relaxed|party|acoustic|electronic)"
    r"(?::?(?P<denied>not|non)?\1)?(?P<what>probability|value)?"
)
"""Folded names of AcousticBrainz's classifiers, as Picard's and beets' plug-ins write them."""

_SEPARATORS = re.compile(r"[;,/|\0]")
_NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d+(?:[.,]\d+)?")

STARS_OF_POPULARIMETER = ((0, 0), (31, 1), (95, 2), (159, 3), (223, 4), (255, 5))
"""POPM's byte up to and including, and its stars: Windows writes 1, 64, 128, 196 and 255, others come near."""


def folded_name(name: str) -> str:
    """The form in which names are compared: "Album Artist", "ALBUMARTIST", "WM/AlbumArtist" are one."""
    plain = re.sub(r"[\s_-]", "", name.casefold())
    plain = re.sub(r"^musicbrainz/", "musicbrainz", plain)
    return _OTHER_NAMES.get(plain) or plain.removeprefix("wm/")


def gathered(pairs: Pairs) -> dict[str, list[str]]:
    """All texts by their folded names."""
    fields: dict[str, list[str]] = {}
    for name, text in pairs:
        fields.setdefault(folded_name(name), []).append(text)
    return fields


def line(fields: Fields, name: str) -> str:
    """All texts of a name as one line."""
    texts = (cleaned(part) for value in fields.get(name, ()) for part in value.split("\0"))
    return ", ".join(dict.fromkeys(text for text in texts if text))[:LONGEST_TEXT]


def first(fields: Fields, name: str) -> str:
    """The first text of a name that is one word, as an id is."""
    texts = (cleaned(text) for text in fields.get(name, ()))
    return next((text[:LONGEST_WORD] for text in texts if text and " " not in text), "")


def mood_words(texts: Iterable[str]) -> tuple[str, ...]:
    """Split mood tags at ; , / | and NUL into lower-case words, each once, in order."""
    parts = (part for text in texts for part in _SEPARATORS.split(text))
    words = (" ".join(cleaned(part).lower().split())[:LONGEST_WORD] for part in parts)
    return tuple(dict.fromkeys(word for word in words if word))[:MOST_WORDS]


def measured_moods(fields: Fields) -> dict[str, float]:
    """AcousticBrainz's words ("happy", "not sad") with how sure it was of each: 0 a coin toss, 1 certain.

    Written as shares from 0 to 1 (`mood_happy` = 0.93, `ab:hi:mood_happy:happy` = 0.93), as answers (`mood_happy` =
    "not_happy", with `mood_happy_probability` where there is one) or as a list of answers (`ab:mood`).
    """
    shares: dict[str, float] = {}
    answers: dict[str, bool] = {}
    sureness: dict[str, float] = {}
    for name, texts in fields.items():
        match = _MEASURED.fullmatch(name)
        if match:
            _take(match, texts, shares, answers, sureness)
    for word, yes in answers.items():
        sure = sureness.get(word, 1.0)
        shares.setdefault(word, sure if yes else 1 - sure)
    for word, sure in sureness.items():
        shares.setdefault(word, sure)
    weights = {word if share >= 0.5 else f"not {word}": abs(2 * share - 1) for word, share in shares.items()}
    for word in mood_words(fields.get("ab:mood", ())):
        if word.removeprefix("not ") not in shares:
            weights.setdefault(word, 1.0)
    return dict(list(weights.items())[:MOST_WORDS])


def _take(
    match: re.Match[str],
    texts: Sequence[str],
    shares: dict[str, float],
    answers: dict[str, bool],
    sureness: dict[str, float],
) -> None:
    word = match[1]
    share = _share(texts)
    if share is None:
        said = re.sub(r"[\s_-]", "", texts[0].casefold())
        if said in (word, f"not{word}", f"non{word}"):
            answers[word] = said == word
    elif match["what"] == "probability":
        sureness[word] = share
    elif match["denied"]:
        shares.setdefault(word, 1 - share)
    else:
        shares[word] = share


def _share(texts: Sequence[str]) -> float | None:
    """0 … 1; None when the texts say something else."""
    number = _number(texts)
    return number if number is not None and 0 <= number <= 1 else None


def is_compilation(fields: Fields) -> bool:
    """Marked as such, or by "Various Artists"."""
    marked = any(text.strip().casefold() in ("1", "true", "yes") for text in fields.get("compilation", ()))
    return marked or line(fields, "albumartist").casefold() in MANY_ARTISTS


def is_explicit(fields: Fields) -> bool:
    """iTunes' advisory: 1 and the older 4 are explicit, 2 is the cleaned version."""
    return any(text.strip() in ("1", "4") for text in fields.get("itunesadvisory", ()))


def gain_db(fields: Fields, part: str) -> float | None:
    """ReplayGain of the `part` "track" or "album"; where only Opus' R128 gain is given, that, on ReplayGain's scale."""
    gain = _number(fields.get(f"replaygain{part}gain", ()))
    if gain is None:
        r128 = _number(fields.get(f"r128{part}gain", ()))
        gain = None if r128 is None else r128 / 256 + R128_TO_REPLAYGAIN_DB
    return gain if gain is not None and abs(gain) <= LOUDEST_GAIN_DB else None


def stars(fields: Fields) -> int:
    """1 … 5, or 0 where nobody rated: POPM, then FMPS_RATING (and Quod Libet's), Windows' and a plain RATING."""
    popularimeter = _number(fields.get("popularimeter", ()))
    if popularimeter:
        return stars_of_byte(popularimeter)
    shares = [texts for name, texts in fields.items() if name == "fmpsrating" or name.startswith("rating:")]
    share = next((share for texts in shares if (share := _share(texts))), None)
    if share:
        return _star(share * 5)
    shared = _number(fields.get("shareduserrating", ()))
    if shared:
        return _star(shared / 25 + 1)
    return _stars_of_plain(fields.get("rating", ()))


def stars_of_byte(value: float) -> int:
    """POPM's 0 … 255 as stars."""
    return next((stars for most, stars in STARS_OF_POPULARIMETER if value <= most), 5)


def _stars_of_plain(texts: Sequence[str]) -> int:
    """RATING is written as stars, as a share of 1, and of 100; what is beyond is a POPM byte."""
    number = _number(texts)
    if not number or number < 0:
        return 0
    if number <= 1 and re.search(r"[.,]", texts[0]):
        return _star(number * 5)
    if number <= 5:
        return _star(number)
    if number <= 10:
        return _star(number / 2)
    return _star(number / 20) if number <= 100 else stars_of_byte(number)


def _star(number: float) -> int:
    return min(5, max(1, int(number + 0.5)))


def _number(texts: Sequence[str]) -> float | None:
    """The first number of the first text ("-7.30 dB", "−7,3")."""
    match = _NUMBER.match(texts[0].strip()) if texts else None
    return float(match[0].replace(",", ".").replace("\N{MINUS SIGN}", "-")) if match else None
