"""What is heard in a song: sounds made here, through the real decoder, the features and the shipped model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.analysis.decode import RATE_HZ, NothingToHear, UndecodableTrack, decode
from device.analysis.feeling import Feeling, hear, load, place, shipped
from device.analysis.hearing import describe, feature_groups, feature_names, tempo_of
from device.domain.tracks import TIMBRE_SIZE
from device.errors import SetupError

MODELS = Path(__file__).resolve().parent.parent / "models"


def drums(seconds: float, beats_a_minute: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Loud and bright: a kick on every beat, noise between, a sawtooth riff over them."""
    random = np.random.default_rng(3)
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = np.zeros(len(at))
    beat = 60 / beats_a_minute
    for number in range(int(seconds / beat * 4)):
        start = int(number * beat / 4 * rate_hz)
        rest = at[: min(int(0.25 * rate_hz), len(at) - start)]
        struck = random.normal(0, 0.25, len(rest)) * np.exp(-30 * rest)
        if number % 4 == 0:
            struck += 0.8 * np.sin(2 * np.pi * 60 * rest) * np.exp(-12 * rest)
        if number % 8 == 4:
            struck += random.normal(0, 0.6, len(rest)) * np.exp(-14 * rest)
        sound[start : start + len(rest)] += struck
    for hz in (110, 165, 220):
        sound += 0.12 * (2 * ((at * hz) % 1) - 1) * (1 + np.sin(2 * np.pi * at / beat * 2))
    return (0.5 * np.tanh(1.5 * sound)).astype(np.float32)


def pad(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Soft and slow: four dark chords that swell and fade."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = np.zeros(len(at))
    for number, chord in enumerate(((220, 262, 330), (175, 220, 262), (196, 247, 294), (165, 196, 247))):
        swell = np.maximum(0, np.sin(np.pi * ((at - 4 * number) % 16) / 5)) * (((at - 4 * number) % 16) < 5)
        for hz in chord:
            for partial in (1, 2, 3):
                sound += 0.03 / partial**2 * swell * np.sin(2 * np.pi * hz * partial * at + 0.3 * partial)
    return sound.astype(np.float32)


def clicks(beats_a_minute: float, seconds: float = 15) -> np.ndarray:
    sound = np.random.default_rng(1).normal(0, 1e-3, int(seconds * RATE_HZ))
    for start in np.arange(0, seconds - 0.1, 60 / beats_a_minute):
        first = int(start * RATE_HZ)
        sound[first : first + 400] += np.sin(np.arange(400) * 0.7) * np.exp(-np.arange(400) / 60)
    return (0.3 * sound).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, **how) -> Path:
    soundfile.write(path, samples, rate_hz, **how)
    return path


def numbers(timbre: bytes) -> np.ndarray:
    return np.frombuffer(timbre, np.int8).astype(float)


def test_fast_loud_and_bright_is_more_aroused_than_slow_and_quiet(tmp_path) -> None:
    fast = hear(write(tmp_path / "fast.flac", drums(20, 150)))
    slow = hear(write(tmp_path / "slow.flac", pad(20)))
    assert fast.affect.arousal > slow.affect.arousal + 0.2
    assert fast.loudness_db > slow.loudness_db + 6
    for heard in (fast, slow):
        assert -1 <= heard.affect.valence <= 1
        assert 0 < heard.uncertainty <= 1
        assert len(heard.timbre) == TIMBRE_SIZE
        assert sum(heard.posterior) == pytest.approx(1, abs=0.001)


def test_the_same_file_is_heard_the_same(tmp_path) -> None:
    path = write(tmp_path / "song.flac", drums(16, 120))
    assert hear(path) == hear(path)


@pytest.mark.parametrize("beats_a_minute", [63, 80, 97, 120, 141, 170])
def test_the_tempo_of_clicks_is_found(beats_a_minute) -> None:
    found, clarity = tempo_of(clicks(beats_a_minute))
    assert found == pytest.approx(beats_a_minute, rel=0.04)
    assert clarity > 0.3


