"""The ears: when they read, how far they trust it, and that the speaker's own music is not a person's mood."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from device.adapters.speech_silero import SileroSpeechGate
from device.domain.reading import Modality, Posterior, Reading
from device.ports import SAMPLE_RATE_HZ, Chunk
from device.sensing.ears import LEAST_NOISE_FACTOR, Ears, measure_levels, speech_over_rest_db, stands_out
from device.sensing.echo import LAG_SECONDS, without_music
from device.sensing.logmel_spec import LogMelSpec
from device.sensing.own_music import Reference
from tests.sounds import in_room, music, needs_espeak, noise, rms, speech_of

SPEC = LogMelSpec(mean=(-40.0,) * 64, std=(15.0,) * 64)
HAPPY = Posterior((0.02, 0.02, 0.02, 0.88, 0.02, 0.02, 0.02))
WINDOW = SPEC.window_samples


class LoudIsSpeech:
    """A gate that takes every loud 20 ms for speech."""

    def __init__(self) -> None:
        self.heard_samples = 0
        self.heard_since_samples = 0
        """Since it forgot."""

    def spoken(self, samples: np.ndarray) -> np.ndarray:
        self.heard_samples += len(samples)
        self.heard_since_samples += len(samples)
        parts = np.array_split(samples, len(samples) // 320)
        return np.concatenate([np.full(len(part), rms(part) > 0.008) for part in parts])

    def forget(self) -> None:
        self.heard_since_samples = 0


class FirstIsSpeech(LoudIsSpeech):
    """A gate that takes the first half of each second for speech."""

    def spoken(self, samples: np.ndarray) -> np.ndarray:
        return np.arange(len(samples)) % SAMPLE_RATE_HZ < SAMPLE_RATE_HZ // 2


class Happy:
    """A classifier that knows one answer, and keeps what it was asked."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def classify(self, model_input: np.ndarray) -> Posterior:
        self.inputs.append(model_input)
        return HAPPY


def ears_with(playing: bool = False, reference: Reference | None = None, gate=None, hop_seconds: float = 1.0) -> Ears:
    return Ears(gate or LoudIsSpeech(), Happy(), SPEC, hop_seconds, 0.2, lambda: playing, reference)


def hear(ears: Ears, sound: np.ndarray, begin_seconds: float = 100.0, chunk_seconds: float = 0.1) -> list[Reading]:
    step = round(chunk_seconds * SAMPLE_RATE_HZ)
    readings = []
    for end in range(step, len(sound) + 1, step):
        reading = ears.hear(Chunk(sound[end - step : end], begin_seconds + end / SAMPLE_RATE_HZ))
        readings += [reading] if reading else []
    return readings


def voice(seconds: float, level: float = 0.1) -> np.ndarray:
    """Noise that comes and goes like syllables: loud five times a second, with pauses of 40 dB less."""
    sound = noise(seconds, level, seed=2)
    at = np.arange(len(sound)) / SAMPLE_RATE_HZ
    return (sound * np.where(at % 0.2 < 0.15, 1.0, 0.01)).astype(np.float32)


def test_one_reading_a_hop_while_somebody_speaks() -> None:
    readings = hear(ears_with(), voice(6.0))
    assert [reading.at_seconds for reading in readings] == pytest.approx([101, 102, 103, 104, 105, 106])
    assert {reading.modality for reading in readings} == {Modality.VOICE}
    assert readings[0].posterior == HAPPY


def test_a_burst_longer_than_a_hop_gives_one_reading_at_its_end() -> None:
    readings = hear(ears_with(), voice(6.0), chunk_seconds=2.0)
    assert [reading.at_seconds for reading in readings] == pytest.approx([102, 104, 106])


def test_the_model_gets_what_its_card_says() -> None:
    classifier = Happy()
    hear(Ears(LoudIsSpeech(), classifier, SPEC, 1.0, 0.2, lambda: False), voice(1.0))
    assert [one.shape for one in classifier.inputs] == [(SPEC.frames, SPEC.bands)]


