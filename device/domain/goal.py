"""What the music is for: to match how one feels, to lift, to calm, or nothing; and the way there, song by song."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from device.domain.labels import Affect


class Goal(Enum):
    """What a person wants of the music."""

    MATCH = "match"
    """As the room feels."""
    LIFT = "lift"
    CALM = "calm"
    OFF = "off"
    """The speaker chooses nothing; it plays what a person queues."""


GOALS = tuple(goal.value for goal in Goal)

DESTINATION = {Goal.LIFT: Affect(0.7, 0.4), Goal.CALM: Affect(0.35, -0.5)}


@dataclass(frozen=True, slots=True)
class GoalSettings:
    """[goal]: the way to another mood, and when one is offered."""

    step_by_step: bool = True
    """Lift and calm begin where the listener is and lead away song by song; false: they go there at once."""
    path_songs: int = field(default=6, metadata={"range": (1, 50)})
    """So many songs until the destination is reached."""
    low_valence: float = field(default=-0.3, metadata={"range": (-1.0, 0.0)})
    """Music for a mood below this is low."""
    offer_after_minutes: float = field(default=45.0, metadata={"range": (1.0, 1440.0)})
    """After so long of low music a way out is offered, and again so long after it was turned down."""


def target(goal: Goal, start: Affect, songs: int, settings: GoalSettings) -> Affect:
    """Where the next song should lie when the listener was at `start` and `songs` were played since.

    The iso-principle (Altshuler 1948; Heiderscheit and Madson 2015): meet the mood first, then move in small steps.
    """
    end = DESTINATION.get(goal)
    if end is None:
        return start
    share = min(1.0, songs / settings.path_songs) if settings.step_by_step else 1.0
    return Affect(
        start.valence + share * (end.valence - start.valence),
        start.arousal + share * (end.arousal - start.arousal),
    )


@dataclass(frozen=True, slots=True)
class LowSpell:
    """How long the music has been low."""

    seconds: float = 0.0
    """Of music, since it began or since an offer was turned down."""
    at_seconds: float = 0.0
    """When it was last looked at."""

    def offers(self, settings: GoalSettings) -> bool:
        """Whether it is time to offer a way out; it is never forced."""
        return self.seconds >= settings.offer_after_minutes * 60


def endure(spell: LowSpell, affect: Affect, goal: Goal, playing: bool, now: float, settings: GoalSettings) -> LowSpell:
    """Go on to `now`: the spell lasts while low music plays to match, rests while nothing plays, else it is over."""
    low = affect.valence < settings.low_valence and goal is Goal.MATCH
    if not low:
        return LowSpell(at_seconds=now)
    elapsed = max(0.0, now - spell.at_seconds) if playing else 0.0
    return LowSpell(spell.seconds + elapsed, now)
