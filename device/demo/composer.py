"""Writes small pieces of music for a quadrant of valence and arousal: chords, bass, melody and percussion by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from device.demo.synth import Note, Room

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
KEY_NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")

Groove = tuple[tuple[str, str, float], ...]
"""(drum, sixteen steps of a bar with X loud, x soft, . nothing, level)."""


@dataclass(frozen=True, slots=True)
class Style:
    """What the pieces of one quadrant have in common; lists are drawn from."""

    tempo_bpm: tuple[int, int]
    modes: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]
    """Scale degrees of the chords, from 0, one a bar."""
    chord_size: int
    leads: tuple[str, ...]
    comping: tuple[tuple[str, str, float], ...]
    """(voice, manner, level) of the chords."""
    bass: tuple[tuple[str, str, float], ...]
    """(voice, steps of a bar: r root, f fifth, o octave, - hold, . nothing; level)."""
    grooves: tuple[Groove, ...]
    rhythms: tuple[str, ...]
    """Melody rhythms over two bars of sixteen steps: x begins a note, - holds it, . rests."""
    lead_octave: int
    lead_level: float
    room: Room
    least_seconds: float = 29.0


HAPPY = Style(
    tempo_bpm=(110, 130),
    modes=("major", "major", "lydian"),
    progressions=((0, 4, 5, 3), (0, 3, 4, 3), (0, 5, 3, 4), (3, 4, 0, 5), (0, 2, 3, 4)),
    chord_size=3,
    leads=("marimba", "flute", "bell", "pluck"),
    comping=(("keys", "bounce", 0.15), ("pluck", "strum", 0.14), ("keys", "arpeggio", 0.15)),
    bass=(
        ("bass", "r---..r-f---..o-", 0.34),
        ("bass", "r-..r-..f-..f-o-", 0.34),
        ("bass", "r-----r-r---f-o-", 0.34),
    ),
    grooves=(
        (("kick", "X.......X.x.....", 0.42), ("clap", "....X.......X...", 0.20), ("hat", "x.X.x.X.x.X.x.X.", 0.09)),
        (("kick", "X...X...X...X...", 0.38), ("snare", "....X.......X..x", 0.18), ("shaker", "xxXxxxXxxxXxxxXx", 0.07)),
        (("kick", "X.....x.X.......", 0.40), ("rim", "...x..x...x.x...", 0.16), ("shaker", "X.xxX.xxX.xxX.xx", 0.08)),
    ),
    rhythms=(
        "x-x-x---x-x-x---x-x-x-x-x-------",
        "x---x-x-x---x---x-x-x---x-------",
        "..x-x-x-x---x-x-..x-x-x-x-------",
        "x-x---x-x-x---x-x---x---x---....",
    ),
    lead_octave=6,
    lead_level=0.30,
    room=Room(0.20, 1.1, 12000.0),
)

TENSE = Style(
    tempo_bpm=(130, 150),
    modes=("minor", "phrygian", "harmonic"),
    progressions=((0, 0, 5, 6), (0, 1, 0, 6), (0, 6, 5, 4), (0, 0, 3, 4), (0, 5, 1, 4)),
    chord_size=3,
    leads=("siren", "reed", "edge"),
    comping=(("edge", "chug", 0.10), ("strings", "stabs", 0.16), ("edge", "stabs", 0.12)),
    bass=(
        ("growl", "r-r-r-r-r-r-r-o-", 0.26),
        ("growl", "r-rrr-rrr-rrr-fo", 0.25),
        ("growl", "r-.rr-.rr-.rf-o-", 0.26),
    ),
    grooves=(
        (("kick", "X.x...X.X.x...X.", 0.42), ("snare", "....X.......X...", 0.28), ("hat", "X.x.X.x.X.x.X.x.", 0.10)),
        (("kick", "X...X...X...X.x.", 0.42), ("snare", "....X..x....X..x", 0.26), ("open", "..x...x...x...x.", 0.07)),
        (("kick", "X..X..X.X..X..X.", 0.40), ("tom", "......x.....x.xx", 0.28), ("hat", "xxXxxxXxxxXxxxXx", 0.08)),
    ),
    rhythms=(
        "x--x--x-x--x--x-x--x--x-x-------",
        "x-x-x---..x-x---x-x-x-x-x-------",
        "x-----x-x-----x-x-x-x-x-x---....",
        "....x-x-x---x-x-....x-x-x-------",
    ),
    lead_octave=5,
    lead_level=0.15,
    room=Room(0.14, 0.9, 11000.0),
)

SAD = Style(
    tempo_bpm=(58, 70),
    modes=("minor", "minor", "harmonic"),
    progressions=((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 2, 3, 5), (0, 5, 3, 4)),
    chord_size=3,
    leads=("reed", "keys", "strings", "flute"),
    comping=(("keys", "arpeggio", 0.17), ("strings", "hold", 0.10), ("pluck", "arpeggio", 0.15)),
    bass=(("deep", "r-----------....", 0.30), ("deep", "r-------f-------", 0.28)),
    grooves=((), (("thud", "X...............", 0.16),), (("brush", "....x.......x...", 0.05),)),
    rhythms=(
        "....x-----x-x---------------....",
        "x-----------x---x-----------....",
        "....x---x-------..x---x---------",
        "x-------x-------x---------------",
    ),
    lead_octave=5,
    lead_level=0.26,
    room=Room(0.42, 2.4, 3600.0),
)

CALM = Style(
    tempo_bpm=(66, 80),
    modes=("major", "lydian", "lydian"),
    progressions=((0, 3, 0, 4), (0, 1, 0, 3), (0, 5, 3, 0), (3, 0, 3, 4), (0, 2, 3, 0)),
    chord_size=4,
    leads=("bell", "glass", "keys", "flute"),
    comping=(("pad", "hold", 0.12), ("glass", "hold", 0.11), ("pad", "hold", 0.12)),
    bass=(("deep", "r---------------", 0.26), ("deep", "r-------f-------", 0.24)),
    grooves=((), (("shaker", "....x.......x...", 0.03),), (("brush", "x.......x.......", 0.03),)),
    rhythms=(
        "x---x-------....x---x-------....",
        "....x---x---x-----------........",
        "x---x---x-------........x-------",
        "x-------..x-x-----------........",
    ),
    lead_octave=5,
    lead_level=0.20,
    room=Room(0.45, 2.8, 5200.0),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A composition, ready to be rendered."""

    key: str
    """"G minor"."""
    tempo_bpm: int
    seconds: float
    notes: tuple[Note, ...]
    room: Room


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was drawn for one piece."""

    style: Style
    dice: random.Random
    tonic: int
    mode: tuple[int, ...]
    tempo_bpm: int
    bars: int
    progression: tuple[int, ...]
    step_seconds: float

    def pitch(self, degree: int, octave: int) -> int:
        """MIDI note of a scale degree; degrees beyond 0 … 6 go on into the next octaves."""
        return 12 * octave + self.tonic + self.mode[degree % 7] + 12 * (degree // 7)

    def chord(self, bar: int) -> int:
        """Root degree of the bar's chord; the last bar comes home."""
        return 0 if bar == self.bars - 1 else self.progression[bar % len(self.progression)]

    def late(self, bar: int, step: float) -> float:
        """Start of a step in seconds, played by a person: a few milliseconds off."""
        return max(0.0, (16 * bar + step) * self.step_seconds + self.dice.uniform(-0.004, 0.006))


