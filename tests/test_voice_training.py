"""The voice recipe's splits and variations: nobody who is measured was trained on, and all corpora are heard alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training import voice_recipe
from models.training.voice_corpora import SPEC, TEST, Clip, Corpora, read_clips
from models.training.voice_folds import Fold, folds

FRAMES, BANDS = 151, 64


def small_corpora() -> Corpora:
    """One clip of each speaker, label and word group, as noise around -30 dB."""
    clips = [
        *(
            Clip(Path("a.ogg"), "tess", label, s, g, "")
            for s in ("OAF", "YAF")
            for label in range(7)
            for g in range(10)
        ),
        *(Clip(Path("a.ogg"), "ravdess", label, f"{actor:02}", 0, "") for actor in range(1, 25) for label in range(7)),
        *(Clip(Path("a.ogg"), "nemo", label, s, 0, "") for s in "ABCDEFGHI" for label in (0, 2, 3, 4, 5, 6)),
    ]
    rng = np.random.default_rng(1)
    return Corpora(
        tuple(clips),
        rng.normal(-30, 5, (len(clips), FRAMES, BANDS)).astype(np.float16),
        rng.normal(-30, 5, (3, FRAMES, BANDS)).astype(np.float16),
    )


CORPORA = small_corpora()
FOLDS = list(folds(CORPORA, seed=7))


@pytest.mark.parametrize("fold", FOLDS, ids=lambda fold: f"{fold.protocol}: {fold.name}")
def test_no_clip_is_both_trained_on_and_measured(fold: Fold) -> None:
    assert len(fold.train) and len(fold.test)
    assert not set(fold.train) & set(fold.test)


@pytest.mark.parametrize(
    "fold", [f for f in FOLDS if "unheard" in f.protocol or " to " in f.name], ids=lambda f: f.name
)
def test_what_is_unheard_is_heard_nowhere_in_training(fold: Fold) -> None:
    def key(row: int) -> tuple[str, object]:
        clip = CORPORA.clips[row]
        return clip.corpus, clip.group % 5 if "words" in fold.protocol else clip.speaker

    assert not {key(row) for row in fold.train} & {key(row) for row in fold.test}


@pytest.mark.parametrize("protocol", ["TESS, random", "TESS, words unheard", "RAVDESS, actors unheard"])
def test_a_protocol_measures_every_clip_of_its_corpus_once(protocol: str) -> None:
    tested = np.concatenate([fold.test for fold in FOLDS if fold.protocol == protocol])
    corpus = protocol.split(",", maxsplit=1)[0].lower()
    assert sorted(tested) == list(CORPORA.rows(lambda clip: clip.corpus == corpus))


def test_every_corpus_is_drawn_alike_and_every_label_within_it() -> None:
    rows = np.arange(len(CORPORA.clips))
    chances = voice_recipe.even_chances(CORPORA, rows)
    for corpus, labels in ((0, 7), (1, 7), (2, 6)):
        assert chances[CORPORA.corpus == corpus].sum() == pytest.approx(1 / 3)
        for label in set(CORPORA.label[CORPORA.corpus == corpus]):
            both = (CORPORA.corpus == corpus) & (CORPORA.label == label)
            assert chances[both].sum() == pytest.approx(1 / 3 / labels)


def test_a_batch_is_finite_and_only_its_noise_has_no_label() -> None:
    rng = np.random.default_rng(2)
    spec = voice_recipe.standardised_spec(CORPORA.levels)
    values, target = voice_recipe.batch(CORPORA, np.arange(64), spec, rng)
    assert values.shape == (64, FRAMES, BANDS) and np.isfinite(values).all() and np.abs(values).max() <= 4
    assert target.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)


def test_speech_in_noise_is_at_least_as_loud_as_either() -> None:
    levels = CORPORA.levels[:8].astype(np.float32)
    noise = CORPORA.noises.astype(np.float32)
    assert (voice_recipe.add_noise(noise, levels, np.random.default_rng(3)) >= levels - 1e-3).all()


def test_a_room_adds_what_was_said_before_and_nothing_before_anything_is_said() -> None:
    levels = np.full((1, FRAMES, BANDS), -60, np.float32)
    levels[0, 50] = 0
    heard = voice_recipe.reverberate(levels, np.random.default_rng(4))
    assert heard[0, :50].max() < -55
    tail = heard[0, 51:60, 0]
    assert tail[0] > -30 and (np.diff(tail) < 0).all()


def test_a_longer_throat_moves_every_band_and_leaves_the_floor_where_nothing_was() -> None:
    levels = np.full((32, FRAMES, BANDS), -60, np.float32)
    levels[:, :, 30] = 0
    moved = voice_recipe.stretch(levels, -60.0, np.random.default_rng(5))
    places = moved[:, FRAMES // 2].argmax(axis=1)
    assert len(set(places)) > 3 and np.abs(places - 30).max() <= 4
    assert moved.min() == -60


def test_clips_are_split_as_the_evaluation_splits_them(tmp_path: Path) -> None:
    for name in (
        "tess/OAF_back_angry.ogg",
        "ravdess/03-01-05-01-01-01-22.ogg",
        "ravdess/03-01-05-01-01-01-01.ogg",
        "nemo/MP0_anger_1.ogg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    parts = {clip.path.name: clip.part for clip in read_clips(tmp_path)}
    assert parts["03-01-05-01-01-01-22.ogg"] == parts["MP0_anger_1.ogg"] == TEST
    assert parts["03-01-05-01-01-01-01.ogg"] != TEST


def test_the_models_window_has_a_frame_each_20_ms() -> None:
    assert (SPEC.frames, SPEC.bands) == (FRAMES, BANDS)
