"""What an evaluation says and draws: on pictures and sounds of our own, with the shipped models."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import soundfile

from device.config import Config
from device.demo.portrait import photograph, sad, surprised
from device.domain.fusion import FusionSettings
from device.domain.labels import LABELS, UNKNOWN
from device.domain.reading import UNIFORM, Modality, Posterior, Reading
from device.errors import SetupError
from device.lab.degrade import CLEAN, DEGRADATIONS, Answer, answer_to, degraded, label_of, shown
from device.lab.evaluate_face import evaluate_face, face_test
from device.lab.evaluate_voice import evaluate_voice
from device.lab.ferplus import NOBODY
from device.lab.metrics import agreement, certainty, coverage, score
from device.lab.pictures import draw
from device.sensing.crop import CropGeometry, crop_face
from tests.fakes_eyes import AlwaysSure, FakeFaceFinder

MODELS = Config().paths.models
GEOMETRY = CropGeometry(1.14, 0.0, -0.07)
FACE_SQUARE = (slice(85, 255), slice(240, 410))
"""Where the portrait's face lies, as closely framed as FER-2013's."""
PNG = b"\x89PNG\r\n\x1a\n"

needs_models = pytest.mark.skipif(not (MODELS / "face.card.json").exists(), reason="models/*.card.json are missing")


def only(label: str, share: float = 1.0) -> Posterior:
    rest = (1 - share) / (len(LABELS) - 1)
    return Posterior(tuple(share if name == label else rest for name in LABELS))


@pytest.fixture(scope="module")
def faces() -> dict[str, np.ndarray]:
    """One face with three looks, uint8 [48, 48] each."""
    pytest.importorskip("skimage", reason="scikit-image is missing: it brings the public-domain portrait")
    portrait = photograph()
    looks = {"happy": portrait, "sad": sad(portrait), "surprise": surprised(portrait)}
    return {
        label: cv2.resize(cv2.cvtColor(look, cv2.COLOR_RGB2GRAY)[FACE_SQUARE], (48, 48), interpolation=cv2.INTER_AREA)
        for label, look in looks.items()
    }


@pytest.fixture(scope="module")
def data(faces, tmp_path_factory):
    """A folder with a very small FER-2013, TESS, RAVDESS and nEMO of our own making."""
    folder = tmp_path_factory.mktemp("data")
    columns = {"happy": 1, "sad": 3, "surprise": 2}
    votes = np.zeros((6, 10), np.uint8)
    for row, label in enumerate([*faces, *faces]):
        votes[row, columns[label]], votes[row, 0] = 8, 2
    votes[2] = [0, 0, 5, 5, 0, 0, 0, 0, 0, 0]  # surprise or sad
    votes[5] = [0, 0, 0, 0, 0, 0, 0, 10, 0, 0]  # contempt: none of our labels
    np.savez(
        folder / "fer2013.npz",
        images=np.stack([*faces.values(), *(face[:, ::-1] for face in faces.values())]),
        label=np.array([LABELS.index(label) for label in [*faces, *faces]], np.uint8),
        split=np.array([2, 2, 2, 2, 0, 2], np.uint8),
        ferplus_votes=votes,
        dup_of_earlier_split=np.array([False, False, False, True, False, False]),
    )
    word = next(word for word in map(str, range(99)) if int(hashlib.sha1(word.encode()).hexdigest(), 16) % 10 == 0)
    names = ("tess/OAF_{}_angry", "ravdess/03-01-03-01-01-01-21", "nemo/MP0_sadness_1")
    for number, name in enumerate(names):
        path = folder / f"{name.format(word)}.ogg"
        path.parent.mkdir()
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 16_000).astype(np.float32), 16_000)
    return folder


# --- figures of merit ---------------------------------------------------------------------------------------------


def test_dropping_the_least_confident_leaves_the_right_ones() -> None:
    measured = coverage(np.array([0.9, 0.1, 0.8, 0.3]), np.array([True, False, True, False]))
    at = dict(measured.accuracy_at)
    assert (at[1.0], at[0.75], at[0.5]) == pytest.approx((0.5, 2 / 3, 1.0))
    assert measured.aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    backwards = coverage(np.array([0.1, 0.9, 0.2, 0.7]), np.array([True, False, True, False]))
    assert backwards.aurc > measured.aurc


def test_certainty_is_one_minus_the_readings_normalised_entropy() -> None:
    posteriors = [only("happy"), only("sad", 0.6), UNIFORM]
    expected = [1 - posterior.normalised_entropy for posterior in posteriors]
    assert certainty(np.array([p.values for p in posteriors])) == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_is_that_of_its_reliability_bins() -> None:
    posteriors = np.array([only("happy", 0.9).values] * 4 + [only("sad", 0.5).values] * 2)
    truth = np.array([3, 3, 3, 0, 4, 0])
    measured = score(posteriors, truth)
    told = [(one.confidence, one.accuracy, one.share) for one in measured.reliability]
    assert told == [pytest.approx((0.5, 0.5, 1 / 3)), pytest.approx((0.9, 0.75, 2 / 3))]
    assert measured.ece == pytest.approx(0.1)
    assert agreement(posteriors, posteriors).ece == pytest.approx(0)


# --- faces that are seen badly ------------------------------------------------------------------------------------


def test_a_shown_face_is_cropped_to_itself(faces) -> None:
    for side in (48, 130):
        frame, box = shown(faces["happy"], side, GEOMETRY)
        crop = crop_face(frame, box, GEOMETRY).astype(float)
        assert np.abs(crop - faces["happy"]).mean() < 4


def test_an_unsure_reading_is_no_answer() -> None:
    def told(posterior: Posterior, quality: float) -> str:
        return label_of(Reading(Modality.FACE, posterior, quality, 5.0))

    assert told(only("happy", 0.9), 1.0) == "happy"
    assert told(only("happy", 0.9), FusionSettings().smallest_weight) == UNKNOWN
    assert told(Posterior((0.36, 0.36, 0.28, 0, 0, 0, 0)), 1.0) == UNKNOWN
    assert told(UNIFORM, 1.0) == UNKNOWN


def test_a_sure_model_is_believed_only_where_the_face_can_be_seen(faces) -> None:
    outcomes = degraded([faces["happy"]], ["sad"], AlwaysSure("happy"), GEOMETRY, FakeFaceFinder())
    assert outcomes["shown well"].wrong == 1
    for name in ("blur 3 px", "motion 9 px", "light 6%", "grain 35", "lower half covered", "left half covered",
                 "upper half covered", "right half covered", "face 24 px", "face 16 px"):  # fmt: skip
        assert (outcomes[name].unknown, outcomes[name].wrong) == (1, 0), name
        assert outcomes[name].wrong_without_quality == 1


def test_right_wrong_and_unknown_are_all_there_is(faces) -> None:
    truths = ["happy", "sad", "happy"]
    outcomes = degraded(list(faces.values()), truths, AlwaysSure("happy"), GEOMETRY, FakeFaceFinder())
    assert list(outcomes) == [kind.name for kind in DEGRADATIONS]
    assert all(one.right + one.wrong + one.unknown == pytest.approx(1) for one in outcomes.values())
    assert outcomes["shown well"].right == pytest.approx(2 / 3)


def test_a_face_counts_as_found_where_the_finder_sees_it(faces) -> None:
    _, box = shown(faces["happy"], CLEAN.side_pixels, GEOMETRY)
    face = [faces["happy"]], ["sad"], AlwaysSure("happy"), GEOMETRY
    seen = degraded(*face, FakeFaceFinder(box))
    assert (seen["shown well"].found, seen["shown well"].found_and_wrong) == (1, 1)
    assert (seen["lower half covered"].found, seen["lower half covered"].found_and_wrong) == (1, 0)
    for finder in (FakeFaceFinder(), FakeFaceFinder(replace(box, x=0.0))):
        assert degraded(*face, finder)["shown well"].found == 0


def test_an_answer_names_the_guess_it_did_not_give(faces) -> None:
    frame, box = shown(faces["happy"], 12, GEOMETRY)
    assert answer_to(frame, box, AlwaysSure("angry"), GEOMETRY) == Answer(UNKNOWN, "angry", 0.0)


# --- the evaluations ----------------------------------------------------------------------------------------------


def test_the_test_part_is_private_test_and_its_clear_votes(data) -> None:
    test = face_test(data)
    assert len(test.images) == len(test.truth) == 5
    assert test.fresh.tolist() == [True, True, True, False, True]
    assert test.shared.tolist() == [True, True, True, True, False]
    assert [LABELS[index] for index in test.most_voted] == ["happy", "sad", "surprise", "happy"]
    assert test.one_leads.tolist() == [True, True, False, True]
    assert test.majority[test.one_leads].tolist() == test.most_voted[test.one_leads].tolist()
    assert test.majority[2] == NOBODY
    assert test.shares[0].tolist() == pytest.approx([0, 0, 0, 0.8, 0, 0, 0.2])


@needs_models
def test_the_face_is_measured_and_drawn(data, tmp_path) -> None:
    report = evaluate_face(MODELS, data)
    figures = report.figures
    assert figures["fer2013_private"]["count"] == 5
    assert figures["ferplus"]["count"] == 4
    assert figures["ferplus_without_ties"]["count"] == figures["ferplus_majority"]["count"] == 3
    for key in ("accuracy", "accuracy_without_duplicates", "ece", "macro_f1", "nll", "confusion", "reliability"):
        assert key in figures["fer2013_private"], key
    assert figures["ferplus"]["accuracy"] >= 0.5
    assert set(figures["ferplus"]["votes"]) >= {"ece", "nll", "brier"}
    assert figures["model"]["bytes"] == (MODELS / "face.tflite").stat().st_size and figures["model"]["macs"] > 0
    assert dict(figures["coverage"]["ferplus"]["accuracy_at"])[1.0] == figures["ferplus"]["accuracy"]
    assert figures["degraded"]["lower half covered"]["unknown"] == 1
    assert "lower half covered" in report.text and "surest 75 %" in report.text
    pictures = draw("face", figures, tmp_path / "new")
    assert [path.stem for path in pictures] == ["face_confusion", "face_reliability", "face_coverage", "face_degraded"]
    assert all(path.read_bytes().startswith(PNG) for path in pictures)


@needs_models
def test_the_voice_is_measured_and_drawn(data, tmp_path) -> None:
    report = evaluate_voice(MODELS, data)
    for corpus in ("tess_test", "ravdess_test", "nemo_test"):
        assert report.figures[corpus]["count"] == 1
        assert corpus in report.text and corpus in report.figures["coverage"]
    assert 0 <= report.figures["ece"] <= 1
    assert report.figures["model"]["bytes"] == (MODELS / "voice.tflite").stat().st_size
    pictures = draw("voice", report.figures, tmp_path)
    assert [path.stem for path in pictures] == ["voice_confusion", "voice_reliability", "voice_coverage"]
    assert all(path.read_bytes().startswith(PNG) for path in pictures)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    part = {"confusion": [[0] * 7] * 7, "accuracy": 0.0, "count": 0, "reliability": [], "ece": 0.0}
    figures = {"tess_test": part, "coverage": {"tess_test": {"aurc": 0.0, "accuracy_at": [[1.0, 0.5], [0.75, 0.6]]}}}
    with pytest.raises(SetupError, match="--pictures"):
        draw("voice", figures, tmp_path / "file")
