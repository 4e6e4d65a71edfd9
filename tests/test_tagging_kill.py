"""Killed at any moment, the writing of tags harms no file, goes on where it was, and can be taken back as a whole."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback

from device.domain.tracks import Origin
from device.tagging import UNDO_FILE, Write, undo, write_tags
from tests.songs import make_song
from tests.test_tagging import WORDS, all_of, give_tags, names_in, wanted

FORMATS = (".flac", ".mp3", ".ogg", ".wav", ".ape", ".opus", ".aiff")
FILES = 20
KILLS = 60


def make_shelf(music, count):
    """Songs of all formats without tags, with tags and with moods."""
    paths = []
    for number in range(count):
        path = make_song(music / f"{number:02}{FORMATS[number % len(FORMATS)]}", 0.3, seed=number)
        if number % 3:
            give_tags(path, moods=number % 3 == 2)
        paths.append(path)
    return paths


def forked(act, before=lambda: None) -> int:
    """Run `act` in a process that knows already all that it needs; its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before()
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def killed(act, after_seconds: float) -> bool:
    """Run `act` and kill it then; whether it was still at work."""
    child = forked(act)
    time.sleep(after_seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def timed(act) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_sixty_kills_while_writing_and_taking_back_harm_nothing(tmp_path):
    music, state = tmp_path / "music", tmp_path / "state"
    paths = make_shelf(music, FILES)
    before = [all_of(path) for path in paths]
    writes = [Write(path.name, WORDS, (), Origin.PERSON, wanted(path).identity) for path in paths]
    acts = (lambda: write_tags(writes, music, state), lambda: undo(music, state))
    whole_seconds = timed(acts[0]), timed(acts[1])
    assert [all_of(path) for path in paths] == before

    chance, phase, kills, phases, tries = random.Random(1), 0, 0, 0, 0
    while kills < KILLS or phases < 2:
        # Later and later, so that it comes to its end also where the machine is slower than it was before.
        patience = whole_seconds[phase] * (1 + tries / 5) / 4
        tries += 1
        if killed(acts[phase], chance.uniform(0, patience)):
            kills += 1
            for path, (_, _, others, sound, heard) in zip(paths, before, strict=True):
                assert all_of(path)[2:] == (others, sound, heard), path.name
        else:
            phase, phases, tries = 1 - phase, phases + 1, 0
            report = acts[1 - phase]()
            assert (report.changed, report.left_alone) == ((), ())
    assert undo(music, state).left_alone == ()
    assert [all_of(path) for path in paths] == before
    assert names_in(music) == [path.name for path in paths]
    assert not (state / UNDO_FILE).exists()


def kill_at(number, folder):
    """Kill this process at its nth operation on a file of the folder."""
    left = [number]

    def heed(event, arguments):
        if event.startswith(("open", "os.", "shutil.")) and any(str(folder) in str(given) for given in arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heed)


def test_a_kill_at_each_single_file_operation_harms_nothing(tmp_path):
    music, state = tmp_path / "music", tmp_path / "state"
    path = give_tags(make_song(music / "x.mp3", 0.3), moods=True)
    before, seen = all_of(path), set()
    acts = {"write": lambda: write_tags([wanted(path)], music, state), "undo": lambda: undo(music, state)}
    for name, act in acts.items():
        for number in range(1, 200):
            undo(music, state)
            if name == "undo":
                acts["write"]()
            child = forked(act, before=lambda number=number: kill_at(number, tmp_path))
            status = os.waitpid(child, 0)[1]
            if not os.WIFSIGNALED(status):
                assert os.WEXITSTATUS(status) == 0 and number > 15
                break
            seen.add((name, read_words(path)))
            assert all_of(path)[2:] == before[2:]
            if number % 2:
                act()
                assert read_words(path) == (WORDS if name == "write" else ("sad", "dunkel", "glorbish"))
            undo(music, state)
            assert all_of(path) == before and names_in(music) == ["x.mp3"] and not (state / UNDO_FILE).exists()
    assert len(seen) == 4, "each was killed before and after the file was exchanged"


def read_words(path):
    from device.adapters.tags_writer import read_moods

    return tuple(sorted(read_moods(path).words(), key=("sad", "dunkel", "glorbish", *WORDS).index))
