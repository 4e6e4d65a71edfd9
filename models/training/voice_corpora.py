"""The recordings the voice model learns from: who speaks, what with, and which part or fold each belongs to."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from device.sensing.logmel_spec import LogMelSpec

CORPORA = ("tess", "ravdess", "nemo")
TITLES = {"tess": "TESS", "ravdess": "RAVDESS speech", "nemo": "nEMO"}
LICENCES = {"tess": "CC BY-NC-ND 4.0", "ravdess": "CC BY-NC-SA 4.0", "nemo": "CC BY-NC-SA 4.0"}
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_TEXT = (
    "test: TESS words with sha1 mod 10 = 0, RAVDESS actors 21–24, nEMO speakers MP0 and WR0; "
    "validation: TESS words with sha1 mod 10 = 1, RAVDESS actors 19–20, nEMO speaker TP0"
)
SPEC = LogMelSpec(hop_samples=320)
"""A frame each 20 ms: half the work of 10 ms."""
PACKED_STEP_DB = 0.5
"""Of packed levels, from the floor up; the int8 file's own steps are no finer."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and where it belongs."""

    path: Path
    corpus: str
    label: int
    speaker: str
    group: int
    """TESS: of its word, 0 … 9; elsewhere 0."""
    part: str


@dataclass(frozen=True, slots=True)
class Corpora:
    """All recordings as log-mels, row by row."""

    clips: tuple[Clip, ...]
    levels: np.ndarray
    """float16 [N, frames, bands], dB, before anything is standardised."""
    noises: np.ndarray
    """float16 [M, frames, bands], dB: everyday sounds without speech, at the level of speech."""

    @property
    def label(self) -> np.ndarray:
        """int64 [N]."""
        return np.array([clip.label for clip in self.clips])

    @property
    def corpus(self) -> np.ndarray:
        """int64 [N], index into CORPORA."""
        return np.array([CORPORA.index(clip.corpus) for clip in self.clips])

    def rows(self, wanted: Callable[[Clip], bool]) -> np.ndarray:
        """The rows whose clip is wanted, int64 [n]."""
        return np.flatnonzero([wanted(clip) for clip in self.clips])


def pack(corpora: Corpora, path: Path) -> None:
    """Write all that training needs, without the recordings, into a file of some 50 MB."""
    clips = json.dumps([asdict(clip) | {"path": clip.path.name} for clip in corpora.clips])
    levels = np.concatenate([corpora.levels, corpora.noises]).astype(np.float32)
    steps = np.clip(np.round((levels - SPEC.floor_db) / PACKED_STEP_DB), 0, 255).astype(np.uint8)
    packed = lzma.compress(steps.tobytes(), preset=2)
    np.savez(path, clips=clips, shape=steps.shape, levels=np.frombuffer(packed, np.uint8))


def unpack(path: Path) -> Corpora:
    """What `pack` wrote; the levels are right to a quarter of a dB."""
    kept = np.load(path)
    clips = tuple(Clip(**fields | {"path": Path(fields["path"])}) for fields in json.loads(str(kept["clips"])))
    steps = np.frombuffer(lzma.decompress(kept["levels"].tobytes()), np.uint8).reshape(kept["shape"])
    levels = steps.astype(np.float16) * np.float16(PACKED_STEP_DB) + np.float16(SPEC.floor_db)
    return Corpora(clips, levels[: len(clips)], levels[len(clips) :])
