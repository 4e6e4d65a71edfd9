"""Measures an int8 file while it is trained: what both models' training commands share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from device.lab.metrics import score


def int8_logits(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Logits of the file, float32 [N, 7], for float inputs [N, …]; each input stands alone, also for an LSTM."""
    interpreter = tf.lite.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = entry["quantization"]
    out_scale, out_zero = exit_["quantization"]
    logits = []
    for quantised in np.clip(np.round(inputs / scale + zero), -128, 127).astype(np.int8):
        interpreter.reset_all_variables()
        interpreter.set_tensor(entry["index"], quantised[np.newaxis])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(exit_["index"])[0])
    return ((np.array(logits, np.float32) - out_zero) * out_scale).astype(np.float32)


def posterior(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of logits [N, 7] over the temperature."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The temperature with the least negative log likelihood (Guo et al., On Calibration, ICML 2017)."""
    rows = np.arange(len(label))
    candidates = np.exp(np.linspace(np.log(0.2), np.log(8), 400))
    costs = [-np.log(posterior(logits, value)[rows, label] + 1e-9).sum() for value in candidates]
    return float(candidates[int(np.argmin(costs))])


def fit_temperature_to_shares(logits: np.ndarray, shares: np.ndarray) -> float:
    """The temperature with the least cross-entropy to `shares` [N, 7] of several people's votes."""
    candidates = np.exp(np.linspace(np.log(0.2), np.log(8), 400))
    costs = [-(shares * np.log(posterior(logits, value) + 1e-9)).sum() for value in candidates]
    return float(candidates[int(np.argmin(costs))])


def calibration_error(logits: np.ndarray, label: np.ndarray, temperature: float) -> float:
    """Expected calibration error, as `moodify evaluate` counts it."""
    return score(posterior(logits, temperature), label).ece
