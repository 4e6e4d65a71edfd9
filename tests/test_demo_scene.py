"""The demo's scene: faces that are found and recognised, voices that are speech, and a timeline the loader takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.scene import Scene, load_scene
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.demo import portrait, speech
from device.demo.scene_maker import make_scene
from device.domain.brain import BrainSettings, State, handle
from device.domain.events import Perceived, Tick
from device.domain.labels import MIXED
from device.domain.picture import picture
from device.domain.reading import Modality
from device.domain.snapshot import Snapshot
from device.errors import SetupError
from device.ports import SAMPLE_RATE_HZ, Chunk, Frame
from device.sensing.ears import Ears
from device.sensing.eyes import Eyes

pytest.importorskip("skimage", reason="scikit-image is missing: pip install scikit-image")
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is missing: apt install espeak-ng"
)

LOOKS = {"happy": lambda image: image, "sad": portrait.sad, "surprise": portrait.surprised}


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    card = read_card(Config().paths.models, Modality.FACE)
    return Eyes(MediapipeFaceFinder("short"), TfliteClassifier(card), card.crop)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is missing: apt install espeak-ng")
    return load_scene(make_scene(tmp_path_factory.mktemp("scene")))


@pytest.mark.parametrize("label", LOOKS)
def test_a_look_is_found_and_recognised_with_a_margin(label: str, eyes: Eyes) -> None:
    eyes.forget()
    reading = eyes.look(Frame(LOOKS[label](portrait.photograph()), 0.0))
    assert reading is not None
    assert reading.posterior.label == label
    second = sorted(reading.posterior.values)[-2]
    assert reading.posterior.top - second > 0.25
    assert reading.confidence > 0.3


@pytest.mark.parametrize("label", LOOKS)
def test_a_look_stays_recognised_when_it_is_darker_and_elsewhere(label: str, eyes: Eyes) -> None:
    eyes.forget()
    frame = np.roll(LOOKS[label](portrait.photograph()), 40, axis=(0, 1))
    reading = eyes.look(Frame((frame * 0.6).astype(np.uint8), 0.0))
    assert reading is not None and reading.posterior.label == label


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two portraits in one frame, each cut to its face, on a plain wall."""
    frame = np.full((480, 640, 3), 150, np.uint8)
    frame[90:390, :320], frame[90:390, 320:] = left[10:310, 160:480], right[10:310, 160:480]
    return frame


def told_after(eyes: Eyes, frame: np.ndarray, seconds: float) -> Snapshot:
    """What the speaker tells after looking at one frame for a while."""
    eyes.forget()
    state, settings = State(), BrainSettings()
    for at in np.arange(0.5, seconds, 0.5):
        reading = eyes.look(Frame(frame, at))
        for event in ([Perceived(reading, at)] if reading else []) + [Tick(at)]:
            state, _ = handle(state, event, settings)
    return picture(state, 1)


def test_two_people_who_look_alike_make_one_mood_and_two_who_differ_a_mixed_one(eyes: Eyes) -> None:
    happy, sad = portrait.photograph(), portrait.sad(portrait.photograph())
    alike = told_after(eyes, side_by_side(happy, happy), 14.0)
    assert (alike.mood, alike.people) == ("happy", 2) and "(2 people)" in alike.reason
    differ = told_after(eyes, side_by_side(happy, sad), 14.0)
    assert (differ.mood, differ.people) == (MIXED, 2) and differ.reason.startswith("faces differ: ")


def test_a_frame_is_what_a_camera_gives() -> None:
    frame = portrait.sad(portrait.photograph())
    assert frame.shape == (480, 640, 3) and frame.dtype == np.uint8


def test_only_the_face_changes() -> None:
    before = portrait.photograph().astype(int)
    for look in (portrait.sad, portrait.surprised):
        changed = np.abs(look(portrait.photograph()).astype(int) - before).max(axis=2) > 12
        rows, columns = np.nonzero(changed)
        assert rows.min() > 80 and rows.max() < 290 and columns.min() > 220 and columns.max() < 430


def test_the_timeline_shows_two_faces_and_speaks_while_they_are_there(scene: Scene) -> None:
    assert [shot.show for shot in scene.shots] == ["nobody", "file", "nobody", "file", "dark"]
    faces = [shot for shot in scene.shots if shot.show == "file"]
    for face, sound in zip(faces, scene.sounds, strict=True):
        assert face.from_seconds < sound.from_seconds < sound.to_seconds < face.to_seconds
    assert [wanted.mood for wanted in scene.expectations] == ["happy", "sad"]
    assert scene.length_seconds <= 100 and scene.loop


def test_both_voices_are_heard_as_speech_and_the_pauses_between_people_are_not(scene: Scene) -> None:
    gate = SileroSpeechGate()

    def share(begin: float, end: float) -> float:
        return float(gate.spoken(scene.sound_between(begin, end)).mean())

    for sound in scene.sounds:
        assert share(sound.from_seconds, sound.to_seconds) > 0.4
    assert share(36.0, 40.0) == share(80.0, 88.0) == 0.0


def test_each_voice_is_mostly_recognised_and_never_stands_for_the_other_mood(scene: Scene) -> None:
    card = read_card(Config().paths.models, Modality.VOICE)
    for sound, label, other in zip(scene.sounds, ("happy", "sad"), ("sad", "happy"), strict=True):
        ears = Ears(SileroSpeechGate(), TfliteClassifier(card), card.features, 1.0, 0.2, lambda: False)
        heard = []
        for start in np.arange(sound.from_seconds, sound.to_seconds, 0.5):
            reading = ears.hear(Chunk(scene.sound_between(start, start + 0.5), start + 0.5))
            heard += [reading.posterior.label] if reading else []
        assert len(heard) > 10
        assert heard.count(label) > 0.6 * len(heard), heard
        assert heard.count(other) <= 0.1 * len(heard), heard


def test_the_glad_voice_is_faster_louder_and_brighter_than_the_sad_one(scene: Scene) -> None:
    glad, sad = (sound.samples for sound in scene.sounds)

    def per_word(samples: np.ndarray, manner: speech.Manner) -> float:
        return len(samples) / SAMPLE_RATE_HZ / sum(len(sentence.split()) for sentence in manner.sentences)

    def brightness_hz(samples: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(samples)) ** 2
        return float((power * np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)).sum() / power.sum())

    assert per_word(glad, speech.HAPPY) < 0.85 * per_word(sad, speech.SAD)
    assert np.sqrt(np.mean(glad**2)) > 1.3 * np.sqrt(np.mean(sad**2))
    assert brightness_hz(glad) > 1.3 * brightness_hz(sad)
    assert np.abs(sad).max() > 0.01 and np.abs(glad).max() < 0.99


@needs_espeak
def test_the_same_words_sound_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        speech.write_speech(speech.SAD, tmp_path / f"{name}.wav")
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.wav", "two.wav"]


def test_without_espeak_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=r"^espeak-ng: not installed; .* apt install espeak-ng$"):
        speech.write_speech(speech.SAD, tmp_path / "sad.wav")