def compose(style: Style, seed: int) -> Piece:
    """Write a piece; the same seed gives the same piece."""
    plan, key = _plan(style, random.Random(f"moodify {seed}"))
    notes = [*_chords(plan), *_bass(plan), *_melody(plan), *_drums(plan)]
    music_seconds = 16 * plan.bars * plan.step_seconds
    return Piece(key, plan.tempo_bpm, music_seconds + 2.0, tuple(notes), style.room)


def _plan(style: Style, dice: random.Random) -> tuple[_Plan, str]:
    tempo = dice.randint(*style.tempo_bpm)
    step_seconds = 60 / tempo / 4
    bars = 4 * round(style.least_seconds / (64 * step_seconds) + 0.35) + 1
    tonic, mode = dice.randrange(12), dice.choice(style.modes)
    plan = _Plan(style, dice, tonic, MODES[mode], tempo, bars, dice.choice(style.progressions), step_seconds)
    return plan, f"{KEY_NAMES[tonic]} {mode}"


def _chords(plan: _Plan) -> Iterator[Note]:
    voice, manner, level = plan.dice.choice(plan.style.comping)
    for bar in range(plan.bars):
        root = plan.chord(bar)
        window = 53 if manner == "chug" else 57
        tones = sorted(_into(plan.pitch(root + 2 * k, 4), window) for k in range(plan.style.chord_size))
        last = bar == plan.bars - 1
        for step, steps, which, accent in _manner("hold" if last else manner, len(tones)):
            pan = -0.35 + 0.7 * which / max(1, len(tones) - 1)
            strum = 0.012 * which if manner == "strum" else 0.0
            yield Note(
                voice, plan.late(bar, step) + strum, steps * plan.step_seconds, tones[which], level * accent, pan
            )


