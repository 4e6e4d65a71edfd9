"""The voice recipe's splits: nobody who is measured was trained on, and all corpora are heard alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.sensing.logmel import speech_span
from models.training.voice_corpora import SPEC, TEST, TRAIN, VALIDATION, Clip, Corpora
from models.training.voice_drawing import even_chances
from models.training.voice_folds import Fold, folds, trials
from models.training.voice_recordings import levels_of, read_clips
from models.training.voice_scenes import Surroundings, World, overheard, window_start

FRAMES, BANDS = 301, 80


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
    chances = even_chances(CORPORA, rows)
    for corpus, labels in ((0, 7), (1, 7), (2, 6)):
        assert chances[CORPORA.corpus == corpus].sum() == pytest.approx(1 / 3)
        for label in set(CORPORA.label[CORPORA.corpus == corpus]):
            both = (CORPORA.corpus == corpus) & (CORPORA.label == label)
            assert chances[both].sum() == pytest.approx(1 / 3 / labels)


def test_in_a_crowd_every_speaker_is_drawn_alike() -> None:
    chances = even_chances(CORPORA, np.arange(len(CORPORA.clips)), crowd=1.0)
    speakers = [clip.speaker for clip in CORPORA.clips]
    by_speaker = [chances[[one == speaker for one in speakers]].sum() for speaker in set(speakers)]
    assert by_speaker == pytest.approx([1 / len(by_speaker)] * len(by_speaker))


def test_no_recipe_is_chosen_by_what_measures_it() -> None:
    parts = [replace(clip, part=(TRAIN, VALIDATION, TEST)[number % 3]) for number, clip in enumerate(CORPORA.clips)]
    parted = replace(CORPORA, clips=tuple(parts))
    for fold in trials(parted):
        assert not set(fold.train) & set(fold.test)
        assert not {*fold.train, *fold.test} & set(parted.rows(lambda clip: clip.part == TEST))


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


def test_the_models_window_has_a_frame_each_10_ms() -> None:
    assert (SPEC.frames, SPEC.bands) == (FRAMES, BANDS)


WORDS = np.concatenate([np.zeros(4000), np.sin(np.arange(24_000) / 5) * 0.3, np.zeros(4000)]).astype(np.float32)
"""A tone of 1.5 s in silence."""
STILL = Surroundings(
    length_percent=(100, 101), room_share=0, noise_share=0, music_share=0, narrow_share=0, hiss_ratio_db=(80, 80)
)


def _overheard(seed: int, **ways: object) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, 50_000).astype(np.float32)
    room = np.array([0.8, *[0.0] * 3999, 0.6], np.float32)
    world = World([room], [noise], [noise])
    return overheard(WORDS, world, replace(STILL, **ways), np.random.default_rng(seed))  # type: ignore[arg-type]


def test_a_scene_is_a_window_with_the_words_in_it() -> None:
    for seed in range(20):
        window = _overheard(seed, cut_share=0.0)
        assert window.shape == (SPEC.window_samples,)
        assert (window**2).sum() == pytest.approx((WORDS**2).sum(), rel=0.02)
        assert levels_of(window).shape == (SPEC.frames, SPEC.bands)


def test_noise_lies_as_far_beneath_the_words_as_asked() -> None:
    energy = (WORDS**2).sum()
    for seed in range(5):
        noisy = _overheard(seed, cut_share=0.0, noise_share=1.0, noise_ratio_db=(10, 10))
        noise = ((noisy**2).sum() - energy) / len(noisy)
        with_margins = speech_span(WORDS, SPEC.sample_rate_hz)
        level = energy / (with_margins.stop - with_margins.start)
        assert 10 * np.log10(level / noise) == pytest.approx(10, abs=0.5)


def test_a_room_goes_on_after_the_words() -> None:
    loud = [np.flatnonzero(np.abs(_overheard(3, cut_share=0.0, room_share=share)) > 0.02) for share in (0.0, 1.0)]
    dry, roomy = (places[-1] - places[0] for places in loud)
    assert roomy - dry == pytest.approx(4000, abs=50)


def test_the_same_chance_gives_the_same_scene() -> None:
    ways = {"room_share": 0.5, "noise_share": 0.5, "music_share": 0.5, "hiss_ratio_db": (20, 50)}
    assert np.array_equal(_overheard(7, **ways), _overheard(7, **ways))
    assert not np.array_equal(_overheard(7, **ways), _overheard(8, **ways))


@pytest.mark.parametrize("spoken", [8_000, 40_000, 60_000])
def test_a_window_loses_no_more_of_the_words_than_allowed(spoken: int) -> None:
    window, rng = SPEC.window_samples, np.random.default_rng(1)
    lost = []
    for _ in range(300):
        start = window_start(spoken, window, Surroundings(cut_share=0.5, longest_cut=0.35), rng)
        kept = min(start + window, window + spoken) - max(start, window)
        assert 0 <= start <= window + spoken
        lost.append(1 - kept / spoken)
    most = max(0.35, 1 - window / spoken)
    assert 0.3 < max(lost) <= most + 1e-3
    assert min(lost) == pytest.approx(max(0.0, 1 - window / spoken))
