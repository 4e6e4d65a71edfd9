"""Decodes the middle of a music file to mono sound at one rate, without ever holding the whole file."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from device.errors import MoodifyError

RATE_HZ = 16_000
"""Nearly every source reaches to 8 kHz, so no song is judged by how well it was coded."""
SPAN_SECONDS = 60.0
"""As much of a long song as is decoded, from its middle: openings and endings are rarely like the rest."""
BLOCK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""For one run of ffmpeg."""

Sound = NDArray[np.float32]
"""float32 [n], mono."""


class UnheardTrack(MoodifyError):
    """Nothing can be said about a file from its sound, by the decoders that are here."""


class UndecodableTrack(UnheardTrack):
    """No decoder here can read the file; the message says which one is missing or what it found."""


class NothingToHear(UnheardTrack):
    """The file is readable, but silent or too short to judge."""


@dataclass(frozen=True, slots=True)
class Span:
    """The decoded part of a file."""

    samples: Sound
    """Mono at RATE_HZ."""
    track_seconds: float
    """Length of the whole file; 0 when it does not say."""


def decode(path: Path, span_seconds: float = SPAN_SECONDS) -> Span:
    """The middle `span_seconds` of the file, or all of it when it is shorter; UndecodableTrack when that fails.

    libsndfile reads FLAC, MP3, Ogg Vorbis, Opus, WAV and AIFF; the program ffmpeg, where it is installed, all else.
    """
    if not path.is_file():
        raise UndecodableTrack(f"{path}: not a file; scan the music folder again")
    try:
        return _by_soundfile(path, span_seconds)
    except soundfile.LibsndfileError as error:
        return _by_ffmpeg(path, span_seconds, str(error.error_string).rstrip("."))


def _by_soundfile(path: Path, span_seconds: float) -> Span:
    with soundfile.SoundFile(path) as file:
        rate_hz, frames = file.samplerate, file.frames
        known = 0 < frames < 2**40
        if known and frames > span_seconds * rate_hz:
            # A stream that cannot seek is heard from its beginning.
            with contextlib.suppress(soundfile.LibsndfileError):
                file.seek(int((frames - span_seconds * rate_hz) / 2))
        return Span(_read_mono(file, int(span_seconds * rate_hz)), frames / rate_hz if known else 0.0)


def _read_mono(file: soundfile.SoundFile, wanted: int) -> Sound:
    """The next `wanted` frames, block by block, mixed to mono and brought to RATE_HZ."""
    resampler = soxr.ResampleStream(file.samplerate, RATE_HZ, 1, dtype="float32")
    block = int(BLOCK_SECONDS * file.samplerate)
    parts, left = [], wanted
    while left > 0:
        samples = file.read(min(block, left), dtype="float32", always_2d=True)
        left -= len(samples)
        ended = len(samples) < block or left <= 0
        parts.append(resampler.resample_chunk(samples.mean(axis=1), last=ended))
        if ended:
            break
    return _finite(np.concatenate(parts))


def _finite(samples: Sound) -> Sound:
    """Float files may hold anything: what is not a number becomes silence, what is far too loud is cut."""
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -4.0, 4.0)


def _by_ffmpeg(path: Path, span_seconds: float, reason: str) -> Span:
    program = shutil.which("ffmpeg")
    if program is None:
        remedy = "M4A, WMA and the like need ffmpeg: apt install ffmpeg, then `moodify library analyse`"
        raise UndecodableTrack(f"{path}: {reason}; {remedy}")
    source = ["-protocol_whitelist", "file", "-i", f"file:{path.absolute()}"]
    told = _run([program, "-hide_banner", "-nostdin", *source], path).stderr.decode("utf-8", "replace")
    seconds = _duration(told)
    start = max(0.0, (seconds - span_seconds) / 2)
    wanted = ["-ss", f"{start:.3f}", *source, "-t", f"{span_seconds}", "-map", "0:a:0"]
    # The mean of the channels, as above; plain "-ac 1" is 3 dB louder.
    form = ["-af", f"aresample={RATE_HZ}:ochl=mono:rematrix_maxval=1", "-f", "f32le", "pipe:1"]
    made = _run([program, "-v", "error", "-nostdin", "-threads", "1", *wanted, *form], path)
    samples = np.frombuffer(made.stdout[: len(made.stdout) // 4 * 4], dtype="<f4")
    if not len(samples):
        lines = made.stderr.decode("utf-8", "replace").strip().splitlines()
        found = lines[-1] if lines else "no sound in it"
        raise UndecodableTrack(f"{path}: {reason}; ffmpeg: {found}; look whether the file is damaged")
    return Span(_finite(samples.astype(np.float32)), seconds)


def _run(command: list[str], path: Path) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UndecodableTrack(f"{path}: ffmpeg took over {PATIENCE_SECONDS:.0f} s; look at the file") from None
    except OSError as error:
        raise UndecodableTrack(f"{path}: ffmpeg did not start: {error.strerror}; install it anew") from None


def _duration(told: str) -> float:
    """Seconds by what ffmpeg tells of a file; 0 when it does not say."""
    found = re.search(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", told)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0
