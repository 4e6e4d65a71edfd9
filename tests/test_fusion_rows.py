"""Comparing ways to join face and voice: on readings and sounds of our own."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from device.domain.labels import LABELS, UNKNOWN
from device.domain.reading import UNIFORM, Modality, Posterior, Reading
from device.lab.evaluate import everyday_noises
from device.lab.fusion_rows import (
    COST,
    OURS,
    ROOM_DBFS,
    SPEECH_DBFS,
    Place,
    Row,
    Share,
    answer,
    as_text,
    at_level,
    compare,
    in_a_room,
    last_reading,
    strangers,
)
from device.lab.pictures import fusion_rows
from device.ports import Chunk
from device.sensing.ears import measure_levels
from tests.sounds import music

LABEL_INDICES = np.repeat(np.arange(len(LABELS)), 4)
CLEAR = Row("clear", "clear", "clear")
VOICE_POOR = Row("voice poor", "clear", "poor")
CONTRARY = Row("contrary", "clear", "clear", contrary=True, truth=None)
VOICE_RIGHT = Row("voice right", "poor", "clear", contrary=True, truth=Modality.VOICE)


def saying(index: int, modality: Modality, quality: float = 1.0, top: float = 0.8) -> Reading:
    rest = (1 - top) / (len(LABELS) - 1)
    return Reading(modality, Posterior(tuple(top if i == index else rest for i in range(7))), quality, 0.0)


def said(modality: Modality) -> dict[str, list[Reading | None]]:
    """Clear: the right label; poor: always angry, surely, with a quality that tells."""
    clear: list[Reading | None] = [saying(int(index), modality) for index in LABEL_INDICES]
    poor: list[Reading | None] = [saying(0, modality, quality=0.1, top=0.95) for _ in LABEL_INDICES]
    return {"clear": clear, "poor": poor}


def outcome_of(row: Row):
    (outcome,) = compare(LABEL_INDICES, said(Modality.FACE), said(Modality.VOICE), [row])
    return outcome


def test_the_noises_of_the_test_are_none_that_the_voice_model_was_trained_in(tmp_path) -> None:
    (tmp_path / "esc10").mkdir()
    names = [f"001_Rain__{fold}-{number}-A.ogg" for fold in range(1, 6) for number in range(3)]
    for name in names:
        (tmp_path / "esc10" / name).touch()
    unheard, trained = ([path.name for path in everyday_noises(tmp_path, known)] for known in (False, True))
    assert unheard == [name for name in names if "__5-" in name]
    assert sorted(unheard + trained) == sorted(names)


def test_what_is_right_wrong_and_unknown_sums_to_one_in_every_row_and_way() -> None:
    for row in (CLEAR, VOICE_POOR, CONTRARY, VOICE_RIGHT):
        for share in outcome_of(row).ways.values():
            assert share.right + share.wrong + share.unknown == pytest.approx(1.0)
            assert min(share.right, share.wrong, share.unknown) >= -1e-9


def test_where_both_are_right_every_way_is_and_nothing_is_gained() -> None:
    outcome = outcome_of(CLEAR)
    assert all(share.right == 1.0 for share in outcome.ways.values())
    assert outcome.gain == (0.0, 0.0, 0.0)


def test_the_poorer_sense_counts_less_with_ours_only() -> None:
    outcome = outcome_of(VOICE_POOR)
    assert outcome.ways[OURS].right == 1.0
    assert outcome.ways["product"].right < 0.5
    assert outcome.best_other == "face"


def test_a_missing_sense_leaves_the_other_its_own_answer() -> None:
    outcome = outcome_of(Row("no face", None, "clear"))
    assert outcome.ways["face"].unknown == 1.0
    assert all(share.right == 1.0 for name, share in outcome.ways.items() if name != "face")


def test_contrary_voices_have_another_label_each() -> None:
    uneven = np.repeat(np.arange(7), [9, 1, 4, 4, 4, 4, 4])
    assert (uneven[strangers(uneven)] != uneven).all()


def test_where_they_differ_and_nobody_can_say_it_is_told_whom_each_way_follows() -> None:
    outcome = outcome_of(CONTRARY)
    assert outcome.gain is None
    assert outcome.follows_voice["voice"] == 1.0
    assert outcome.follows_voice["face"] == 0.0
    assert "the voice's" in as_text([outcome])


def test_where_the_face_is_known_to_be_poor_the_voice_s_label_is_the_right_one() -> None:
    outcome = outcome_of(VOICE_RIGHT)
    assert outcome.ways["voice"].right == 1.0
    assert outcome.ways["face"].right < 0.3


def test_the_table_sums_up_the_rows_whose_truth_is_known() -> None:
    behind = replace(outcome_of(VOICE_POOR), gain=(-0.2, -0.3, -0.1))
    behind.ways[OURS] = Share(right=0.5, wrong=0.4, unknown=0.1)
    last = as_text([outcome_of(CLEAR), behind, outcome_of(CONTRARY)]).splitlines()[-1]
    worth = (100 + 100 * (0.5 - COST * 0.4)) / 2
    assert last == f"28 pairs; dynamic: mean worth {worth:.1f}, 1 of 2 rows reach 0"


def test_the_interval_of_what_is_gained_holds_its_mean() -> None:
    seen, heard = said(Modality.FACE), said(Modality.VOICE)
    seen["half"] = [one if number % 2 else None for number, one in enumerate(seen["clear"])]
    (outcome,) = compare(LABEL_INDICES, seen, heard, [Row("half", "half", "poor")])
    mean, low, high = outcome.gain or (0.0, 0.0, 0.0)
    assert low <= mean <= high


def test_an_unsure_answer_is_unknown() -> None:
    assert answer(None) == UNKNOWN
    assert answer(UNIFORM) == UNKNOWN
    assert answer(saying(3, Modality.FACE).posterior) == "happy"


def test_speech_and_what_is_around_it_have_the_levels_asked_for() -> None:
    rng = np.random.default_rng(1)
    speech, noise = music(1.2, seed=1), music(2.0, seed=2)
    quiet = in_a_room(speech, noise, noise, Place(), 1.0, rng)
    noisy = in_a_room(speech, noise, noise, Place(noise_dbfs=-40.0), 1.0, rng)
    assert len(quiet) == len(noisy) == 3 * 16_000
    assert measure_levels(quiet[-len(speech) :]).active_dbfs == pytest.approx(SPEECH_DBFS, abs=0.5)
    assert measure_levels(quiet[: -len(speech)]).active_dbfs == pytest.approx(ROOM_DBFS, abs=1.5)
    assert measure_levels(noisy[: -len(speech)]).active_dbfs == pytest.approx(-40.0, abs=3.0)
    assert measure_levels(at_level(speech, -50.0)).active_dbfs == pytest.approx(-50.0, abs=0.1)


def test_the_last_that_the_ears_say_counts_as_new() -> None:
    class Once:
        """Ears that say one thing early on."""

        def hear(self, chunk: Chunk) -> Reading | None:
            return replace(saying(4, Modality.VOICE), at_seconds=chunk.at_seconds) if chunk.at_seconds == 1.0 else None

    last = last_reading(Once(), np.zeros(48_000, np.float32), 1.0)
    assert last
    assert (last.posterior.label, last.at_seconds) == ("sad", 0.0)
    assert last_reading(Once(), np.zeros(8_000, np.float32), 0.5) is None


def test_the_rows_are_drawn(tmp_path) -> None:
    path = fusion_rows([asdict(outcome_of(row)) for row in (CLEAR, VOICE_POOR)], tmp_path / "rows.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
