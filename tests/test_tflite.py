"""The shipped models run in both runtimes with the same outcome, and only with the card that is theirs."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.adapters.cards import Card, FaceCard, Head, VoiceCard, read_card
from device.adapters.tflite import RUNTIMES, TfliteClassifier
from device.config import Config
from device.domain.labels import LABELS
from device.domain.reading import Modality, calibrate
from device.errors import SetupError

MODELS = Config().paths.models
ROOT = MODELS.parent

runtimes = pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(not importlib.util.find_spec(module.split(".")[0]), reason=f"{name} is missing"),
        )
        for name, module in RUNTIMES.items()
    ],
)


@pytest.fixture(params=list(Modality), ids=lambda modality: modality.value)
def card(request: pytest.FixtureRequest) -> FaceCard | VoiceCard:
    if not (MODELS / f"{request.param.value}.card.json").exists():
        pytest.skip(f"models/{request.param.value}.card.json is missing")
    return read_card(MODELS, request.param)


@pytest.fixture
def face() -> FaceCard:
    if not (MODELS / "face.card.json").exists():
        pytest.skip("models/face.card.json is missing")
    return read_card(MODELS, Modality.FACE)


def inputs_for(card: FaceCard | VoiceCard, count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, *card.input_shape[1:])).astype(np.float32)


@runtimes
def test_a_shipped_model_gives_a_calibrated_posterior(card: FaceCard | VoiceCard, runtime: str) -> None:
    classifier = TfliteClassifier(card, runtime=runtime)
    one = inputs_for(card, 1)[0]
    assert classifier.runtime == runtime
    assert classifier.classify(one) == calibrate(classifier.logits(one).tolist(), card.heads[0].temperature)


def test_both_runtimes_agree_to_half_a_logit(card: FaceCard | VoiceCard) -> None:
    missing = [name for name, module in RUNTIMES.items() if not importlib.util.find_spec(module.split(".")[0])]
    if missing:
        pytest.skip(f"{missing[0]} is missing")
    one, other = (TfliteClassifier(card, runtime=name) for name in RUNTIMES)
    # Their int8 kernels round differently, layer by layer; `moodify bench runtimes` tells by how much on such noise.
    for model_input in inputs_for(card, 20):
        assert np.abs(one.logits(model_input) - other.logits(model_input)).max() <= 0.5


@runtimes
def test_an_input_is_answered_the_same_whatever_came_before(card: FaceCard | VoiceCard, runtime: str) -> None:
    classifier = TfliteClassifier(card, runtime=runtime)
    first, *others = inputs_for(card, 4)
    before = classifier.logits(first)
    for other in others:
        classifier.logits(other * 2)
    assert np.array_equal(classifier.logits(first), before)


@runtimes
def test_an_lstm_does_not_remember_the_input_before(runtime: str) -> None:
    model = Path(__file__).parent / "fixtures" / "remembers.tflite"
    content = model.read_bytes()
    card = Card(
        path=model.with_suffix(".card.json"), model=model, name="remembers", version="1", modality=Modality.VOICE,
        labels=LABELS, input_shape=(1, 4, 2), input_dtype="int8", output_shape=(1, 7), output_dtype="int8",
        heads=(Head("label", 1.0),), sha256=hashlib.sha256(content).hexdigest(), bytes=len(content),
        measured={}, training={},
    )  # fmt: skip
    classifier = TfliteClassifier(card, runtime=runtime)
    alone = classifier.logits(np.zeros((4, 2), np.float32))
    assert not np.array_equal(classifier.logits(np.full((4, 2), 2.0, np.float32)), alone)
    assert np.array_equal(classifier.logits(np.zeros((4, 2), np.float32)), alone)


def test_out_of_range_inputs_saturate_instead_of_wrapping(face: FaceCard) -> None:
    classifier = TfliteClassifier(face)
    scale, zero = classifier._entry_scale, classifier._entry_zero
    highest = np.full(face.input_shape[1:], (127 - zero) * scale, np.float32)
    assert np.array_equal(classifier.logits(highest * 1000), classifier.logits(highest))


def test_an_input_of_another_shape_is_a_bug(face: FaceCard) -> None:
    with pytest.raises(ValueError, match=r"input \[48, 48, 1\] needed, not \[48, 48\]"):
        TfliteClassifier(face).logits(np.zeros((48, 48), np.float32))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"input_shape": (1, 64, 64, 1)}, r"input is int8 \[1, 48, 48, 1\] in the model and int8 \[1, 64, 64, 1\] in"),
        ({"input_dtype": "float32"}, r"input is int8 .* and float32 .* in the card"),
        ({"output_shape": (1, 8)}, r"output is int8 \[1, 14\] in the model and int8 \[1, 8\] in the card"),
        ({"output_dtype": "uint8"}, r"output is int8 .* and uint8 .* in the card"),
        ({"labels": ("happy", "sad")}, r"output \[1, 14\] for 2 × 2 labels"),
    ],
)
def test_a_card_and_a_tensor_that_disagree_are_both_named(face: FaceCard, change: dict, complaint: str) -> None:
    with pytest.raises(SetupError, match=f"face.tflite and face.card.json disagree: {complaint}"):
        TfliteClassifier(replace(face, **change))


def test_each_head_answers_for_itself_and_the_first_one_by_default(face: FaceCard) -> None:
    crop = np.random.default_rng(3).normal(0, 1, (48, 48, 1)).astype(np.float32)
    votes, label = (TfliteClassifier(face, head=head.name).classify(crop) for head in face.heads)
    assert TfliteClassifier(face).classify(crop) == votes != label


def test_an_unknown_head_is_named(face: FaceCard) -> None:
    with pytest.raises(SetupError, match=r"face\.card\.json: no head 'valence'; known here: votes, label"):
        TfliteClassifier(face, head="valence")


def with_content(face: FaceCard, folder: Path, content: bytes) -> FaceCard:
    """A card that is true about a model file with this content."""
    (folder / "face.tflite").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return replace(face, model=folder / "face.tflite", sha256=digest, bytes=len(content))


@runtimes
@pytest.mark.parametrize("content", [b"", b"no model " * 50], ids=["empty", "text"])
def test_a_file_that_is_no_model_is_named(face: FaceCard, tmp_path: Path, runtime: str, content: bytes) -> None:
    with pytest.raises(SetupError, match=r"face\.tflite: not a model that can be run"):
        TfliteClassifier(with_content(face, tmp_path, content), runtime=runtime)


def test_a_truncated_model_is_refused_before_the_runtime_sees_it(face: FaceCard, tmp_path: Path) -> None:
    content = face.model.read_bytes()
    (tmp_path / "face.tflite").write_bytes(content[: len(content) // 100])
    with pytest.raises(SetupError, match="sha256 differs"):
        TfliteClassifier(replace(face, model=tmp_path / "face.tflite"))


def test_an_unknown_runtime_is_named(face: FaceCard) -> None:
    with pytest.raises(
        SetupError, match="onnx: no such model runtime; known here: auto, ai-edge-litert, tflite-runtime"
    ):
        TfliteClassifier(face, runtime="onnx")


def test_a_runtime_that_is_not_installed_is_named(face: FaceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in RUNTIMES.values():
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SetupError, match="ai-edge-litert or tflite-runtime: not installed"):
        TfliteClassifier(face)


@runtimes
def test_loading_a_model_prints_nothing(face: FaceCard, runtime: str) -> None:
    program = (
        "from device.adapters.cards import read_card; from device.adapters.tflite import TfliteClassifier\n"
        "from device.config import Config; from device.domain.reading import Modality; import numpy as np\n"
        "card = read_card(Config().paths.models, Modality.FACE)\n"
        f"TfliteClassifier(card, runtime={runtime!r}).logits(np.zeros((48, 48, 1), np.float32))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
