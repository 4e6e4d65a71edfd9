"""Compares the fusion with one sense alone and with fixed weights, on pairs of a face and a voice not trained on:

    python -m device.lab.fusion_rows --data DIR [--json] [--picture FILE] [--part validation] [--seed N]

A pair is a face of FER-2013 on whose label most of the ten people of FER+ agree, and a recording of TESS, RAVDESS or
nEMO with the same label. Every face and voice is shown well and badly, and goes the speaker's own way: crop, quality
and face model; speech gate, window, quality and voice model. Then all ways to join the two get the same readings and
the same rule when to say unknown. The part `validation` is what the constants of the fusion were chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from device.adapters.cards import read_card
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.fusion import FusionSettings, fuse
from device.domain.labels import LABELS, UNKNOWN
from device.domain.mood import MoodSettings
from device.domain.reading import Modality, Posterior, Reading, normalised
from device.errors import run_command
from device.lab.degrade import CLEAN, Degradation, as_it_is, blurred, covered, in_light, shown
from device.lab.evaluate import (
    Clip,
    everyday_noises,
    nemo_test,
    ravdess_test,
    read_archive,
    read_clip,
    recordings,
    tess_test,
    with_progress,
)
from device.lab.ferplus import most_voted, read_votes
from device.lab.pictures import fusion_rows as draw_rows
from device.ports import SAMPLE_RATE_HZ, Chunk, Waveform
from device.sensing.crop import crop_face, normalise_crop
from device.sensing.ears import Ears, measure_levels
from device.sensing.eyes import LEAST_QUALITY
from device.sensing.quality import face_quality

SEED = 31
EACH = 30
"""Pairs of a label, or as many as there are faces."""
RESAMPLES = 1000
PARTS = {"test": 2, "validation": 1}
"""Split of FER-2013: PrivateTest and PublicTest."""
SPEECH_DBFS, FAINT_DBFS, ROOM_DBFS = -28.0, -56.0, -72.0
"""Levels of the loud moments of speech a metre or two away and from the next room, and of the room itself."""
LEAD_SECONDS = 1.0
COST = MoodSettings().smallest_top / (1 - MoodSettings().smallest_top)
"""What a wrong answer costs, in right ones: the mood's rule to answer from that probability on says so."""

Maybe = Reading | None
Way = Callable[[Maybe, Maybe], Posterior | None]


@dataclass(frozen=True, slots=True)
class Part:
    """Pairs of equal label, grouped by label."""

    labels: NDArray[np.int64]
    faces: NDArray[np.uint8]
    """[n, 48, 48]."""
    voices: tuple[Path, ...]
    seed: int
    """What they were drawn by, and all that is around them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way in which pairs are met; a None is a sense that gives nothing."""

    name: str
    face: str | None
    voice: str | None
    contrary: bool = False
    """The voice has another label than the face."""
    truth: Modality | None = Modality.FACE
    """Whose label is right, where they differ; None: nobody can say."""


@dataclass(frozen=True, slots=True)
class Share:
    """What became of a row's pairs by one way to join them; the shares sum to 1."""

    right: float
    wrong: float
    unknown: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row for all the ways."""

    row: str
    count: int
    ways: dict[str, Share]
    """Ours is `dynamic`. Where nobody can say what is right, `right` is the face's label and `wrong` all others."""
    follows_voice: dict[str, float]
    """Share that gets the voice's label, where it has another."""
    best_other: str
    """The way that does best of the others in this row, by right minus COST × wrong …"""
    gain: tuple[float, float, float] | None
    """… and by how much ours is better in this: mean and 95 % interval (paired bootstrap); None: nobody can say."""
    gain_right: tuple[float, float, float] | None
    """The same by the share that is right, against the way with the most right."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody speaks: levels of the loud moments, in dB of full scale; None: not there."""

    speech_dbfs: float = SPEECH_DBFS
    noise_dbfs: float | None = None
    """An everyday noise."""
    song_dbfs: float | None = None
    """Somebody else's music."""


