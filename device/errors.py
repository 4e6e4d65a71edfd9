"""Trouble that is not a bug, a wrong set-up or a peripheral that is not there, and how a command ends by it."""

from __future__ import annotations

import sys
from collections.abc import Callable

EXIT_SETUP = 78
"""Exit status of a wrong set-up (EX_CONFIG of sysexits.h); systemd does not restart on it."""
EXIT_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class MoodifyError(Exception):
    """Carries one line for a person: what is wrong, which thing, what to do."""


class SetupError(MoodifyError):
    """The configuration, a model or a file is wrong: the program ends with `EXIT_SETUP`."""


class PeripheralError(MoodifyError):
    """A camera, microphone, player or broker is not there now; it is tried again, the rest works on."""


def run_command(name: str, command: Callable[[], int | None]) -> int:
    """Run to its end; the exit status, and of what stops it one line.

    0 good, 1 not good, `EXIT_SETUP`, `EXIT_INTERRUPTED`. Anything but a `MoodifyError` is a bug, and is raised.
    """
    try:
        return command() or 0
    except MoodifyError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_SETUP if isinstance(error, SetupError) else 1
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
