"""The two kinds of trouble that are not bugs: a wrong set-up, and a peripheral that is not there."""

from __future__ import annotations

EXIT_SETUP = 78
"""Exit status of a wrong set-up (EX_CONFIG of sysexits.h); systemd does not restart on it."""


class MoodifyError(Exception):
    """Carries one line for a person: what is wrong, which thing, what to do."""


class SetupError(MoodifyError):
    """The configuration, a model or a file is wrong: the program ends with `EXIT_SETUP`."""


class PeripheralError(MoodifyError):
    """A camera, microphone, player or broker is not there now; it is tried again, the rest works on."""