FACES = {
    "clean": CLEAN,
    "blurred": Degradation("blurred", partial(blurred, 1.0)),
    "very blurred": Degradation("very blurred", partial(blurred, 3.0)),
    "dark": Degradation("dark", partial(in_light, 0.15, 4.0)),
    "covered": Degradation("covered", partial(covered, "lower half")),
    "small": Degradation("small", as_it_is, 36),
}
VOICES = {
    "clean": Place(),
    "noise": Place(noise_dbfs=SPEECH_DBFS - 5),
    "loud noise": Place(noise_dbfs=SPEECH_DBFS + 5),
    "music": Place(song_dbfs=SPEECH_DBFS - 5),
    "faint": Place(FAINT_DBFS),
}
ROWS = (
    Row("both clean", "clean", "clean"),
    *(Row(f"face {name}", name, "clean") for name in FACES if name != "clean"),
    *(Row(f"voice: {name}", "clean", name) for name in VOICES if name != "clean"),
    Row("no face", None, "clean"),
    Row("no voice", "clean", None),
    Row("face dark, voice in noise", "dark", "noise"),
    Row("face small, voice faint", "small", "faint"),
    Row("face very blurred, loud noise", "very blurred", "loud noise"),
    Row("contrary, face very blurred", "very blurred", "clean", contrary=True, truth=Modality.VOICE),
    Row("contrary, face dark", "dark", "clean", contrary=True, truth=Modality.VOICE),
    Row("contrary, voice in loud noise", "clean", "loud noise", contrary=True, truth=Modality.FACE),
    Row("contrary, both clean", "clean", "clean", contrary=True, truth=None),
)


# --- what is shown and played -----------------------------------------------------------------------------------------


def read_part(data: Path, part: str, each: int, seed: int) -> Part:
    """Pairs drawn by chance, no face and no recording twice; the corpora take turns."""
    rng = np.random.default_rng(seed)
    archive = read_archive(data / "fer2013.npz")
    agreed = most_voted(read_votes(archive)) == archive["label"]
    usable = (archive["split"] == PARTS[part]) & ~archive["dup_of_earlier_split"].astype(bool) & agreed
    rows: list[int] = []
    voices: list[Path] = []
    for index in range(len(LABELS)):
        clips = [
            rng.permutation([str(clip.path) for clip in corpus if clip.label == index])
            for corpus in _speech(data, part)
        ]
        turns = [str(clip[turn]) for turn in range(each) for clip in clips if turn < len(clip)]
        found = rng.permutation(np.flatnonzero(usable & (archive["label"] == index)))
        count = min(each, len(turns), len(found))
        rows += found[:count].tolist()
        voices += [Path(path) for path in turns[:count]]
    return Part(archive["label"][rows].astype(np.int64), archive["images"][rows], tuple(voices), seed)


def _speech(data: Path, part: str) -> tuple[list[Clip], ...]:
    if part == "test":
        return tess_test(data), ravdess_test(data), nemo_test(data)
    return tess_test(data, 1), ravdess_test(data, range(19, 21)), nemo_test(data, ("TP0",))


def at_level(sound: Waveform, dbfs: float) -> Waveform:
    """`sound` with its loud moments brought to this level."""
    gain_db = dbfs - measure_levels(sound).active_dbfs
    return np.asarray(sound * 10 ** (gain_db / 20), np.float32)


def _background(paths: Sequence[Path], part: Part) -> list[Waveform]:
    """One sound for each pair, at 16 kHz."""
    count = len(part.labels)
    drawn = np.random.default_rng(part.seed).choice(len(paths), count, replace=len(paths) < count)
    return [_read_any(paths[index]) for index in drawn]


def _read_any(path: Path) -> Waveform:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(resample_poly(samples.mean(axis=1), SAMPLE_RATE_HZ, rate_hz), np.float32)