def test_a_pad_has_a_weaker_pulse_than_clicks() -> None:
    assert tempo_of(pad(15))[1] < tempo_of(clicks(100))[1] - 0.2


def test_only_the_loudness_depends_on_the_gain() -> None:
    sound = drums(15, 120)
    loud, soft = describe(sound), describe(sound * 0.1)
    others = np.array([group != "loudness" for group in feature_groups()])
    np.testing.assert_allclose(loud[others], soft[others], rtol=0.02, atol=0.02)
    assert loud[0] - soft[0] == pytest.approx(20, abs=0.01)


def test_timbre_stays_with_the_sound_and_not_with_its_gain(tmp_path) -> None:
    sound = drums(16, 120)
    loud = hear(write(tmp_path / "loud.flac", sound, subtype="PCM_24"))
    soft = hear(write(tmp_path / "soft.flac", sound * 0.2, subtype="PCM_24"))
    other = hear(write(tmp_path / "other.flac", pad(16)))
    near = np.linalg.norm(numbers(loud.timbre) - numbers(soft.timbre))
    assert near <= 2
    assert np.linalg.norm(numbers(loud.timbre) - numbers(other.timbre)) > 10 * (near + 1)
    assert soft.affect.valence == pytest.approx(loud.affect.valence, abs=0.02)


def test_rate_channels_and_format_change_little(tmp_path) -> None:
    sound = drums(16, 120, 48_000)
    stereo = hear(write(tmp_path / "stereo.wav", np.stack([sound, sound], axis=1), 48_000))
    for name, rate_hz in (("mono.mp3", 48_000), ("mono.ogg", 48_000), ("slow.flac", 44_100)):
        other = hear(write(tmp_path / name, sound if rate_hz == 48_000 else drums(16, 120, rate_hz), rate_hz))
        assert other.affect.arousal == pytest.approx(stereo.affect.arousal, abs=0.25), name
        assert other.tempo_bpm == pytest.approx(stereo.tempo_bpm, rel=0.02), name


