"""Ours and the peers are judged alike, and the runtimes are compared on the shipped models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.config import Config
from device.errors import SetupError
from device.lab import bench_runtimes, peers
from device.lab.ferplus import VOTE_COLUMNS
from device.lab.peer_gauge import WARM_UP, gauge

pytest.importorskip("skimage", reason="scikit-image is missing: it brings the portrait")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """As much of FER-2013 as is asked for, with made-up faces: ten of each label, the last of each a copy."""
    labels = np.repeat(np.arange(7, dtype=np.uint8), 10)
    votes = np.zeros((70, 10), np.uint8)
    votes[np.arange(70), np.array(VOTE_COLUMNS)[labels]] = 10
    np.savez(
        tmp_path / "fer2013.npz",
        images=np.random.default_rng(1).integers(0, 256, (70, 48, 48), dtype=np.uint8),
        label=labels,
        split=np.full(70, 2, np.uint8),
        ferplus_votes=votes,
        dup_of_earlier_split=np.arange(70) % 10 == 9,
    )
    return tmp_path


def peer(folder: Path, text: str) -> Path:
    """A Python that answers as told, whatever it is asked to run."""
    made = folder / "python"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


def test_every_frame_is_loaded_and_looked_at_once_after_some_to_warm_up() -> None:
    seen: list[str] = []
    told = gauge([Path(name) for name in "abcdefgh"], str, lambda frame: seen.append(frame) or len(seen))
    assert seen == [*"abcdefgh"[:WARM_UP], *"abcdefgh"]
    assert told["labels"] == list(range(WARM_UP + 1, WARM_UP + 9)) and told["peak_megabytes"] > 1


def test_every_candidate_gets_the_same_faces_and_its_answers_are_counted(data: Path, tmp_path: Path) -> None:
    labels = [-1] * 5 + [0] * 30
    faces = [label for label in range(7) for _ in range(10)]
    faces[9] = 6
    answer = {"cpu_milliseconds": 100.0, "milliseconds": 120.0, "peak_megabytes": 900.0}
    told = peers.compare(
        data, peer(tmp_path, f"echo noise; echo '{json.dumps({**answer, 'labels': labels, 'faces': faces})}'")
    )
    assert list(told) == ["moodify", "fer, Haar cascade", "fer, MTCNN"]
    theirs = told["fer, MTCNN"]
    assert theirs["found"] == pytest.approx(30 / 35) and theirs["right_in_frames"] == 0.0
    assert theirs["accuracy"] == pytest.approx(69 / 70) and theirs["accuracy_without_duplicates"] == 1.0
    assert told["moodify"]["cpu_milliseconds"] > 0 and told["moodify"]["peak_megabytes"] > 50
    assert "× ours" in peers.table(told)


def test_a_peer_that_fails_is_named_with_its_reason(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"peer_fer\.py.*no module named tensorflow; remove \.venv-peers"):
        peers.compare(data, peer(tmp_path, "echo no module named tensorflow >&2; exit 1"))


def test_without_the_peers_environment_it_says_what_makes_it(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "device.lab.peers", "--data", str(data), "--peers", str(tmp_path / "none")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78 and "scripts/peers makes it" in done.stderr


def test_a_frame_shows_one_face_in_a_room_without_any(data: Path) -> None:
    archive = np.load(data / "fer2013.npz")
    frames, shown = peers._frames(archive, np.arange(70))
    assert [int(np.sum(shown == label)) for label in range(7)] == [peers.EACH] * 7
    assert {frame.shape for frame in frames} == {(480, 640, 3)}
    room = cv2.cvtColor(peers._room(), cv2.COLOR_RGB2GRAY)
    changed = [int(np.sum(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) != room)) for frame in frames]
    assert max(changed) <= peers.FACE_PIXELS**2


def test_both_runtimes_answer_alike_on_both_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_runtimes, "INPUTS", 3)
    monkeypatch.setattr(bench_runtimes, "THREADS", (1, 2))
    rows = bench_runtimes.bench_runtimes(Config().paths.models, repeats=2)
    assert {(row.model, row.threads) for row in rows} == {("face", 1), ("face", 2), ("voice", 1), ("voice", 2)}
    assert all(row.farthest_logit < 0.5 and row.median_milliseconds > 0 for row in rows)
    assert len(bench_runtimes.table(rows).splitlines()) == 1 + len(rows)
