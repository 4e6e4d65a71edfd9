"""The protocols by which the voice recipe is judged: which clips train and which are kept for measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.training.voice_corpora import CORPORA, TITLES, TRAIN, VALIDATION, Clip, Corpora

ACTORS_A_FOLD = 4

Belongs = Callable[[Clip], bool]


@dataclass(frozen=True, slots=True)
class Fold:
    """What is trained on and what is measured; the two never share a clip."""

    protocol: str
    name: str
    train: np.ndarray
    """Rows of the corpora."""
    test: np.ndarray

    @property
    def stem(self) -> str:
        """Of the names of this fold's files."""
        return f"{_file_name(self.protocol)}--{_file_name(self.name)}"


def steps_of(fold: Fold, corpora: Corpora, steps: int) -> int:
    """Steps with which every corpus is drawn as often as in `steps` steps over all of them."""
    return steps * len(np.unique(corpora.corpus[fold.train])) // len(CORPORA)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower())


def folds(corpora: Corpora, seed: int) -> Iterator[Fold]:
    """Every fold of every protocol."""
    yield from _random_folds(corpora, seed)
    for group in range(5):
        yield _held_out(
            corpora, "TESS, words unheard", f"word group {group + 1}", "tess", lambda c, g=group: c.group % 5 == g
        )
    for others in (False, True):
        for speaker, name in (("YAF", "OAF to YAF"), ("OAF", "YAF to OAF")):
            protocol = f"TESS, {name}, {'the other corpora trained along' if others else 'alone'}"
            yield _held_out(corpora, protocol, name, "tess", lambda c, s=speaker: c.speaker == s, others)
    for first in range(1, 25, ACTORS_A_FOLD):
        actors = range(first, first + ACTORS_A_FOLD)
        yield _held_out(
            corpora,
            "RAVDESS, actors unheard",
            f"actors {first}–{actors[-1]}",
            "ravdess",
            lambda c, a=actors: int(c.speaker) in a,
            others=True,
        )
    for speaker in sorted({clip.speaker for clip in corpora.clips if clip.corpus == "nemo"}):
        yield _held_out(
            corpora, "nEMO, speaker unheard", speaker, "nemo", lambda c, s=speaker: c.speaker == s, others=True
        )
    for corpus in CORPORA:
        yield _held_out(corpora, f"{TITLES[corpus]}, corpus unheard", corpus, corpus, lambda c: True, others=True)


TRIAL_STRANGERS = (
    {"tess": {"YAF"}, "ravdess": {str(actor) for actor in range(13, 19)}, "nemo": {"TP0", "SM0"}},
    {"tess": {"OAF"}, "ravdess": {f"{actor:02}" for actor in range(7, 13)}, "nemo": {"IC0", "KS0"}},
)
"""Speakers unheard in a trial, none of them of the test part."""


def trials(corpora: Corpora) -> Iterator[Fold]:
    """What recipes are chosen by; the test part is in none of it, neither to train nor to measure."""
    train, validation = (corpora.rows(lambda c, part=part: c.part == part) for part in (TRAIN, VALIDATION))
    known = np.union1d(train, validation)
    yield Fold("validation", "validation", train, validation)
    for number, speakers in enumerate(TRIAL_STRANGERS, start=1):
        test = np.intersect1d(known, corpora.rows(lambda c, s=speakers: c.speaker in s[c.corpus]))
        yield Fold("strangers", f"strangers {number}", np.setdiff1d(known, test), test)
    for corpus in CORPORA:
        test = np.intersect1d(known, corpora.rows(lambda c, name=corpus: c.corpus == name))
        yield Fold("corpus unheard", f"{corpus} unheard", np.setdiff1d(known, test), test)


def _random_folds(corpora: Corpora, seed: int) -> Iterator[Fold]:
    shuffled = np.random.default_rng(seed).permutation(corpora.rows(lambda c: c.corpus == "tess"))
    for number, test in enumerate(np.array_split(shuffled, 5), start=1):
        yield Fold("TESS, random", f"fold {number}", np.setdiff1d(shuffled, test), np.sort(test))


def _held_out(corpora: Corpora, protocol: str, name: str, corpus: str, held_out: Belongs, others: bool = False) -> Fold:
    """The part of a corpus that is `held_out` is measured; the rest of it, and of the others if wanted, trains."""
    test = corpora.rows(lambda c: c.corpus == corpus and held_out(c))
    near = corpora.rows(lambda c: others or c.corpus == corpus)
    return Fold(protocol, name, np.setdiff1d(near, test), test)
