"""Compares what a replay recognised here with what one on another box told: whether its processor perceives alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device.domain.labels import LABELS
from device.errors import SetupError
from device.lab.replay import Recognised

ASKED = ("face", "voice", "fused")


@dataclass(frozen=True, slots=True)
class Told:
    """One span of a scene, as the other box told it."""

    scene: str
    answers: dict[str, str]
    evidence: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two replays of the same scenes lie apart."""

    spans: int
    differing: tuple[str, ...]
    """A line for each answer that is not the same."""
    farthest: dict[str, float]
    """The largest difference in a label's share of the evidence, for face, voice and fused."""


def read_replay(path: Path) -> tuple[Told, ...]:
    """The spans that `moodify replay --json` wrote into a file; SetupError when it did not write it."""
    try:
        return tuple(_told(span) for span in json.loads(path.read_text(encoding="utf-8"))["spans"])
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SetupError(f"{path}: not what `moodify replay --json` writes; let it write the file anew") from None


def compare(here: Sequence[Recognised], there: Sequence[Told]) -> Comparison:
    """Both in the same order; SetupError when they are not of the same scenes."""
    if [span.scene for span in here] != [span.scene for span in there]:
        raise SetupError(
            f"other scenes were replayed there ({len(there)} spans, here {len(here)}); "
            "give both the same files in the same order"
        )
    pairs = list(zip(here, there, strict=True))
    differing = [
        f"{one.scene}: {name} {other.answers[name]} there, {answer} here"
        for one, other in pairs
        for name, answer in one.answers.items()
        if answer != other.answers[name]
    ]
    farthest = {name: max(_apart(one.evidence[name], other.evidence[name]) for one, other in pairs) for name in ASKED}
    return Comparison(len(pairs), tuple(differing), farthest)


def text(comparison: Comparison) -> str:
    """For people."""
    answers = "answers differ:" if comparison.differing else f"the same answers, spans: {comparison.spans}"
    apart = ", ".join(f"{name} {share:.4f}" for name, share in comparison.farthest.items())
    return "\n".join([answers, *comparison.differing, f"farthest apart, of a label's share of the evidence: {apart}"])


def _told(span: dict[str, Any]) -> Told:
    evidence = {name: tuple(float(share) for share in span["evidence"][name]) for name in ASKED}
    if any(len(shares) != len(LABELS) for shares in evidence.values()):
        raise ValueError(span["scene"])
    return Told(span["scene"], {name: span["answers"][name] for name in (*ASKED, "mood")}, evidence)


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