# --- the speaker's own way to a reading -------------------------------------------------------------------------------


def see(part: Part, kind: Degradation, config: Config) -> list[Maybe]:
    """What the eyes say to each face, whose place is given; None when it is too bad."""
    card = read_card(config.paths.models, Modality.FACE)
    classifier = TfliteClassifier(card)
    chance = np.random.default_rng(part.seed)
    seen: list[Maybe] = []
    for face in with_progress(list(part.faces), kind.name):
        frame, box = shown(kind.spoil(face, chance), kind.side_pixels, card.crop)
        crop = crop_face(frame, box, card.crop)
        quality, note = face_quality(crop, box, frame.shape)
        known = quality >= LEAST_QUALITY
        posterior = classifier.classify(normalise_crop(crop)) if known else None
        seen.append(Reading(Modality.FACE, posterior, quality, 0.0, note) if posterior else None)
    return seen


def listen(part: Part, name: str, noises: Sequence[Waveform], songs: Sequence[Waveform], config: Config) -> list[Maybe]:
    """What the ears say last to each recording; None when they hear no speech."""
    card = read_card(config.paths.models, Modality.VOICE)
    gate, classifier, microphone = SileroSpeechGate(), TfliteClassifier(card), config.microphone
    rng = np.random.default_rng(part.seed)
    heard: list[Maybe] = []
    for path, noise, song in with_progress(list(zip(part.voices, noises, songs, strict=True)), name):
        ears = Ears(
            gate, classifier, card.features, microphone.hop_seconds, microphone.smallest_speech_share, lambda: False
        )
        sound = in_a_room(read_clip(path), noise, song, VOICES[name], microphone.hop_seconds, rng)
        heard.append(last_reading(ears, sound, microphone.hop_seconds))
    return heard