def test_silence_gives_no_reading() -> None:
    assert hear(ears_with(), noise(6.0, 0.0003)) == []


def test_too_little_speech_gives_no_reading() -> None:
    sound = np.concatenate([noise(2.7, 0.0003), voice(0.3)])
    assert hear(ears_with(), sound) == []


def test_an_utterance_that_has_been_read_is_not_read_again() -> None:
    readings = hear(ears_with(), np.concatenate([voice(1.9), noise(6.1, 0.0003)]))
    assert [reading.at_seconds for reading in readings] == pytest.approx([101, 102])


def test_no_sound_older_than_the_window_is_kept() -> None:
    ears = ears_with()
    hear(ears, voice(20.0))
    kept = [len(value) for value in vars(ears).values() if isinstance(value, np.ndarray)]
    assert max(kept) == WINDOW


def test_nothing_that_was_heard_is_kept_once_the_microphone_is_closed() -> None:
    ears = ears_with()
    hear(ears, voice(3.5))
    ears.forget()
    assert sum(len(value) for value in vars(ears).values() if isinstance(value, np.ndarray)) == 0
    assert hear(ears, noise(1.0, 0.0003), begin_seconds=103.5) == []


def test_every_sound_passes_the_gate_once() -> None:
    gate = LoudIsSpeech()
    hear(ears_with(gate=gate), voice(10.0))
    assert gate.heard_samples == 10 * SAMPLE_RATE_HZ


def test_the_gate_goes_on_while_there_is_something_to_hear_and_begins_anew_after_a_pause() -> None:
    gate = LoudIsSpeech()
    ears = ears_with(gate=gate)
    hear(ears, voice(5.0))
    assert gate.heard_since_samples == 5 * SAMPLE_RATE_HZ
    hear(ears, np.concatenate([noise(1.0, 0.0003), voice(2.0)]), begin_seconds=105.0)
    assert gate.heard_since_samples == 2 * SAMPLE_RATE_HZ
    ears.forget()
    assert gate.heard_since_samples == 0


def test_a_quiet_or_evenly_humming_room_does_not_trouble_the_gate() -> None:
    for level in (0.0, 0.0003, 0.003, 0.05):
        gate = LoudIsSpeech()
        hear(ears_with(gate=gate), noise(6.0, level))
        assert gate.heard_samples == 0, level


def test_a_word_is_heard_by_the_gate_however_the_room_hums() -> None:
    for level in (0.0, 0.0003, 0.003):
        gate = LoudIsSpeech()
        hear(ears_with(gate=gate), noise(6.0, level) + np.pad(voice(0.3), (5 * SAMPLE_RATE_HZ, 11_200)))
        assert gate.heard_samples == SAMPLE_RATE_HZ, level


@needs_espeak
@pytest.mark.parametrize("background_db", [None, 30, 20, 12, 6])
def test_speech_above_the_floor_always_reaches_the_gate(background_db: float | None) -> None:
    speech = speech_of(9.0)
    for dbfs in (-20.0, -40.0, -55.0, -62.0):
        sound = speech * 10 ** (dbfs / 20) / 10 ** (measure_levels(speech).active_dbfs / 20)
        if background_db is not None:
            sound = sound + noise(9.0, 10 ** ((dbfs - background_db) / 20))
        for end in range(SPEC.window_samples, len(sound) + 1, SAMPLE_RATE_HZ):
            window = sound[end - SPEC.window_samples : end].astype(np.float32)
            assert stands_out(window[-SAMPLE_RATE_HZ:], window), (dbfs, end)


def test_a_jump_in_time_begins_a_new_window() -> None:
    ears = ears_with()
    hear(ears, voice(2.9), begin_seconds=100.0)
    assert hear(ears, noise(1.0, 0.0003), begin_seconds=200.0) == []
    assert hear(ears, voice(1.0), begin_seconds=201.0)[0].quality > 0.5


