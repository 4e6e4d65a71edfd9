"""Compares the eyes with the package `fer` on the same frames and faces: `scripts/peers --data DIR`.

Every candidate runs in a process of its own and tells what it measured as a line of JSON: milliseconds a frame, peak
memory, the label of the largest face of each frame (-1: nobody found), the labels of the bare faces.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from device.demo.portrait import photograph
from device.domain.labels import LABELS
from device.errors import SetupError, run_command
from device.lab.evaluate import PRIVATE_TEST, read_archive
from device.lab.ferplus import most_voted, read_votes
from device.ports import Image

ROOT = Path(__file__).resolve().parents[2]
PEER = Path(__file__).with_name("peer_fer.py")
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
EACH = 5
"""Frames of each label."""
FACE_PIXELS = 200
PATIENCE_SECONDS = 900.0
OURS = "moodify"

Told = dict[str, Any]


def compare(data: Path, peers_python: Path) -> dict[str, Told]:
    """Measure ours and both detectors of `fer`, one after the other."""
    if not peers_python.exists():
        raise SetupError(f"{peers_python}: not there; scripts/peers makes it")
    archive = read_archive(data / "fer2013.npz")
    private = np.flatnonzero(archive["split"] == PRIVATE_TEST)
    frames, shown = _frames(archive, private)
    with tempfile.TemporaryDirectory(prefix="moodify-peers-") as name:
        folder = Path(name)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{number:03}.png"), frame[:, :, ::-1])
        np.save(folder / "faces.npy", archive["images"][private])
        told = {
            OURS: _ask([sys.executable, "-m", "device.lab.peer_ours", str(folder)]),
            "fer, Haar cascade": _ask([str(peers_python), str(PEER), "haar", str(folder)]),
            "fer, MTCNN": _ask([str(peers_python), str(PEER), "mtcnn", str(folder)]),
        }
    fresh = ~archive["dup_of_earlier_split"][private].astype(bool)
    return {name: _judged(each, shown, archive["label"][private], fresh) for name, each in told.items()}


def table(told: dict[str, Told]) -> str:
    """For people; below each peer's figures how many times ours they are."""
    columns = (
        ("cpu_milliseconds", "CPU a frame", "{:.1f} ms"),
        ("milliseconds", "on the clock", "{:.1f} ms"),
        ("peak_megabytes", "peak memory", "{:.0f} MB"),
        ("found", "faces found", "{:.1%}"),
        ("right_in_frames", "right in frames", "{:.1%}"),
        ("accuracy", "PrivateTest", "{:.2%}"),
        ("accuracy_without_duplicates", "no duplicates", "{:.2%}"),
    )
    lines = [f"{'':<20}" + "".join(f"{title:>17}" for _, title, _ in columns)]
    for name, each in told.items():
        lines.append(f"{name:<20}" + "".join(f"{form.format(each[key]):>17}" for key, _, form in columns))
        if name != OURS:
            times = (f"{each[key] / told[OURS][key]:.1f} × ours" for key, _, _ in columns[:3])
            lines.append(f"{'':<20}" + "".join(f"{text:>17}" for text in times))
    return "\n".join(lines)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="scripts/peers", description="Compare the eyes with the package fer.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the data sets")
    parser.add_argument("--peers", type=Path, default=PEERS_PYTHON, metavar="FILE", help="Python of the peers")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    told = compare(options.data, options.peers)
    print(json.dumps(told, indent=2) if options.json else table(told))


def _frames(archive: Any, private: NDArray[np.int64]) -> tuple[list[Image], NDArray[np.int64]]:
    """Frames [480, 640, 3] of one face each in a room, and the labels shown: EACH of every label."""
    rng = np.random.default_rng(7)
    labels, images = archive["label"][private], archive["images"][private]
    agreed = most_voted(read_votes(archive))[private] == labels
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(agreed & (labels == label)), EACH, replace=False) for label in range(len(LABELS))]
    )
    room = _room()
    return [_shown(room, images[row], rng) for row in rows], labels[rows].astype(np.int64)


def _room() -> Image:
    """What is behind the faces: the portrait's own background, upside down, where nobody finds a face."""
    return np.ascontiguousarray(photograph()[::-1])


def _shown(room: Image, face: Image, rng: np.random.Generator) -> Image:
    """The room with the face, FACE_PIXELS high, anywhere in it."""
    frame = room.copy()
    top, left = (int(rng.integers(0, size - FACE_PIXELS)) for size in room.shape[:2])
    large = cv2.resize(face, (FACE_PIXELS, FACE_PIXELS), interpolation=cv2.INTER_CUBIC)
    frame[top : top + FACE_PIXELS, left : left + FACE_PIXELS] = large[:, :, np.newaxis]
    return frame


def _ask(command: list[str]) -> Told:
    """The JSON that a candidate prints in its last line."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_SECONDS, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(f"{' '.join(command[:3])}: {reason}; remove .venv-peers and run scripts/peers again")
    told: Told = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _judged(told: Told, shown: NDArray[np.int64], truth: NDArray[np.uint8], fresh: NDArray[np.bool_]) -> Told:
    """The figures, with the answers counted."""
    labels, right = np.array(told.pop("labels")), np.array(told.pop("faces")) == truth
    return {
        **told,
        "found": float(np.mean(labels >= 0)),
        "right_in_frames": float(np.mean(labels == shown)),
        "accuracy": float(right.mean()),
        "accuracy_without_duplicates": float(right[fresh].mean()),
    }


if __name__ == "__main__":
    sys.exit(run_command("scripts/peers", main))
