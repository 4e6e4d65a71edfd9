"""A model's card is complete and true, or one line says what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from device.adapters.cards import FaceCard, Head, VoiceCard, check_model, read_card
from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.errors import SetupError
from device.sensing.logmel_spec import LogMelSpec

CONTENT = b"stands for a model"
SPEC = LogMelSpec(mean=(-40.0,) * 64, std=(12.0,) * 64)


def card_of(modality: str) -> dict:
    shared = {
        "schema": 1,
        "file": f"{modality}.tflite",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "name": f"test-{modality}",
        "modality": modality,
        "version": "1.2.3",
        "labels": list(LABELS),
        "output": {"shape": [1, 7], "dtype": "int8", "meaning": "logits"},
        "heads": [{"name": "label", "temperature": 1.5}],
        "training": {"seed": 1},
        "measured": {"somewhere": {"accuracy": 0.7}},
    }
    if modality == "face":
        own = {
            "input": {"shape": [1, 48, 48, 1], "dtype": "int8"},
            "crop": {"size": 48, "scale": 1.1, "shift_x": 0.0, "shift_y": -0.05},
        }
    else:
        own = {
            "input": {"shape": [1, SPEC.frames, SPEC.bands], "dtype": "int8"},
            "features": json.loads(json.dumps(asdict(SPEC))),
        }
    return {**shared, **own}


def write(folder: Path, card: dict) -> Path:
    (folder / card["file"]).write_bytes(CONTENT)
    path = folder / f"{card['modality']}.card.json"
    path.write_text(json.dumps(card), encoding="utf-8")
    return path


def test_a_face_card_tells_how_to_crop(tmp_path: Path) -> None:
    write(tmp_path, card_of("face"))
    card = read_card(tmp_path, Modality.FACE)
    assert isinstance(card, FaceCard)
    assert (card.name, card.version, card.bytes) == ("test-face", "1.2.3", len(CONTENT))
    assert card.heads == (Head("label", 1.5),)
    assert (card.crop.scale, card.crop.shift_y) == (1.1, -0.05)
    assert card.measured["somewhere"]["accuracy"] == 0.7


def test_a_voice_card_tells_every_feature_setting(tmp_path: Path) -> None:
    write(tmp_path, card_of("voice"))
    card = read_card(tmp_path, Modality.VOICE)
    assert isinstance(card, VoiceCard)
    assert card.features == SPEC


@pytest.mark.parametrize("key", [*card_of("face"), "input.shape", "output.dtype", "crop.scale", "crop.size"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    card = card_of("face")
    path = write(tmp_path, card)
    place, _, last = key.rpartition(".")
    (card[place] if place else card).pop(last)
    path.write_text(json.dumps(card))
    with pytest.raises(SetupError, match=rf"face\.card\.json: {key}[^:]*: missing; restore"):
        read_card(tmp_path, Modality.FACE)


@pytest.mark.parametrize("key", asdict(SPEC))
def test_no_default_stands_in_for_a_missing_feature_setting(tmp_path: Path, key: str) -> None:
    card = card_of("voice")
    del card["features"][key]
    write(tmp_path, card)
    with pytest.raises(SetupError, match=f"features.{key}: missing"):
        read_card(tmp_path, Modality.VOICE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"labels": list(reversed(LABELS))}, "labels: .*where this program needs"),
        ({"labels": list(LABELS[:6])}, "labels: .*where this program needs"),
        ({"schema": 2}, "schema: 2 where this program needs 1"),
        ({"modality": "voice"}, "modality: 'voice' where this program needs 'face'"),
        ({"heads": [{"name": "label", "temperature": 0}]}, "heads.0.temperature: 0.0 is not above 0"),
        ({"heads": [{"name": "label", "temperature": "warm"}]}, "heads.0.temperature: 'warm' is not of type float"),
        ({"heads": [{"name": "label", "temperature": True}]}, "heads.0.temperature: True is not of type float"),
        ({"heads": [{"name": "label"}]}, "heads.0.temperature: missing"),
        ({"heads": []}, "heads: at least one is needed"),
        ({"heads": [{"name": "label", "temperature": 1.0}] * 2}, "heads: .* each with its own name"),
        ({"file": "../../etc/passwd"}, "file: .* is not a plain file name"),
        ({"input": {"shape": [1, 48, 0, 1], "dtype": "int8"}}, "input.shape: .* is not a tensor's shape"),
        ({"input": {"shape": [1, 64, 64, 1], "dtype": "int8"}}, "where preprocessing makes"),
        ({"input": []}, "input.shape: missing"),
        ({"crop": {"size": 48, "scale": 0.0, "shift_x": 0, "shift_y": 0}}, "crop.scale: 0.0 is outside"),
        ({"crop": {"size": 96, "scale": 1.0, "shift_x": 0, "shift_y": 0}}, "crop.size: 96 where this program needs 48"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict, complaint: str) -> None:
    card = card_of("face")
    path = write(tmp_path, card)
    path.write_text(json.dumps({**card, **change}))
    with pytest.raises(SetupError, match=complaint) as caught:
        read_card(tmp_path, Modality.FACE)
    assert "\n" not in str(caught.value)


def test_an_unknown_feature_setting_is_named(tmp_path: Path) -> None:
    card = card_of("voice")
    card["features"]["loudness"] = 3
    write(tmp_path, card)
    with pytest.raises(SetupError, match=r"features.loudness: no such feature setting; known here: sample_rate_hz"):
        read_card(tmp_path, Modality.VOICE)


@pytest.mark.parametrize("name", ["hop_samples", "window_seconds", "bands"])
def test_a_feature_setting_that_cannot_be_is_named(tmp_path: Path, name: str) -> None:
    card = card_of("voice")
    card["features"][name] *= 0
    write(tmp_path, card)
    with pytest.raises(SetupError, match=rf"features\.{name}: 0\S* is not above 0"):
        read_card(tmp_path, Modality.VOICE)


def test_a_mean_for_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    card = card_of("voice")
    card["features"]["mean"] = [0.0] * 40
    write(tmp_path, card)
    with pytest.raises(SetupError, match="64 numbers each needed"):
        read_card(tmp_path, Modality.VOICE)


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, card_of("face"))
    (tmp_path / "face.tflite").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(SetupError, match=r"face\.tflite: not the file that face\.card\.json describes"):
        read_card(tmp_path, Modality.FACE)


def test_a_model_file_changed_after_the_card_was_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, card_of("face"))
    card = read_card(tmp_path, Modality.FACE)
    (tmp_path / "face.tflite").write_bytes(b"something else")
    with pytest.raises(SetupError, match="sha256 differs"):
        check_model(card)


def test_a_missing_model_or_card_says_where_models_are_configured(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"face\.card\.json: No such file or directory; set paths\.models"):
        read_card(tmp_path, Modality.FACE)
    write(tmp_path, card_of("face"))
    (tmp_path / "face.tflite").unlink()
    with pytest.raises(SetupError, match=r"face\.tflite: No such file or directory; set paths\.models"):
        read_card(tmp_path, Modality.FACE)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'"text"'])
def test_a_card_that_is_no_json_object_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "face.card.json").write_bytes(content)
    with pytest.raises(SetupError, match=r"face\.card\.json: not .*; restore the card") as caught:
        read_card(tmp_path, Modality.FACE)
    assert "\n" not in str(caught.value)