def test_a_long_song_is_heard_in_its_middle(tmp_path) -> None:
    rate_hz = 8000
    sound = np.zeros(200 * rate_hz, np.float32)
    sound[70 * rate_hz : 130 * rate_hz] = 0.1 * np.sin(np.arange(60 * rate_hz) * 2 * np.pi * 440 / rate_hz)
    span = decode(write(tmp_path / "long.flac", sound, rate_hz))
    assert len(span.samples) == pytest.approx(60 * RATE_HZ, abs=RATE_HZ // 100)
    assert span.track_seconds == pytest.approx(200)
    assert np.abs(span.samples[: RATE_HZ // 2]).max() > 0.09
    assert np.abs(span.samples[-RATE_HZ // 2 :]).max() > 0.09


def test_silence_and_scraps_are_not_judged(tmp_path) -> None:
    with pytest.raises(NothingToHear, match=r"silent\.wav: silent from end to end"):
        hear(write(tmp_path / "silent.wav", np.zeros(10 * RATE_HZ, np.float32)))
    with pytest.raises(NothingToHear, match=r"scrap\.wav: 0\.2 s of sound"):
        hear(write(tmp_path / "scrap.wav", drums(0.2, 120)))


def test_a_sound_that_is_no_music_is_called_uncertain(tmp_path) -> None:
    tone = (0.3 * np.sin(np.arange(15 * RATE_HZ) * 2 * np.pi * 1000 / RATE_HZ)).astype(np.float32)
    assert hear(write(tmp_path / "tone.wav", tone)).uncertainty > 0.6


@pytest.mark.parametrize("content", [b"", b"no music", b"OggS" + bytes(400), b"fLaC" + bytes(400), b"ID3" + bytes(900)])
def test_a_broken_file_is_one_line(tmp_path, content) -> None:
    path = tmp_path / "broken.mp3"
    path.write_bytes(content)
    with pytest.raises(UndecodableTrack, match=r"broken\.mp3: ") as caught:
        hear(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_song_is_heard_as_far_as_it_goes(tmp_path) -> None:
    whole = write(tmp_path / "whole.ogg", drums(30, 120)).read_bytes()
    (tmp_path / "cut.ogg").write_bytes(whole[: len(whole) // 2])
    assert 5 < hear(tmp_path / "cut.ogg").heard_seconds < 30


def test_a_folder_and_a_missing_file_are_told(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.flac"):
        with pytest.raises(UndecodableTrack, match="not a file"):
            hear(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="not installed: ffmpeg")
def test_what_libsndfile_cannot_read_goes_through_ffmpeg(tmp_path) -> None:
    write(tmp_path / "song.wav", drums(80, 120))
    made = tmp_path / "-a song: 1.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "song.wav", f"file:{made}"], check=True, timeout=60)
    span = decode(made)
    assert span.track_seconds == pytest.approx(80, abs=0.2)
    assert len(span.samples) == pytest.approx(60 * RATE_HZ, rel=0.01)


def test_without_ffmpeg_the_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(300))
    with pytest.raises(UndecodableTrack, match="need ffmpeg: apt install ffmpeg"):
        decode(tmp_path / "song.m4a")


def test_numbers_that_are_none_do_not_spread(tmp_path) -> None:
    sound = drums(16, 120)
    sound[1000:1010] = np.nan
    sound[2000] = np.inf
    heard = hear(write(tmp_path / "odd.wav", sound, subtype="FLOAT"))
    assert np.isfinite(heard.affect.arousal)


def test_being_sure_is_being_far_from_the_middle() -> None:
    sure, vague = place(np.array([0.97, 0.01, 0.01, 0.01])), place(np.full(4, 0.25))
    assert sure[0].valence > 0.5
    assert sure[0].arousal > 0.5
    assert (vague[0].valence, vague[0].arousal) == (0, 0)
    assert sure[1] < 0.5 < vague[1]


def test_the_shipped_model_fits_its_card() -> None:
    model = load(MODELS)
    assert isinstance(model, Feeling)
    assert model.names == feature_names()
    measured = json.loads((MODELS / "music.card.json").read_text(encoding="utf-8"))["measured"]
    assert measured["grouped_cross_validation"]["quadrant_f1"] > 0.6


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("features", ["loudness_db"], "features: not the features"),
        ("quadrants", ["Q1"], "quadrants: "),
        ("schema", 2, "schema: 2 where"),
        ("bytes", 7, "sha256 differs"),
        ("sha256", "00", "sha256 differs"),
        ("file", "../music.npz", "not a plain file name"),
        ("version", 1, "not of type str"),
    ],
)
def test_a_card_that_disagrees_is_refused(tmp_path, key, value, told) -> None:
    card = json.loads((MODELS / "music.card.json").read_text(encoding="utf-8"))
    (tmp_path / "music.npz").write_bytes((MODELS / "music.npz").read_bytes())
    (tmp_path / "music.card.json").write_text(json.dumps({**card, key: value}), encoding="utf-8")
    with pytest.raises(SetupError, match=told):
        load(tmp_path)


def test_a_model_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(SetupError, match=r"music\.card\.json: "):
        load(tmp_path)


def test_hearing_again_and_again_takes_no_more_memory(tmp_path) -> None:
    path, model = write(tmp_path / "song.flac", drums(16, 120)), shipped()
    for _ in range(2):
        hear(path, model)
    before = _memory_mb()
    for _ in range(8):
        hear(path, model)
    assert _memory_mb() - before < 12


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_listening_stops_at_once_when_it_is_interrupted(tmp_path) -> None:
    paths = [str(write(tmp_path / "song.flac", drums(31, 120)))] * 500
    child = subprocess.Popen(
        [sys.executable, "-m", "device.analysis", *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with child:
        assert b'"uncertainty"' in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, told = child.communicate(timeout=20)
        assert time.monotonic() - began < 5
    assert (child.returncode, told) == (130, b"device.analysis: stopped\n")