def test_clear_speech_has_full_quality_and_no_note() -> None:
    reading = hear(ears_with(), voice(3.0))[-1]
    assert reading.quality == pytest.approx(1.0, abs=0.05)
    assert reading.note == ""


@pytest.mark.parametrize(
    ("sound", "note"),
    [
        pytest.param(voice(3.0, 0.1) + noise(3.0, 0.12), "noise", id="noise"),
        pytest.param(np.clip(voice(3.0, 2.0), -1, 1), "clipped", id="clipped"),
        pytest.param(np.concatenate([noise(2.1, 0.0005), voice(0.9)]), "little speech", id="little"),
    ],
)
def test_the_worst_fault_of_the_sound_is_noted(sound: np.ndarray, note: str) -> None:
    reading = hear(ears_with(), sound)[-1]
    assert reading.note == note
    assert reading.quality < 0.8


def test_faint_speech_is_noted() -> None:
    class AllIsSpeech(LoudIsSpeech):
        def spoken(self, samples: np.ndarray) -> np.ndarray:
            return np.ones(len(samples), np.bool_)

    reading = hear(ears_with(gate=AllIsSpeech()), voice(3.0, 0.002))[-1]
    assert reading.note == "faint"
    assert reading.quality < 0.8


def between_words(level: float) -> np.ndarray:
    """Speech in the first half of each second, and a bark as loud as `level` in the second half."""
    at = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    barks = noise(3.0, level, seed=5) * ((at % 1.0 > 0.6) & (at % 1.0 < 0.7))
    return (voice(3.0, 0.1) * (at % 1.0 < 0.5) + barks + noise(3.0, 0.0003)).astype(np.float32)


def test_loud_noise_between_the_words_is_noise_too() -> None:
    quiet, loud, louder = (
        hear(ears_with(gate=FirstIsSpeech()), between_words(level))[-1] for level in (0.01, 0.15, 0.4)
    )
    assert (quiet.quality, quiet.note) == (1.0, "")
    assert loud.note == louder.note == "noise"
    assert 0.8 > loud.quality > louder.quality


def test_what_is_said_in_the_loudest_noise_still_counts_a_little() -> None:
    reading = hear(ears_with(gate=FirstIsSpeech()), between_words(0.9) / 4)[-1]
    assert reading.quality == pytest.approx(LEAST_NOISE_FACTOR)


@pytest.mark.parametrize("rest_db", [-20.0, -10.0, 0.0, 5.0])
def test_how_far_speech_stands_out_is_the_ratio_of_the_powers(rest_db: float) -> None:
    sound = noise(3.0, 0.05, seed=6)
    spoken = np.arange(len(sound)) % SAMPLE_RATE_HZ < SAMPLE_RATE_HZ // 2
    sound[~spoken] *= 10 ** (rest_db / 20)
    assert speech_over_rest_db(sound, spoken) == pytest.approx(-rest_db, abs=0.3)


def test_where_somebody_speaks_all_the_time_the_quiet_moments_are_what_is_around() -> None:
    always = np.ones(WINDOW, np.bool_)
    assert speech_over_rest_db(voice(3.0), always) > 30
    assert speech_over_rest_db(voice(3.0) + noise(3.0, 0.05), always) < 8


def test_a_syllable_too_short_for_a_frame_of_its_own_is_as_loud_as_the_loud_moments() -> None:
    spoken = np.zeros(WINDOW, np.bool_)
    spoken[WINDOW - 560 : WINDOW - 160] = True
    assert 0 < speech_over_rest_db(voice(3.0), spoken) < 4


# --- the speaker's own music ---


def echo_in(sound: np.ndarray, reverberation_seconds: float = 0.4, delay_seconds: float = 0.08) -> np.ndarray:
    return in_room(sound, reverberation_seconds, delay_seconds, seed=1)


def newest(sound: np.ndarray, seconds: float) -> np.ndarray:
    return sound[-round(seconds * SAMPLE_RATE_HZ) :]