def _manner(manner: str, tones: int) -> Iterator[tuple[int, float, int, float]]:
    """(step, steps held, which tone, accent) of one bar of accompaniment."""
    everyone = range(tones)
    match manner:
        case "hold":
            yield from ((0, 16, tone, 1.0) for tone in everyone)
        case "arpeggio":
            order = [*everyone, *reversed(range(1, tones - 1))]
            yield from ((2 * i, 4, order[i % len(order)], 1.0 if i % 4 == 0 else 0.75) for i in range(8))
        case "bounce":
            yield from ((step, 1.6, tone, 0.9) for step in (2, 6, 10, 14) for tone in everyone)
        case "strum":
            strokes = ((0, 3, 1.0), (4, 2, 0.7), (6, 2, 0.85), (10, 2, 0.8), (12, 3, 0.7))
            yield from ((step, held, tone, accent) for step, held, accent in strokes for tone in everyone)
        case "chug":
            accents = (1.0, 0.6, 0.7, 0.9, 0.6, 0.7, 1.0, 0.7)
            yield from ((2 * i, 1.3, tone, accents[i]) for i in range(8) for tone in everyone[:2])
        case "stabs":
            yield from ((step, 2.2, tone, 1.0) for step in (0, 3, 6, 11) for tone in everyone)


def _bass(plan: _Plan) -> Iterator[Note]:
    voice, steps, level = plan.dice.choice(plan.style.bass)
    for bar in range(plan.bars):
        root = _into(plan.pitch(plan.chord(bar), 2), 33)
        pattern = "r---------------" if bar == plan.bars - 1 else steps
        for step, held in _spans(pattern):
            pitch = root + {"r": 0, "f": 7, "o": 12}[pattern[step]]
            yield Note(voice, plan.late(bar, step), held * plan.step_seconds * 0.95, pitch, level)


def _drums(plan: _Plan) -> Iterator[Note]:
    groove = plan.dice.choice(plan.style.grooves)
    enters = 2 if plan.bars > 12 else 1
    for bar in range(enters, plan.bars - 1):
        for drum, pattern, level in groove:
            for step, mark in enumerate(pattern):
                if mark != ".":
                    accent = (1.0 if mark == "X" else 0.6) * plan.dice.uniform(0.85, 1.0)
                    yield Note(
                        drum, plan.late(bar, step), 0.0, 0, level * accent, 0.25 if drum in ("hat", "shaker") else 0
                    )
    if groove:
        yield Note(groove[0][0], plan.late(plan.bars - 1, 0), 0.0, 0, groove[0][2])


def _melody(plan: _Plan) -> Iterator[Note]:
    """Phrases of two bars in the form A A' B A: the same rhythm and contour, bent to the chords."""
    voice = plan.dice.choice(plan.style.leads)
    motifs = [_motif(plan.dice, rhythm) for rhythm in plan.dice.sample(plan.style.rhythms, 2)]
    enters = 4 if plan.bars > 12 else 2
    for phrase, bar in enumerate(range(enters, plan.bars - 2, 2)):
        yield from _phrase(plan, voice, bar, motifs["AABA"[phrase % 4] == "B"])
    yield Note(voice, plan.late(plan.bars - 1, 0), 12 * plan.step_seconds, _lead_pitch(plan, 0), plan.style.lead_level)


def _motif(dice: random.Random, rhythm: str) -> tuple[tuple[int, int, int], ...]:
    """(step, steps held, degrees away from the chord's root) of a phrase: mostly steps, seldom leaps."""
    degree, motif = dice.choice((0, 2, 4)), []
    for step, held in _spans(rhythm):
        motif.append((step, held, degree))
        move = dice.choice((-2, -1, -1, 1, 1, 2, 0, 3 if degree < 3 else -3))
        degree = min(8, max(-2, degree + move))
    return tuple(motif)


def _phrase(plan: _Plan, voice: str, bar: int, motif: tuple[tuple[int, int, int], ...]) -> Iterator[Note]:
    for step, held, degree in motif:
        root = plan.chord(bar + step // 16)
        strong = step % 8 == 0 or held >= 6
        sung = _nearest_chord_tone(degree, root) if strong else degree
        seconds = held * plan.step_seconds * 0.93
        accent = plan.dice.uniform(0.82, 1.0) * (1.0 if strong else 0.85)
        yield Note(voice, plan.late(bar, step), seconds, _lead_pitch(plan, sung), plan.style.lead_level * accent, 0.08)


def _nearest_chord_tone(degree: int, root: int) -> int:
    tones = [root + offset + 7 * octave for octave in range(-2, 3) for offset in (0, 2, 4)]
    return min(tones, key=lambda tone: (abs(tone - degree), tone))


def _lead_pitch(plan: _Plan, degree: int) -> int:
    pitch = plan.pitch(degree, plan.style.lead_octave)
    return pitch - 12 if pitch > 12 * plan.style.lead_octave + 19 else pitch


def _into(pitch: int, lowest: int) -> int:
    """The same tone in the octave from `lowest` on: neighbouring chords then move by small steps."""
    return lowest + (pitch - lowest) % 12


def _spans(pattern: str) -> Iterator[tuple[int, int]]:
    """(step, steps held) of each note of a pattern."""
    for step, mark in enumerate(pattern):
        if mark not in "-.":
            rest = pattern[step + 1 :]
            yield step, 1 + len(rest) - len(rest.lstrip("-"))
