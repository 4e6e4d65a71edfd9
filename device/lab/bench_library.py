"""`moodify bench library`: how the catalogue grows with the music: time, memory, and what a choice costs."""

from __future__ import annotations

import multiprocessing
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device.adapters.catalogue_sqlite import Catalogue, Stamp
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.preference import Outcome, OutcomeKind, PreferenceSettings, learn_all, weights
from device.domain.selection import Favour, Play, SelectionSettings, Wish, choose, with_keys
from device.domain.shelf import Shelf, shelve
from device.domain.tracks import TIMBRE_SIZE, Origin, Track
from device.library import scan

BATCH = 1_000
CHOICES = 300
WARM_UP = 5
SONG_SECONDS = 200.0
HISTORY_SONGS = 200
OUTCOMES = 500
"""From which the house's taste was learned."""
MOOD = "happy"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """What a catalogue of one size costs."""

    tracks: int
    build_seconds: float
    file_bytes: int
    """Of the catalogue on the disk."""
    load_seconds: float
    array_bytes: int
    """Of everything on the shelf."""
    resident_bytes: int
    """By which the process grew when it loaded the shelf and made the first choices."""
    peak_bytes: int
    """By which it grew at the worst moment."""
    choose_p50_ms: float
    choose_p95_ms: float


@dataclass(frozen=True, slots=True)
class Rescan:
    """What a scan of a folder of real files costs."""

    files: int
    first_seconds: float
    unchanged_seconds: float
    unchanged_cpu_seconds: float
    peak_bytes: int
    """By which the process grew."""


@dataclass(frozen=True, slots=True)
class Growth:
    """All sizes, the smallest first, and the scan."""

    sizes: tuple[Size, ...]
    rescan: Rescan | None

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"sizes": [asdict(size) for size in self.sizes], "rescan": self.rescan and asdict(self.rescan)}

    @property
    def text(self) -> str:
        """For people: figures, and in brackets how many times the smallest size's they are."""
        heads = ("build s", "load s", "choose p50 ms", "choose p95 ms")
        lines = [f"{'tracks':>18}" + "".join(f"{head:>20}" for head in heads) + _memory_heads()]
        for size in self.sizes:
            lines.append(_line(size, self.sizes[0]))
        if self.rescan:
            lines += ["", _rescan_text(self.rescan)]
        return "\n".join(lines)


def bench_library(sizes: Sequence[int], files: int, say: Say = lambda _line: None) -> Growth:
    """Measure catalogues of these sizes, and the scan of so many real files (0: none); a million takes minutes.

    Each measurement has a process of its own, so that none finds its memory already taken.
    """
    with tempfile.TemporaryDirectory(prefix="moodify-bench-") as name:
        folder = Path(name)
        measured = []
        for tracks in sorted(sizes):
            say(f"a catalogue of {tracks:,} tracks")
            measured.append(_size(folder / f"{tracks}.sqlite", tracks))
        rescan = None
        if files:
            say(f"a folder of {files:,} files")
            rescan = _apart(_rescan, folder, files)
    return Growth(tuple(measured), rescan)


def _taste(shelf: Shelf, rng: random.Random) -> Favour:
    """What a house that heard some of these songs out and skipped others makes of any.

    It is worked out by the first choice, which is not timed.
    """

    def outcome() -> Outcome:
        record = shelf.records[row := rng.randrange(len(shelf))]
        kind = rng.choice((OutcomeKind.HEARD_OUT, OutcomeKind.SKIPPED_EARLY))
        keys = int(record["recording"]), int(record["artist"])
        return Outcome(kind, MOOD, shelf.affect(row), *keys, record["timbre"].tobytes())

    settings = PreferenceSettings()
    preference = learn_all((outcome() for _ in range(OUTCOMES)), settings)
    chance = np.random.default_rng(rng.randrange(2**32))
    return lambda shelf, rows: weights(preference, MOOD, shelf, rows, settings, chance)


def _choose_once(shelf: Shelf, rng: random.Random, plays: Sequence[Play], now_seconds: float, taste: Favour) -> Play:
    """One choice as the speaker makes it, for some mood, after some songs."""
    sounds = tuple(shelf.records["timbre"][rng.randrange(len(shelf))].tobytes() for _ in range(3))
    wish = Wish(Affect(rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9)), sounds_like=sounds)
    pick = choose(shelf, wish, plays, now_seconds, rng.randrange(2**32), SelectionSettings(), taste)
    assert pick
    return with_keys(Play(pick.uri, "", "", now_seconds), shelf)


def _size(path: Path, tracks: int) -> Size:
    build_seconds = _apart(_build, path, tracks)
    file_bytes = path.stat().st_size
    size: Size = _apart(_measure, path, tracks, build_seconds, file_bytes)
    path.unlink()
    return size


