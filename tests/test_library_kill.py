"""A scan that is killed at any moment leaves a sound catalogue, and the next one makes it complete."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import mutagen
import pytest

from device.adapters import catalogue_sqlite_file
from device.adapters.catalogue_sqlite import Catalogue, SongOutcome
from device.cli import main
from device.domain.labels import Affect
from device.domain.tracks import Origin
from device.library import scan
from tests.mpd_server import write_tone

FILES = 120
KILLS = 150
KILLS_WHILE_UPGRADING = 50
MOODS = ("happy", "sad; calm", "zorpy", "")


@dataclass
class House:
    """A folder of songs and the catalogue of it."""

    folder: Path
    rng: random.Random

    @property
    def music(self) -> Path:
        return self.folder / "music"

    @property
    def database(self) -> Path:
        return self.folder / "state" / "catalogue.sqlite"

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.music.rglob("*") if path.is_file())

    def settle_in(self) -> None:
        for number in range(FILES):
            suffix = (".flac", ".wav", ".ogg")[number % 3]
            path = write_tone(self.music / f"{number % 5}" / f"{number:03}{suffix}", 0.05, 200 + number)
            file = mutagen.File(path)
            if suffix != ".wav":
                file["MOOD"] = MOODS[number % 4]
                file.save()
        (self.music / "broken.mp3").write_bytes(b"no music")
        (self.folder / "state").mkdir()
        (self.folder / "moodify.toml").write_text(
            f'[library]\nmusic_folder = "{self.music}"\n[paths]\nstate = "{self.folder}/state"\n'
        )

    def scan(self) -> int:
        """Begin `moodify library scan` in a process that has all it needs in its memory; returns its id."""
        child = os.fork()
        if child:
            return child
        status = 99
        with contextlib.suppress(BaseException):
            sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
            status = main(["library", "scan", "--config", str(self.folder / "moodify.toml")])
        os._exit(status)

    def scan_in_peace(self) -> float:
        """Seconds it took."""
        began = time.monotonic()
        assert os.waitpid(self.scan(), 0)[1] == 0
        return time.monotonic() - began

    def kill_a_scan(self, longest_seconds: float) -> bool:
        """Kill it at a random moment; True when it was still at work."""
        scanning = self.scan()
        time.sleep(self.rng.uniform(0, longest_seconds))
        os.kill(scanning, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(scanning, 0)[1])

    def change(self, may_move) -> None:
        """Give the next scan much to do: all files have new stamps, some are elsewhere, some are gone or new."""
        for path in self.files:
            now = self.rng.randrange(10**18)
            os.utime(path, ns=(now, now))
        for path in self.rng.sample(self.files, 8):
            if may_move(path):
                path.rename(path.with_name(f"{self.rng.randrange(10**9)}{path.suffix}"))
        for path in self.rng.sample(self.files, 2):
            if path.suffix == ".wav":
                shutil.copy(path, path.with_name(f"{self.rng.randrange(10**9)}.wav"))
        if len(self.files) > FILES:
            self.rng.choice([path for path in self.files if path.suffix == ".wav"]).unlink()

    def check(self) -> None:
        """The file is sound, no track is there twice, and the shelf holds the tracks that it should."""
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not db.execute("SELECT 1 FROM note WHERE name = 'shelved as'").fetchone():
                return  # an older catalogue, whose shelf is made when it is opened next
            live = [uri for (uri,) in db.execute("SELECT uri FROM track WHERE gone_at_unix IS NULL")]
            assert len(live) == len(set(live))
            (apart,) = db.execute(
                """
                SELECT COUNT(*) FROM (SELECT uri, record IS NOT NULL AS chosen FROM track LEFT JOIN shelf USING (uri)
                WHERE gone_at_unix IS NULL) JOIN track USING (uri) WHERE chosen <> said
                """
            ).fetchone()
            assert apart == 0
            (lost,) = db.execute(
                "SELECT COUNT(*) FROM shelf WHERE uri NOT IN (SELECT uri FROM track WHERE gone_at_unix IS NULL)"
            ).fetchone()
            assert lost == 0


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, random.Random(20))
    house.settle_in()
    return house


def key_of(track):
    """What stays the same when a file is moved, as far as that is known."""
    return track.identity or track.uri


def as_new(house, tmp_path):
    """The tracks that a catalogue begun now would have, by uri."""
    with Catalogue(tmp_path / "new.sqlite") as new:
        scan(house.music, new)
        return {track.uri: track for track in new.tracks()}, new.problems()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_scan_killed_again_and_again_loses_nothing(house, tmp_path):
    house.scan_in_peace()
    with Catalogue(house.database) as catalogue:
        loved = catalogue.tracks()[::7]
        said = {key_of(track): Affect(number / 100, -number / 100) for number, track in enumerate(loved)}
        for track in loved:
            assert catalogue.correct(track.uri, said[key_of(track)])
            catalogue.add_outcome(SongOutcome(track.uri, "liked", "happy", 1.0))
            catalogue.add_play(track.uri, "", "", 1.0)
    fixed = {track.uri for track in loved if not track.identity}
    house.change(lambda path: False)
    duration = house.scan_in_peace()
    kills = 0
    while kills < KILLS:
        house.change(lambda path: path.relative_to(house.music).as_posix() not in fixed)
        at_work = house.kill_a_scan(1.1 * duration)
        kills += at_work
        duration *= 1.01 if at_work else 0.95  # as busy as the machine is
        house.check()
    house.scan_in_peace()
    house.check()
    expected, problems = as_new(house, tmp_path)
    with Catalogue(house.database) as catalogue:
        assert catalogue.warning == ""
        tracks = catalogue.tracks()
        assert [track.uri for track in tracks] == sorted(expected)
        assert [track for track in tracks if track.origin != Origin.PERSON] == [
            expected[track.uri] for track in tracks if track.origin != Origin.PERSON
        ]
        assert catalogue.problems() == problems
        assert Counter(outcome.kind for outcome in catalogue.outcomes(1000)) == {"liked": len(loved)}
        for key, affect in said.items():
            copies = [track for track in tracks if key_of(track) == key]
            assert [track.affect for track in copies if track.origin == Origin.PERSON] == [affect][: len(copies)]
            assert sum(catalogue.tally(track.uri).play_count for track in copies) == len(copies[:1])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_scan_killed_while_an_old_catalogue_is_upgraded_loses_nothing(house, tmp_path):
    old = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(old)) as db:
        db.executescript(catalogue_sqlite_file._STEPS[0])
        for path in house.files[:-1]:
            uri = path.relative_to(house.music).as_posix()
            row = (uri, 1, 1, "T", "A", "B", 1.0, "happy", 0.8, 0.5, "tag", "", None)
            db.execute(f"INSERT INTO track VALUES ({', '.join('?' * 13)})", row)
            db.execute("INSERT INTO plays VALUES (NULL, ?, '', '', 1.0)", (uri,))
        db.execute("PRAGMA user_version = 1")
        db.commit()
    shutil.copy(old, house.database)
    duration = house.scan_in_peace()
    kills = 0
    while kills < KILLS_WHILE_UPGRADING:
        for path in house.database.parent.glob("catalogue.sqlite*"):
            path.unlink()
        shutil.copy(old, house.database)
        at_work = house.kill_a_scan(duration)
        kills += at_work
        duration *= 1.01 if at_work else 0.95
        house.check()
    house.scan_in_peace()
    expected, problems = as_new(house, tmp_path)
    with Catalogue(house.database) as catalogue:
        assert {track.uri: track for track in catalogue.tracks()} == expected
        assert catalogue.problems() == problems
        assert len(catalogue.recent_plays(1000, 0.0, 1.0)) == FILES
        assert all(catalogue.tally(uri).play_count == 1 for uri in expected)
