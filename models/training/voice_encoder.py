"""The first layers of a speech network that has heard much: Whisper's two convolutions and a transformer block.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022 (Whisper tiny, MIT), as Smart Turn
v3.2 (Daily, BSD-2-Clause) went on training it to hear in 23 languages whether somebody has finished speaking. The
weights are read from the wheel of pipecat-ai, which `scripts/train` fetches; they stay as they are.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WHEELS = Path(".venv-train/weights")
MEMBER = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
BANDS = 80
WIDTH = 384
HEADS = 6
NORM_EPSILON = 1e-5
STRIDE = 2
"""Of the second convolution."""


def wheel() -> Path:
    """The file that holds the weights; FileNotFoundError when it has not been fetched."""
    found = sorted(WHEELS.glob("pipecat_ai-*.whl"))
    if not found:
        raise FileNotFoundError(f"{WHEELS}: no wheel of pipecat-ai; scripts/train fetches it")
    return found[-1]


def pretrained() -> dict[str, np.ndarray]:
    """The weights of `Encoder` by name, float32."""
    import onnx

    with zipfile.ZipFile(wheel()) as archive:
        return _named(onnx.load_from_string(archive.read(MEMBER)).graph)


def _named(graph: Any) -> dict[str, np.ndarray]:
    """The file's weights by the names of `Encoder`.

    They are quantised, and those of linear layers have lost their names: each is known by the bias that is added to
    what it gives. Only the keys' layers have no bias.
    """
    from onnx import numpy_helper

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
            name = bias.removesuffix("bias") if bias else f"inner.encoder.layers.{keys}.self_attn.k_proj."
            keys += not bias
            weights[f"{name}weight"] = floats[node.input[1]].T
    plain = {name.removesuffix("_DequantizeLinear_Output"): value for name, value in floats.items()}
    mine = {name: tensor.shape for name, tensor in Encoder().state_dict().items()}
    found = {_own_name(name): value for name, value in (plain | weights).items() if name.startswith("inner.encoder.")}
    return {name: np.ascontiguousarray(found[name]).reshape(shape) for name, shape in mine.items()}


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
    names = [name for name in after.input if name.startswith("inner.encoder.")] if after.op_type == "Add" else []
    return names[0] if names else ""


def _own_name(name: str) -> str:
    """A name of Smart Turn's as `Encoder` has it; the norm before its second block is our last."""
    name = name.removeprefix("inner.encoder.").replace("embed_positions.weight", "positions")
    if name.startswith("layers.1.self_attn_layer_norm."):
        return name.replace("layers.1.self_attn_layer_norm", "norm_after")
    return name.removeprefix("layers.0.").removeprefix("self_attn.")


class Encoder(nn.Module):
    """Frames of 10 ms become half as many of 384 values, each of which has looked at all others once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=STRIDE, padding=1)
        self.register_buffer("positions", torch.zeros(400, WIDTH))
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH, NORM_EPSILON)
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.final_layer_norm = nn.LayerNorm(WIDTH, NORM_EPSILON)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm_after = nn.LayerNorm(WIDTH, NORM_EPSILON)

    def forward(self, levels: Tensor) -> Tensor:
        """[n, (frames + 1) // 2, 384] of standardised log-mels [n, frames, 80], an odd number of frames.

        The last positions are taken: Smart Turn has silence before what it hears.
        """
        values = functional.gelu(_convolved(levels, self.conv1, 1))
        values = functional.gelu(_convolved(values, self.conv2, STRIDE))
        values = values + self.positions[-values.shape[1] :]
        values = values + self._looked_around(self.self_attn_layer_norm(values))
        values = values + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(values))))
        return self.norm_after(values)

    def _looked_around(self, values: Tensor) -> Tensor:
        count, frames, width = values.shape
        query, key, value = (
            layer(values).view(count, frames, HEADS, width // HEADS).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.out_proj(seen.transpose(1, 2).reshape(count, frames, width))


def _convolved(values: Tensor, layer: nn.Conv1d, stride: int) -> Tensor:
    """The convolution over the frames of [n, frames, width] as one product, which a processor does faster."""
    frames = values.shape[1]
    padded = functional.pad(values, (0, 0, 1, 1))
    near = torch.cat([padded[:, start : start + frames : stride] for start in range(3)], dim=2)
    return near @ layer.weight.permute(2, 1, 0).flatten(0, 1) + layer.bias


def encoder() -> Encoder:
    """The encoder with its weights, to be asked."""
    network = Encoder().eval()
    network.load_state_dict({name: torch.tensor(value) for name, value in pretrained().items()})
    return network
