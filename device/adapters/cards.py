"""Reads the card beside a model and refuses one that is incomplete, is for something else, or does not fit its file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.errors import SetupError
from device.sensing.crop import CROP_PIXELS, CropGeometry
from device.sensing.logmel_spec import LogMelSpec

SCHEMA = 1

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """Seven of a model's outputs, in the order of LABELS, that answer one question."""

    name: str
    """What was asked: "votes" (what ten people would vote), "label" (what one labeller wrote)."""
    temperature: float
    """Divides the logits; more than 0."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the program knows about a model without opening it."""

    path: Path
    """The card's own file."""
    model: Path
    """The model's file, in the same folder."""
    name: str
    version: str
    modality: Modality
    labels: tuple[str, ...]
    """LABELS, in the order of the outputs of each head."""
    input_shape: tuple[int, ...]
    """Batch axis (1) first."""
    input_dtype: str
    output_shape: tuple[int, ...]
    output_dtype: str
    heads: tuple[Head, ...]
    """In the order of the outputs; the first is what the speaker goes by."""
    sha256: str
    bytes: int
    measured: Facts
    """Figures by test set, for people."""
    training: Facts
    """Data, command and seed, for people."""


@dataclass(frozen=True, slots=True)
class FaceCard(Card):
    """The face model's card."""

    crop: CropGeometry


@dataclass(frozen=True, slots=True)
class VoiceCard(Card):
    """The voice model's card."""

    features: LogMelSpec


@overload
def read_card(models: Path, modality: Literal[Modality.FACE]) -> FaceCard: ...


@overload
def read_card(models: Path, modality: Literal[Modality.VOICE]) -> VoiceCard: ...


@overload
def read_card(models: Path, modality: Modality) -> FaceCard | VoiceCard: ...


def read_card(models: Path, modality: Modality) -> FaceCard | VoiceCard:
    """Read and check `<modality>.card.json` in the folder `models`, and that its model file is the one it describes.

    SetupError in one line: which file or key, what is wrong, what to do.
    """
    page = _Page(models / f"{modality.value}.card.json")
    shared = _shared(page, modality)
    if modality is Modality.FACE:
        card: FaceCard | VoiceCard = FaceCard(**shared, crop=_crop(page))
    else:
        card = VoiceCard(**shared, features=_features(page))
    check_model(card)
    _check_input(card)
    return card


def check_model(card: Card) -> None:
    """SetupError unless the model is the one that the card describes (a runtime may crash on any other)."""
    content = _read(card.model)
    if len(content) != card.bytes or hashlib.sha256(content).hexdigest() != card.sha256:
        raise SetupError(
            f"{card.model}: not the file that {card.path.name} describes (sha256 differs); "
            "restore both from the same release"
        )


Value = TypeVar("Value")


class _Page:
    """The card's JSON, read key by key; every miss is a SetupError that names file and key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(_read(path).decode("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SetupError(f"{path}: not valid JSON: {error}; restore the card from the release") from None
        if not isinstance(content, dict):
            raise self.wrong("", "not an object of keys")
        self._content: dict[str, Any] = content

    def wrong(self, key: str, what: str) -> SetupError:
        """The error for `key`."""
        where = f": {key}" if key else ""
        return SetupError(f"{self.path}{where}: {what}; restore the card that belongs to the model")

    def get(self, key: str, kind: type[Value]) -> Value:
        """The value at a dotted key."""
        value: Any = self._content
        for part in key.split("."):
            if isinstance(value, list) and part.isdigit():
                value = dict(zip(map(str, range(len(value))), value, strict=True))
            if not isinstance(value, dict) or part not in value:
                raise self.wrong(key, "missing")
            value = value[part]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(key, f"{value!r} is not of type {kind.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.wrong(key, f"{value!r} is not finite")
        return value

    def shape(self, key: str) -> tuple[int, ...]:
        """A tensor's shape."""
        sizes = self.get(key, list)
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise self.wrong(key, f"{sizes!r} is not a tensor's shape")
        return tuple(sizes)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; set paths.models to the folder with the models") from None