def share_of(played: np.ndarray, heard: np.ndarray) -> float:
    return without_music(newest(played, 3.0 + LAG_SECONDS), newest(heard, 3.0).astype(np.float32)).music_share


@pytest.mark.parametrize("reverberation_seconds", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("delay_seconds", [0.0, 0.08, 0.5])
def test_music_alone_is_the_speakers_own(reverberation_seconds: float, delay_seconds: float) -> None:
    played = music(6.0, seed=3)
    heard = echo_in(played, reverberation_seconds, delay_seconds) + noise(6.0, 0.0003)
    assert share_of(played, heard) > 0.8


def test_a_reference_that_comes_late_is_aligned_too() -> None:
    played = music(6.0, seed=3)
    late = played[: -round(0.2 * SAMPLE_RATE_HZ)]
    assert share_of(late, echo_in(played, delay_seconds=0.0)) > 0.8


@needs_espeak
def test_speech_alone_is_not_the_speakers_own() -> None:
    assert share_of(music(6.0, seed=3), in_room(speech_of(6.0), 0.4, 0.0, seed=9)) < 0.1


@needs_espeak
def test_speech_stays_as_it_is_where_the_music_is_not_heard() -> None:
    speech = newest(in_room(speech_of(6.0), 0.4, 0.0, seed=9), 3.0).astype(np.float32)
    assert np.array_equal(without_music(newest(music(6.0, seed=3), 3.0 + LAG_SECONDS), speech).samples, speech)


def test_other_music_than_what_is_played_is_not_the_speakers_own() -> None:
    assert share_of(music(6.0, seed=3), echo_in(music(6.0, seed=8))) < 0.4


@needs_espeak
@pytest.mark.parametrize(("speech_db", "left_db"), [(10, 15), (0, 10), (-5, 6)])
def test_the_music_is_taken_out_and_the_speech_is_left(speech_db: float, left_db: float) -> None:
    played = music(6.0, seed=3)
    echo, speech = newest(echo_in(played), 3.0), newest(in_room(speech_of(6.0), 0.4, 0.0, seed=9), 3.0)
    speech = speech * rms(echo) / rms(speech) * 10 ** (speech_db / 20)
    left = without_music(newest(played, 3.0 + LAG_SECONDS), (echo + speech).astype(np.float32)).samples
    assert len(left) == len(speech)
    assert 20 * np.log10(rms(speech) / rms(left - speech)) > left_db


@needs_espeak
@pytest.mark.parametrize(("speech_db", "share"), [(-10, 0.91), (0, 0.5), (10, 0.09), (20, 0.01)])
def test_the_share_is_that_of_the_musics_energy(speech_db: float, share: float) -> None:
    played = music(6.0, seed=3)
    echo, speech = echo_in(played), in_room(speech_of(6.0), 0.4, 0.0, seed=9)
    speech *= rms(newest(echo, 3.0)) / rms(newest(speech, 3.0)) * 10 ** (speech_db / 20)
    assert share_of(played, echo + speech) == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("silent", ["reference", "microphone", "too short"])
def test_where_nothing_can_be_said_no_share_is_claimed(silent: str) -> None:
    played = music(6.0, seed=3)
    nothing = np.zeros_like(played)
    if silent == "too short":
        assert without_music(played, played[-4000:]).music_share == 0.0
    else:
        assert share_of(nothing, played) == 0.0 if silent == "reference" else share_of(played, nothing) == 0.0


def pcm(sound: np.ndarray) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "moodify.fifo"
    os.mkfifo(path)
    return path


def play_and_hear(ears: Ears, played: np.ndarray, heard: np.ndarray, writer: int) -> list[Reading]:
    """Write the music into the fifo as MPD does while the ears hear the room."""
    step, readings = 1600, []
    for end in range(step, len(heard) + 1, step):
        os.write(writer, pcm(played[end - step : end]))
        reading = ears.hear(Chunk(heard[end - step : end].astype(np.float32), 100.0 + end / SAMPLE_RATE_HZ))
        readings += [reading] if reading else []
    return readings


@pytest.fixture
def reference(fifo: Path):
    reference = Reference(fifo, kept_seconds=5.0)
    reference.listen(100.0)
    writer = os.open(fifo, os.O_WRONLY)
    yield reference, writer
    os.close(writer)
    reference.close()


def test_the_speakers_own_song_has_no_say(reference) -> None:
    source, writer = reference
    played = music(5.0, seed=3)
    readings = play_and_hear(ears_with(True, source), played, 2 * echo_in(played), writer)
    assert readings[-1].note == "own music"
    assert readings[-1].quality < 0.15


@needs_espeak
def test_a_person_over_the_song_is_heard(reference) -> None:
    source, writer = reference
    played = music(5.0, seed=3)
    heard = 0.1 * echo_in(played) + 2 * in_room(speech_of(5.0), 0.2, 0.0, seed=9)
    readings = play_and_hear(ears_with(True, source, SileroSpeechGate()), played, heard, writer)
    assert readings[-1].quality > 0.6
    assert readings[-1].note != "own music"


@pytest.mark.parametrize(("gain", "least", "most"), [(0.25, 0.9, 1.0), (2.0, 0.0, 0.05)])
def test_music_well_below_the_speech_does_no_harm_and_music_above_it_leaves_no_say(
    reference, gain: float, least: float, most: float
) -> None:
    source, writer = reference
    played, speech = music(5.0, seed=3), voice(5.0)
    echo = echo_in(played)
    heard = speech + gain * rms(speech) / rms(echo) * echo
    quality = play_and_hear(ears_with(True, source), played, heard, writer)[-1].quality
    assert least <= quality / hear(ears_with(), speech)[-1].quality <= most


def test_music_without_a_reference_halves_the_trust_unless_the_speech_stands_out() -> None:
    spoken_in_music = voice(3.0) + noise(3.0, 0.008)
    reading = hear(ears_with(playing=True), spoken_in_music)[-1]
    assert reading.note == "own music"
    assert reading.quality == pytest.approx(0.5 * hear(ears_with(playing=False), spoken_in_music)[-1].quality, abs=0.01)
    assert hear(ears_with(playing=True), voice(3.0))[-1].quality > 0.9


def test_a_fifo_into_which_nothing_is_played_is_no_reference(reference) -> None:
    # MPD keeps the fifo where its output is switched off.
    source, _ = reference
    spoken_in_music = voice(3.0) + noise(3.0, 0.008)
    unknown = hear(ears_with(playing=True), spoken_in_music)[-1]
    assert hear(ears_with(True, source), spoken_in_music)[-1] == unknown
    assert unknown.note == "own music"


def test_a_song_that_has_just_been_paused_has_no_say_either(reference) -> None:
    source, writer = reference
    played = music(4.5, seed=3)
    heard = 2 * echo_in(played)
    playing = True
    ears = Ears(LoudIsSpeech(), Happy(), SPEC, 1.0, 0.2, lambda: playing, source)
    play_and_hear(ears, played, heard, writer)
    playing = False
    (reading,) = hear(ears, noise(1.0, 1e-4) + voice(1.0, 0.02), begin_seconds=104.5)
    assert reading.note == "own music"
    assert reading.quality < 0.15


def test_without_a_reference_music_counts_as_playing_until_it_has_left_the_window() -> None:
    playing = True
    ears = Ears(LoudIsSpeech(), Happy(), SPEC, 1.0, 0.2, lambda: playing)
    spoken_in_noise = voice(6.0) + noise(6.0, 0.008)
    before = hear(ears, spoken_in_noise)[-1]
    playing = False
    after = hear(ears, spoken_in_noise, begin_seconds=106.0)
    assert [reading.note for reading in (before, *after[:3])] == ["own music"] * 4
    assert [reading.quality for reading in after[4:]] == pytest.approx([2 * before.quality] * 2, rel=0.05)


@pytest.mark.parametrize("level", [0.02, -0.05])
def test_a_microphones_constant_part_changes_nothing(level: float) -> None:
    speech = voice(5.0, 0.02) + noise(5.0, 1e-4)
    plain, shifted = hear(ears_with(), speech), hear(ears_with(), (speech + level).astype(np.float32))
    assert len(shifted) == len(plain) > 3
    assert [reading.quality for reading in shifted] == pytest.approx([reading.quality for reading in plain], abs=0.01)


def test_the_ears_sleep_until_a_hop_is_full_and_read_it_no_later() -> None:
    ears, sound, now, wakes = ears_with(), voice(6.0), 0.0, 0
    read_at = []
    while now < 5.5:
        begin, now = now, now + max(0.05, ears.wait_seconds())
        heard = sound[round(begin * SAMPLE_RATE_HZ) : round(now * SAMPLE_RATE_HZ)]
        reading = ears.hear(Chunk(heard, 100.0 + now))
        read_at += [now] if reading else []
        wakes += 1
    assert read_at == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0], abs=0.06) and wakes <= 12


