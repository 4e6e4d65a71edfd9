"""Who is in view: short-lived tracks of faces, without identity, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from device.domain.reading import Modality, Person, Posterior, Reading, divergence, normalised

MOST_PEOPLE = 5
"""Whoever counts least beyond them is left out."""
LINGER_SECONDS = 4.0
"""A track ends so long after its face was last seen; nothing of it stays."""
FADE_SECONDS = 1.0
"""A face that is not seen just now counts half after this time."""
SMOOTHING_SECONDS = 1.0
"""Time constant over which a person's looks are averaged."""
SETTLED_SECONDS = 5.0
"""Whoever has been seen so long counts fully …"""
PASSER_BY = 0.25
"""… and whoever has only just come, this share of it."""
REACH, REACH_PER_SECOND, FARTHEST_REACH = 0.8, 1.0, 2.5
"""How far a face may have moved or grown since it was last seen, in face sides, at once and per second; at most."""
LEAST_SHARE = 0.2
"""Whoever has less of the weight has no say in whether people agree."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one frame."""

    x: float
    """Centre, pixels."""
    y: float
    side: float
    """Square root of the box's area, pixels."""
    posterior: Posterior
    quality: float
    """0 … 1; a face that is turned away has little."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """One face, followed while it is seen."""

    sighting: Sighting
    """The last one."""
    posterior: Posterior
    """Mean of its looks, the late and the good ones counting most."""
    evidence: float
    """Sum of the looks' qualities, faded by age."""
    looks: int
    from_seconds: float
    seen_seconds: float
    """When it was seen last."""


def follow(tracks: Sequence[Track], sightings: Sequence[Sighting], at_seconds: float) -> tuple[Track, ...]:
    """The tracks after a look: continued, begun, and without those whose face has been gone for too long."""
    tracks = [track for track in tracks if 0 <= at_seconds - track.seen_seconds <= LINGER_SECONDS]
    pairs = _pairs(tracks, sightings, at_seconds)
    continued = tuple(_continued(tracks[t], sightings[s], at_seconds) for s, t in pairs.items())
    fresh = tuple(_begun(one, at_seconds) for s, one in enumerate(sightings) if s not in pairs)
    unseen = tuple(track for t, track in enumerate(tracks) if t not in pairs.values() and track.looks > 1)
    return (*continued, *fresh, *unseen)


def reading_of(tracks: Sequence[Track], at_seconds: float) -> Reading:
    """What at least one track says: pooled by weight; quality is the weighted mean, the note that of the heaviest.

    What was found in one frame only may be no face: it has no say beside a face that was seen twice.
    """
    counted = [track for track in tracks if track.looks > 1] or list(tracks)
    counted = sorted(counted, key=lambda track: -_weight(track, at_seconds))[:MOST_PEOPLE]
    people = tuple(Person(track.posterior, _weight(track, at_seconds)) for track in counted)
    quality = _mean([track.sighting.quality for track in counted], people)
    return reading_with(
        Reading(Modality.FACE, counted[0].posterior, quality, at_seconds, counted[0].sighting.note), people
    )


def reading_with(reading: Reading, people: tuple[Person, ...]) -> Reading:
    """`reading` as it is when these are the people seen."""
    values = zip(*(person.posterior.values for person in people), strict=True)
    posterior = normalised(_mean(label, people) for label in values)
    return Reading(
        reading.modality, posterior, reading.quality, reading.at_seconds, reading.note, people, disagreement(people)
    )


def disagreement(people: Sequence[Person]) -> float:
    """How much those who count differ, 0 all alike … 1."""
    total = sum(person.weight for person in people)
    heard = [person for person in people if person.weight >= LEAST_SHARE * total]
    if len(heard) < 2:
        return 0.0
    return divergence([person.posterior for person in heard], [person.weight for person in heard])


def _pairs(tracks: Sequence[Track], sightings: Sequence[Sighting], at_seconds: float) -> dict[int, int]:
    """Sighting → track, the nearest pairs first: with at most a handful of faces as good as the optimal assignment."""
    near = sorted(
        (gap, s, t)
        for t, track in enumerate(tracks)
        for s, sighting in enumerate(sightings)
        if (gap := _gap(track.sighting, sighting)) <= _reach(at_seconds - track.seen_seconds)
    )
    pairs: dict[int, int] = {}
    for _, s, t in near:
        if s not in pairs and t not in pairs.values():
            pairs[s] = t
    return pairs


def _gap(before: Sighting, after: Sighting) -> float:
    """Way and growth together, in face sides."""
    side = math.sqrt(before.side * after.side)
    return math.hypot(after.x - before.x, after.y - before.y) / side + abs(math.log(after.side / before.side))


def _reach(elapsed_seconds: float) -> float:
    return min(FARTHEST_REACH, REACH + REACH_PER_SECOND * elapsed_seconds)


def _begun(sighting: Sighting, at_seconds: float) -> Track:
    return Track(sighting, sighting.posterior, sighting.quality, 1, at_seconds, at_seconds)


def _continued(track: Track, sighting: Sighting, at_seconds: float) -> Track:
    kept = track.evidence * math.exp(-(at_seconds - track.seen_seconds) / SMOOTHING_SECONDS)
    pairs = zip(track.posterior.values, sighting.posterior.values, strict=True)
    posterior = normalised(kept * old + sighting.quality * new for old, new in pairs)
    return Track(sighting, posterior, kept + sighting.quality, track.looks + 1, track.from_seconds, at_seconds)


def _weight(track: Track, at_seconds: float) -> float:
    """Area × quality (which falls as the face turns away) × how long it has been here × how lately it was seen."""
    settled = min(1.0, PASSER_BY + (1 - PASSER_BY) * (track.seen_seconds - track.from_seconds) / SETTLED_SECONDS)
    seen = math.pow(0.5, (at_seconds - track.seen_seconds) / FADE_SECONDS)
    return track.sighting.side**2 * track.sighting.quality * settled * seen


def _mean(values: Sequence[float], people: Sequence[Person]) -> float:
    """Weighted by the people's weights."""
    total = sum(person.weight for person in people)
    return sum(person.weight * value for person, value in zip(people, values, strict=True)) / total