def in_a_room(
    speech: Waveform, noise: Waveform, song: Waveform, place: Place, hop_seconds: float, rng: np.random.Generator
) -> Waveform:
    """The speech and what is around it, which begins a second earlier at least, so that both end with a hop."""
    hop = round(hop_seconds * SAMPLE_RATE_HZ)
    whole = -(-(len(speech) + round(LEAD_SECONDS * SAMPLE_RATE_HZ)) // hop) * hop
    mixed = rng.standard_normal(whole) * 10 ** (ROOM_DBFS / 20)
    mixed[-len(speech) :] += at_level(speech, place.speech_dbfs)
    for sound, dbfs in ((noise, place.noise_dbfs), (song, place.song_dbfs)):
        if dbfs is not None:
            mixed += at_level(np.resize(sound, whole), dbfs)
    return np.asarray(np.clip(mixed, -1, 1), np.float32)


def last_reading(ears: Ears, sound: Waveform, hop_seconds: float) -> Maybe:
    """The last that `ears` say, as if it were new."""
    hop = round(hop_seconds * SAMPLE_RATE_HZ)
    last: Maybe = None
    for start in range(0, len(sound), hop):
        samples = sound[start : start + hop]
        last = ears.hear(Chunk(samples, (start + len(samples)) / SAMPLE_RATE_HZ)) or last
    return Reading(Modality.VOICE, last.posterior, last.quality, 0.0, last.note) if last else None


# --- ways to join the two ---------------------------------------------------------------------------------------------


def dynamic(face: Maybe, voice: Maybe) -> Posterior | None:
    """Ours."""
    fused = fuse([reading for reading in (face, voice) if reading], 0.0, FusionSettings())
    return fused.posterior if fused else None


def only_face(face: Maybe, _: Maybe) -> Posterior | None:
    """What the face says, whatever is heard."""
    return face.posterior if face else None


def only_voice(_: Maybe, voice: Maybe) -> Posterior | None:
    """What the voice says, whatever is seen."""
    return voice.posterior if voice else None


def fixed(face_weight: float, power: float, face: Maybe, voice: Maybe) -> Posterior | None:
    """A log-linear pool with fixed exponents, that of the face being `power` times its weight; one alone stands."""
    if not face or not voice:
        return only_face(face, voice) or only_voice(face, voice)
    pairs = zip(face.posterior.values, voice.posterior.values, strict=True)
    return normalised(one ** (power * face_weight) * other ** (power * (1 - face_weight)) for one, other in pairs)


def mixed(face_weight: float, face: Maybe, voice: Maybe) -> Posterior | None:
    """A linear mixture with fixed weights."""
    if not face or not voice:
        return only_face(face, voice) or only_voice(face, voice)
    pairs = zip(face.posterior.values, voice.posterior.values, strict=True)
    return normalised(face_weight * one + (1 - face_weight) * other for one, other in pairs)


OURS = "dynamic"
WAYS: dict[str, Way] = {
    OURS: dynamic,
    "face": only_face,
    "voice": only_voice,
    "linear .5/.5": partial(mixed, 0.5),
    "linear .6/.4": partial(mixed, 0.6),
    "geometric": partial(fixed, 0.5, 1.0),
    "product": partial(fixed, 0.5, 2.0),
}


def answer(posterior: Posterior | None) -> str:
    """The label that a mood settles on which sees and hears nothing else."""
    sure = posterior is not None and posterior.top >= MoodSettings().smallest_top
    return posterior.label if posterior and sure else UNKNOWN


# --- rows -------------------------------------------------------------------------------------------------------------


def compare(
    labels: NDArray[np.int64], seen: dict[str, list[Maybe]], heard: dict[str, list[Maybe]], rows: Sequence[Row] = ROWS
) -> list[Outcome]:
    """All rows over pairs whose labels [n], indices into LABELS, are grouped; readings by how they were made."""
    return [_outcome(row, labels, seen, heard) for row in rows]


def strangers(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each pair of `labels` [n], grouped, another pair with another label, by chance with a fixed seed."""
    count, largest = len(labels), int(np.bincount(labels).max())
    # Groups lie together, so whoever stands at least the largest group's size away, both ways round, is in another.
    steps = np.random.default_rng(SEED).integers(largest, count - largest, count, endpoint=True)
    return np.asarray((np.arange(count) + steps) % count)


def _outcome(
    row: Row, labels: NDArray[np.int64], seen: dict[str, list[Maybe]], heard: dict[str, list[Maybe]]
) -> Outcome:
    count = len(labels)
    others = strangers(labels) if row.contrary else np.arange(count)
    faces: list[Maybe] = seen[row.face] if row.face else [None] * count
    voices: list[Maybe] = [heard[row.voice][other] for other in others] if row.voice else [None] * count
    told = {
        name: np.array([answer(way(face, voice)) for face, voice in zip(faces, voices, strict=True)])
        for name, way in WAYS.items()
    }
    names = np.array(LABELS)
    truth = names[labels[others]] if row.truth is Modality.VOICE else names[labels]
    right = {name: said == truth for name, said in told.items()}
    unknown = {name: said == UNKNOWN for name, said in told.items()}
    worth = {name: right[name] - COST * ~(right[name] | unknown[name]) for name in told}
    best, gain = _gain(worth)
    _, gain_right = _gain({name: values * 1.0 for name, values in right.items()})
    return Outcome(
        row=row.name,
        count=count,
        ways={name: _share(right[name], unknown[name]) for name in told},
        follows_voice={name: float(np.mean(said == names[labels[others]])) for name, said in told.items()}
        if row.contrary
        else {},
        best_other=best,
        gain=gain if row.truth else None,
        gain_right=gain_right if row.truth else None,
    )


def _share(right: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> Share:
    return Share(float(right.mean()), float(1 - right.mean() - unknown.mean()), float(unknown.mean()))


def _gain(worth: dict[str, NDArray[np.float64]]) -> tuple[str, tuple[float, float, float]]:
    """The best of the others, and the mean of ours less it with its 95 % interval (paired bootstrap, Efron 1979)."""
    best = max((name for name in worth if name != OURS), key=lambda name: float(worth[name].mean()))
    difference = worth[OURS] - worth[best]
    drawn = np.random.default_rng(SEED).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), (0.025, 0.975))
    return best, (float(difference.mean()), float(low), float(high))


# --- command ----------------------------------------------------------------------------------------------------------


def measure(data: Path, config: Config, part: str = "test", each: int = EACH, seed: int = SEED) -> list[Outcome]:
    """All rows on the shipped models."""
    pairs, seen, heard = readings(data, config, part, each, seed)
    return compare(pairs.labels, seen, heard)


def readings(
    data: Path, config: Config, part: str, each: int, seed: int
) -> tuple[Part, dict[str, list[Maybe]], dict[str, list[Maybe]]]:
    """The pairs, and what eyes and ears say to each of them, however shown and played."""
    pairs = read_part(data, part, each, seed)
    noises = _background(everyday_noises(data, trained=part == "validation"), pairs)
    songs = _background(recordings(data, "music4q"), pairs)
    seen = {name: see(pairs, kind, config) for name, kind in FACES.items()}
    heard = {name: listen(pairs, name, noises, songs, config) for name in VOICES}
    return pairs, seen, heard


def as_text(outcomes: Sequence[Outcome]) -> str:
    """A table: right/wrong/unknown in percent of each way, and by how much ours is better than the best other."""
    head = "".join(f"{name:>14}" for name in WAYS)
    lines = [f"{'right/wrong/unknown, %':<32}{head}  gain on the best other (95 %)"]
    for outcome in outcomes:
        cells = "".join(f"{_cell(share):>14}" for share in outcome.ways.values())
        lines.append(f"{outcome.row:<32}{cells}  {_gain_text(outcome)}")
    return "\n".join([*lines, _sum(outcomes)])


def _sum(outcomes: Sequence[Outcome]) -> str:
    """Over the rows whose truth is known."""
    ours = [(outcome.ways[OURS], outcome.gain) for outcome in outcomes if outcome.gain]
    worth = sum(share.right - COST * share.wrong for share, _ in ours) / max(1, len(ours))
    reach = sum(round(high, 9) >= 0 for _, (_, _, high) in ours)
    return f"{outcomes[0].count} pairs; dynamic: mean worth {100 * worth:.1f}, {reach} of {len(ours)} rows reach 0"


def _cell(share: Share) -> str:
    return "/".join(f"{100 * value:.0f}" for value in (share.right, share.wrong, share.unknown))


def _gain_text(outcome: Outcome) -> str:
    if outcome.gain is None:
        face, voice = outcome.ways[OURS].right, outcome.follows_voice[OURS]
        return f"dynamic: {100 * face:.0f} the face's, {100 * voice:.0f} the voice's"
    mean, low, high = (100 * value for value in outcome.gain)
    return f"{mean:+.1f} ({low:+.1f} … {high:+.1f}) {outcome.best_other}"


def main() -> None:
    """Print the table, or all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--part", choices=PARTS, default="test", help="which part of the data")
    parser.add_argument("--each", type=int, default=EACH, help="pairs per label")
    parser.add_argument("--seed", type=int, default=SEED, help="another draws other pairs")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument("--picture", type=Path, help="where to draw the rows, as PNG")
    options = parser.parse_args()
    outcomes = measure(options.data, Config(), options.part, options.each, options.seed)
    if options.picture:
        draw_rows([asdict(outcome) for outcome in outcomes], options.picture)
    figures: list[dict[str, Any]] = [asdict(outcome) for outcome in outcomes]
    print(json.dumps(figures, indent=2) if options.json else as_text(outcomes))


if __name__ == "__main__":
    sys.exit(run_command("fusion_rows", main))