def _apart(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` returns in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _build(path: Path, tracks: int) -> float:
    """Seconds to write so many tracks: half say in their tags how they feel, all were heard."""
    rng = random.Random(tracks)
    began = time.perf_counter()
    with Catalogue(path) as catalogue:
        for start in range(0, tracks, BATCH):
            songs = [_song(number, rng) for number in range(start, min(start + BATCH, tracks))]
            catalogue.upsert(songs)
            catalogue.write_all_heard((song.uri, stamp, _heard(rng)) for song, stamp in songs)
    return time.perf_counter() - began


def _song(number: int, rng: random.Random) -> tuple[Track, Stamp]:
    artist, album = f"Artist {number // 60:05}", f"Album {number // 12}"
    tagged = number % 2 == 0
    track = Track(
        uri=f"{artist}/{album}/{number % 12:02} A song of number {number}.flac",
        title=f"A song of number {number}",
        artist=artist,
        album=album,
        duration_seconds=SONG_SECONDS,
        moods=("happy", "calm") if tagged else (),
        affect=_affect(rng) if tagged else None,
        origin=Origin.TAG if tagged else Origin.NONE,
        genre="Rock",
        year=1960 + number % 60,
        identity=f"flac-md5:{number:032x}",
    )
    return track, Stamp(1_700_000_000_000_000_000 + number, 30_000_000 + number)


def _heard(rng: random.Random) -> Heard:
    return Heard(_affect(rng), 0.4, rng.randbytes(TIMBRE_SIZE), {"tempo_bpm": rng.uniform(60, 180)}, "bench")


def _affect(rng: random.Random) -> Affect:
    """Most music is neither here nor there."""
    valence, arousal = (min(1.0, max(-1.0, rng.gauss(0.1, 0.4))) for _ in range(2))
    return Affect(valence, arousal)


def _measure(path: Path, tracks: int, build_seconds: float, file_bytes: int) -> Size:
    rng = random.Random(1)
    _choices(shelve([_song(2 * number, rng)[0] for number in range(100)]), rng)
    with Catalogue(path) as catalogue:
        before = _resident_bytes()
        _forget_peak()
        began = time.perf_counter()
        shelf = catalogue.shelf()
        load_seconds = time.perf_counter() - began
        taken_ms = _choices(shelf, rng)
        resident, peak = _resident_bytes() - before, _resident_bytes("VmHWM") - before
    assert len(shelf) == tracks
    return Size(
        tracks=tracks,
        build_seconds=build_seconds,
        file_bytes=file_bytes,
        load_seconds=load_seconds,
        array_bytes=_array_bytes(shelf),
        resident_bytes=resident,
        peak_bytes=peak,
        choose_p50_ms=statistics.median(taken_ms),
        choose_p95_ms=taken_ms[int(0.95 * len(taken_ms))],
    )


def _choices(shelf: Shelf, rng: random.Random) -> list[float]:
    """Milliseconds of each choice, sorted."""
    plays: list[Play] = []
    taken = []
    taste = _taste(shelf, rng)
    for number in range(WARM_UP + CHOICES):
        began = time.perf_counter()
        plays.append(_choose_once(shelf, rng, plays[-HISTORY_SONGS:], number * SONG_SECONDS, taste))
        taken.append(1000 * (time.perf_counter() - began))
    return sorted(taken[WARM_UP:])


def _array_bytes(shelf: Shelf) -> int:
    """Everything that the shelf holds, and what it made of it to search in."""
    made = [part for value in vars(shelf).values() for part in (value if isinstance(value, tuple) else (value,))]
    return sum(part.nbytes if isinstance(part, np.ndarray) else len(part) for part in made)


def _resident_bytes(name: str = "VmRSS") -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _rescan(folder: Path, files: int) -> Rescan:
    music = folder / "music"
    for path, content in _small_files(music, files):
        path.write_bytes(content)
    with Catalogue(folder / "scanned.sqlite") as catalogue:
        before = _resident_bytes()
        _forget_peak()
        first_seconds, _ = _scan_seconds(music, catalogue, read=files)
        unchanged_seconds, cpu_seconds = _scan_seconds(music, catalogue, read=0)
        return Rescan(files, first_seconds, unchanged_seconds, cpu_seconds, _resident_bytes("VmHWM") - before)


def _scan_seconds(music: Path, catalogue: Catalogue, read: int) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    began, worked = time.perf_counter(), time.process_time()
    report = scan(music, catalogue)
    assert (report.read, report.quarantined) == (read, ())
    return time.perf_counter() - began, time.process_time() - worked


def _small_files(music: Path, files: int) -> Iterator[tuple[Path, bytes]]:
    """WAVE files of sixteen samples each, no two alike, twelve in a folder."""
    for number in range(files):
        folder = music / f"Artist {number // 60:05}" / f"Album {number // 12}"
        if number % 12 == 0:
            folder.mkdir(parents=True)
        samples = struct.pack("<16H", *random.Random(number).choices(range(65536), k=16))
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
        body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
        yield folder / f"{number % 12:02} {number}.wav", struct.pack("<4sI", b"RIFF", len(body)) + body


def _memory_heads() -> str:
    return f"{'bytes/track':>14}{'in arrays':>12}{'at worst':>12}{'on disk':>12}"


def _line(size: Size, smallest: Size) -> str:
    figures = [
        (getattr(size, name), getattr(smallest, name))
        for name in ("build_seconds", "load_seconds", "choose_p50_ms", "choose_p95_ms")
    ]
    times = "".join(f"{value:>11.3f} {_times(value, least):>8}" for value, least in figures)
    memory = (size.resident_bytes, size.array_bytes, size.peak_bytes, size.file_bytes)
    each = "".join(f"{value / size.tracks:>{width}.0f}" for value, width in zip(memory, (14, 12, 12, 12), strict=True))
    return f"{size.tracks:>9,} {_times(size.tracks, smallest.tracks):>8}{times}{each}"


def _times(value: float, least: float) -> str:
    if not least:
        return ""
    ratio = value / least
    return f"(×{ratio:,.0f})" if ratio >= 10 else f"(×{ratio:.1f})"


def _rescan_text(rescan: Rescan) -> str:
    first, again = f"{rescan.first_seconds:.1f} s", f"{rescan.unchanged_seconds:.2f} s"
    work, peak = f"{rescan.unchanged_cpu_seconds:.2f} s of one core", f"{rescan.peak_bytes / 2**20:.0f} MiB at worst"
    return f"{rescan.files:,} real files: first scan {first}, unchanged {again} ({work}), {peak}"