def test_a_fifo_that_is_not_there_is_no_reference(tmp_path: Path) -> None:
    reference = Reference(tmp_path / "none", 5.0)
    reference.listen(1.0)
    assert reference.latest(1.0) is None
    (tmp_path / "none").write_bytes(b"a plain file")
    reference.listen(2.0)
    assert reference.latest(1.0) is None


def test_a_fifo_that_nobody_writes_to_is_no_reference_and_holds_nobody_up(fifo: Path) -> None:
    reference = Reference(fifo, 2.0)
    began = time.monotonic()
    for second in range(5):
        reference.listen(float(second))
    assert time.monotonic() - began < 10
    assert reference.latest(2.0) is None
    reference.close()


def test_the_reference_keeps_its_place_in_time_over_a_pause(reference) -> None:
    source, writer = reference
    os.write(writer, pcm(np.full(SAMPLE_RATE_HZ, 0.5)))
    source.listen(101.0)
    source.listen(102.0)
    os.write(writer, pcm(np.full(SAMPLE_RATE_HZ, 0.25)))
    source.listen(103.0)
    latest = source.latest(3.0)
    middles = [float(latest[round((second + 0.5) * SAMPLE_RATE_HZ)]) for second in range(3)]
    assert middles == pytest.approx([0.5, 0.0, 0.25], abs=0.001)


