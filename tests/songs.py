"""Real songs of every format for tests, each another one: noise that no two seeds share."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

SUFFIXES = (".flac", ".mp3", ".ogg", ".opus", ".m4a", ".wma", ".wav", ".aiff", ".ape", ".wv", ".mpc")
OF_FFMPEG = (".m4a", ".wma", ".wv")
OUR_OWN_BYTES = (".ape", ".mpc")
"""No encoder is at hand: the headers are as they should be, the sound is any bytes."""
BLOCK_FRAMES = 16000
"""libsndfile's Vorbis encoder crashes when it is given minutes at once."""


def make_song(path: Path, seconds: float = 2.0, seed: int = 1) -> Path:
    """A song in the format that the suffix names; skips the test where ffmpeg is needed and missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in OUR_OWN_BYTES:
        path.write_bytes(_monkey(seconds, seed) if path.suffix == ".ape" else _musepack(seconds, seed))
    elif path.suffix in OF_FFMPEG:
        _by_ffmpeg(_by_soundfile(path.with_name(f"{path.stem}.source.wav"), seconds, seed), path)
    else:
        _by_soundfile(path, seconds, seed)
    return path


def _by_soundfile(path: Path, seconds: float, seed: int) -> Path:
    noise = np.random.default_rng(seed).normal(0, 0.05, int(seconds * 16000))
    kinds = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}}
    with soundfile.SoundFile(path, "w", 16000, 1, **kinds.get(path.suffix, {})) as file:
        for start in range(0, len(noise), BLOCK_FRAMES):
            file.write(noise[start : start + BLOCK_FRAMES])
    return path


def _by_ffmpeg(source: Path, path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip(f"ffmpeg is missing: needed to make a {path.suffix} file")
    command = ["ffmpeg", "-v", "error", "-i", source, "-flags", "+bitexact", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    source.unlink()


def decoded(path: Path) -> bytes:
    """The samples that a player hears; skips where the decoder is missing, and of our own bytes just what they are."""
    if path.suffix in OUR_OWN_BYTES:
        return path.read_bytes()[:2000]
    if path.suffix not in OF_FFMPEG:
        return soundfile.read(path)[0].tobytes()
    if not shutil.which("ffmpeg"):
        pytest.skip(f"ffmpeg is missing: needed to hear a {path.suffix} file")
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stdout


def _monkey(seconds: float, seed: int) -> bytes:
    """Monkey's Audio 3.99: descriptor of 52 bytes, header of 24, frames."""
    descriptor = b"MAC " + struct.pack("<HH", 3990, 0) + bytes(44)
    header = struct.pack("<HHIIIHHI", 2000, 0, 4410, 4410, int(seconds * 10), 16, 2, 44100)
    return descriptor + header + _frames(seconds, seed)


def _musepack(seconds: float, seed: int) -> bytes:
    """Musepack SV7, whose header tells gains of -6.5 dB (track) and none (album)."""
    frames = int(seconds * 44100 / 1152) + 1
    header = b"MP+\x07" + struct.pack("<II", frames, 0) + struct.pack("<HhHh", 20000, -650, 0, 0)
    return header.ljust(32, b"\0") + _frames(seconds, seed)


def _frames(seconds: float, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 255, int(seconds * 40_000), dtype=np.uint8).tobytes()