def _shared(page: _Page, modality: Modality) -> dict[str, Any]:
    """The facts that every card has, checked."""
    _expect(page, "schema", int, SCHEMA)
    _expect(page, "modality", str, modality.value)
    _expect(page, "labels", list, list(LABELS))
    file = page.get("file", str)
    if Path(file).name != file:
        raise page.wrong("file", f"{file!r} is not a plain file name")
    return {
        "path": page.path,
        "model": page.path.parent / file,
        "name": page.get("name", str),
        "version": page.get("version", str),
        "modality": modality,
        "labels": LABELS,
        "input_shape": page.shape("input.shape"),
        "input_dtype": page.get("input.dtype", str),
        "output_shape": page.shape("output.shape"),
        "output_dtype": page.get("output.dtype", str),
        "heads": _heads(page),
        "sha256": page.get("sha256", str).lower(),
        "bytes": page.get("bytes", int),
        "measured": page.get("measured", dict),
        "training": page.get("training", dict),
    }


def _heads(page: _Page) -> tuple[Head, ...]:
    """What the outputs answer: seven each."""
    count = len(page.get("heads", list))
    heads = [Head(page.get(f"heads.{n}.name", str), page.get(f"heads.{n}.temperature", float)) for n in range(count)]
    for number, head in enumerate(heads):
        if head.temperature <= 0:
            raise page.wrong(f"heads.{number}.temperature", f"{head.temperature} is not above 0")
    if not heads or len({head.name for head in heads}) < count:
        raise page.wrong("heads", "at least one is needed, each with its own name")
    return tuple(heads)


def _expect(page: _Page, key: str, kind: type[Value], wanted: Value) -> None:
    value = page.get(key, kind)
    if value != wanted:
        raise page.wrong(key, f"{value!r} where this program needs {wanted!r}")


def _crop(page: _Page) -> CropGeometry:
    _expect(page, "crop.size", int, CROP_PIXELS)
    scale = page.get("crop.scale", float)
    if not 0.2 <= scale <= 5.0:
        raise page.wrong("crop.scale", f"{scale} is outside 0.2 … 5.0")
    return CropGeometry(scale, page.get("crop.shift_x", float), page.get("crop.shift_y", float))


def _features(page: _Page) -> LogMelSpec:
    """Every field of LogMelSpec, named in the card: no silent default stands in for a fact of the model."""
    known = {field.name: field.default for field in fields(LogMelSpec)}
    for name in page.get("features", dict):
        if name not in known:
            raise page.wrong(f"features.{name}", f"no such feature setting; known here: {', '.join(known)}")
    return LogMelSpec(**{name: _feature(page, f"features.{name}", default) for name, default in known.items()})


def _feature(page: _Page, key: str, default: object) -> Any:
    if not isinstance(default, tuple):
        value: Any = page.get(key, type(default))
        if not key.endswith(("_db", "low_hz")) and value <= 0:
            raise page.wrong(key, f"{value} is not above 0")
        return value
    values = page.get(key, list)
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise page.wrong(key, "not a list of numbers")
    return tuple(float(value) for value in values)


def _check_input(card: FaceCard | VoiceCard) -> None:
    """The input that preprocessing makes is the input that the card promises."""
    if isinstance(card, FaceCard):
        made: tuple[int, ...] = (1, CROP_PIXELS, CROP_PIXELS, 1)
    else:
        made = (1, card.features.frames, card.features.bands)
        if len(card.features.mean) != card.features.bands or len(card.features.std) != card.features.bands:
            raise SetupError(
                f"{card.path}: features.mean, features.std: {card.features.bands} numbers each needed; "
                "restore the card that belongs to the model"
            )
    if card.input_shape != made:
        raise SetupError(
            f"{card.path}: input.shape: {list(card.input_shape)} where preprocessing makes {list(made)}; "
            "restore the card that belongs to the model"
        )