@pytest.mark.parametrize(("rate_hz", "told"), [(16_000, False), (32_000, True), (88_200, True)])
def test_sound_in_another_format_is_no_reference_and_is_told(
    reference, fifo: Path, caplog, rate_hz: int, told: bool
) -> None:
    source, writer = reference
    for tenth in range(1, 100):
        os.write(writer, pcm(np.full(rate_hz // 10, 0.5)))
        source.listen(100.0 + tenth / 10)
    assert (source.latest(1.0) is None) is told
    assert [record.message for record in caplog.records] == told * [
        f'{fifo}: sound comes faster than as "16000:16:1"; set this format in mpd.conf'
    ]


def test_two_seconds_that_waited_in_the_pipe_are_no_other_format(reference) -> None:
    source, writer = reference
    source.listen(200.0)
    os.write(writer, pcm(np.full(2 * SAMPLE_RATE_HZ, 0.5)))
    source.listen(200.1)
    assert source.latest(1.0).mean() == pytest.approx(0.5, abs=0.01)


def test_a_fifo_made_anew_is_read_again(fifo: Path) -> None:
    reference = Reference(fifo, 1.0)
    reference.listen(1.0)
    fifo.unlink()
    reference.listen(2.0)
    assert reference.latest(1.0) is None
    os.mkfifo(fifo)
    reference.listen(3.0)
    writer = os.open(fifo, os.O_WRONLY)
    os.write(writer, pcm(np.full(SAMPLE_RATE_HZ, 0.5)))
    reference.listen(4.0)
    os.close(writer)
    assert reference.latest(1.0).mean() == pytest.approx(0.5, abs=0.01)
    reference.close()
