"""Runs an int8 TFLite model with ai-edge-litert or its forerunner tflite-runtime, and checks it against its card."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import Card, check_model
from device.domain.reading import Posterior, calibrate
from device.errors import SetupError
from device.quiet import without_chatter

RUNTIMES: dict[str, str] = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
"""Package name and module, in the order of preference (docs/decisions/0004-two-runtimes.md)."""

INT8 = np.iinfo(np.int8)


class TfliteClassifier:
    """A classifier (ports.Classifier) from a card; keeps no state between calls. Use each from one thread only."""

    def __init__(self, card: Card, threads: int = 1, runtime: str = "auto", head: str = "") -> None:
        """Load the card's model; SetupError when the runtime is missing or model and card disagree.

        `head` names which of the model's answers is wanted; empty: the first.
        """
        self.card = card
        self.runtime, interpreter = _find_interpreter(runtime)
        check_model(card)
        with without_chatter():
            self._interpreter = _load(interpreter, card, threads)
        entry, exit_ = _only(self._interpreter.get_input_details()), _only(self._interpreter.get_output_details())
        _agree(card, "input", entry, card.input_shape, card.input_dtype)
        _agree(card, "output", exit_, card.output_shape, card.output_dtype)
        if card.output_shape != (1, len(card.heads) * len(card.labels)):
            many = f"{len(card.heads)} × {len(card.labels)} labels"
            raise _disagreement(card, f"output {list(card.output_shape)} for {many}")
        names = [known.name for known in card.heads]
        if head and head not in names:
            raise SetupError(f"{card.path}: no head {head!r}; known here: {', '.join(names)}")
        number = names.index(head) if head else 0
        self._temperature = card.heads[number].temperature
        self._outputs = slice(number * len(card.labels), (number + 1) * len(card.labels))
        self._entry_index, self._exit_index = entry["index"], exit_["index"]
        self._entry_scale, self._entry_zero = _quantisation(card, "input", entry)
        self._exit_scale, self._exit_zero = _quantisation(card, "output", exit_)

    def classify(self, model_input: NDArray[np.float32]) -> Posterior:
        """The calibrated posterior of one input of the card's shape without the batch axis."""
        return calibrate(self.logits(model_input).tolist(), self._temperature)

    def logits(self, model_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """The raw logits, float32 [7]; values outside the tensor's range saturate."""
        if model_input.shape != self.card.input_shape[1:]:
            raise ValueError(f"input {list(self.card.input_shape[1:])} needed, not {list(model_input.shape)}")
        steps = np.rint(model_input / self._entry_scale + self._entry_zero)
        quantised = np.clip(steps, INT8.min, INT8.max).astype(np.int8)
        # A fused LSTM keeps its state from one invoke to the next; each input stands alone here.
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self._entry_index, quantised[np.newaxis])
        self._interpreter.invoke()
        steps = self._interpreter.get_tensor(self._exit_index)[0, self._outputs].astype(np.float32)
        return np.asarray((steps - self._exit_zero) * self._exit_scale, dtype=np.float32)


def _find_interpreter(runtime: str) -> tuple[str, Any]:
    """The chosen runtime's name and its Interpreter class."""
    if runtime != "auto" and runtime not in RUNTIMES:
        raise SetupError(f"{runtime}: no such model runtime; known here: auto, {', '.join(RUNTIMES)}")
    for name in RUNTIMES if runtime == "auto" else (runtime,):
        try:
            return name, import_module(RUNTIMES[name]).Interpreter
        except ImportError:
            continue
    wanted = " or ".join(RUNTIMES) if runtime == "auto" else runtime
    raise SetupError(f"{wanted}: not installed for this Python; install it with pip")


def _load(interpreter: Any, card: Card, threads: int) -> Any:
    try:
        # By its path the file is mapped, and not held a second time.
        loaded = interpreter(model_path=str(card.model), num_threads=threads)
        loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise SetupError(f"{card.model}: not a model that can be run: {reason}; restore it from the release") from None
    return loaded


def _only(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    """The one real tensor; a fused LSTM shows empty ones beside it."""
    return next(tensor for tensor in tensors if tensor["shape"].size and tensor["shape"].all())


def _agree(card: Card, side: str, tensor: dict[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    has = f"{np.dtype(tensor['dtype']).name} {tensor['shape'].tolist()}"
    says = f"{dtype} {list(shape)}"
    if has != says:
        raise _disagreement(card, f"{side} is {has} in the model and {says} in the card")


def _quantisation(card: Card, side: str, tensor: dict[str, Any]) -> tuple[float, int]:
    scale, zero = tensor["quantization"]
    if np.dtype(tensor["dtype"]) != np.int8 or scale <= 0:
        raise _disagreement(card, f"{side} is {np.dtype(tensor['dtype']).name}, not quantised int8")
    return float(scale), int(zero)


def _disagreement(card: Card, what: str) -> SetupError:
    return SetupError(f"{card.model} and {card.path.name} disagree: {what}; restore both from the same release")
