"""Moods go into the files' tags when a person asks for it, the sound stays bit for bit, and all can be taken back."""

from __future__ import annotations

import argparse
import fcntl
import io
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mutagen
import pytest
from mutagen.asf import ASFUnicodeAttribute
from mutagen.id3 import APIC, ID3, TALB, TDRC, TIT2, TMOO, TPE1, TXXX
from mutagen.mp4 import MP4FreeForm
from mutagen.ogg import OggPage

from device import cli_tags
from device.adapters.audio_identity import identity, sound_hash
from device.adapters.catalogue_sqlite import Catalogue
from device.adapters.tags_mutagen import read_track
from device.adapters.tags_writer import other_tags, read_moods
from device.domain.labels import Affect
from device.domain.tracks import Origin, Track
from device.errors import SetupError
from device.library import load_lexicon, scan
from device.tagging import COPY_PREFIX, UNDO_FILE, TaggingBusy, Write, _copy_of, plan_writes, undo, write_tags
from tests.songs import SUFFIXES, decoded, make_song

ROOT = Path(__file__).resolve().parent.parent

LEXICON = load_lexicon()
WORDS = ("cheerful", "fröhlich")
CHEERFUL = Affect(0.8, 0.45)


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def track(origin=Origin.PERSON, affect=CHEERFUL, moods=(), uri="a.flac", sound=""):
    return Track(uri, "A", "B", "", 60.0, moods, affect, origin, identity=sound)


def wanted(path: Path, words=WORDS) -> Write:
    return Write(path.name, tuple(words), (), Origin.PERSON, identity(path))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def all_of(path: Path):
    """What must be the same after an undo, in the words of the one who wrote the tags."""
    return read_moods(path).items, read_moods(path).tagged, other_tags(path), sound_hash(path), decoded(path)


def give_tags(path: Path, moods: bool) -> Path:
    """Tags as other programs write them; the moods, if any, in two fields of different spelling."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if path.suffix in (".mp3", ".wav", ".aiff"):
        picture = APIC(mime="image/png", type=3, desc="", data=b"x" * 999)
        for frame in (TIT2(text="Song"), TPE1(text=["A", "B"]), picture):
            file.tags.add(frame)
        if moods:
            file.tags.add(TMOO(encoding=1, text=["Sad", "dunkel"]))
            file.tags.add(TXXX(encoding=0, desc="Mood", text="Sad; glorbish"))
    elif path.suffix == ".m4a":
        file["©nam"], file["trkn"] = "Song", [(1, 2)]
        if moods:
            file["----:com.apple.iTunes:Mood"] = [MP4FreeForm(b"Sad"), MP4FreeForm("trübe".encode())]
            file["----:org.other:MOOD"] = [MP4FreeForm(b"dark")]
    elif path.suffix == ".wma":
        file["Title"] = "Song"
        if moods:
            file.tags.append(("WM/Mood", ASFUnicodeAttribute("Sad")))
            file["Author"] = "Singer"
            file.tags.append(("WM/Mood", ASFUnicodeAttribute("dark")))
    else:
        file["title"] = "Song"
        if moods:
            file["Mood"] = ["Sad", "glorbish"]
        file["artist"] = ["A", "B"]
    file.save()
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tags", ["none", "others", "moods"])
def test_written_moods_are_read_and_taken_back_exactly_in_every_format(music, state, suffix, tags):
    path = make_song(music / f"x{suffix}")
    if tags != "none":
        give_tags(path, tags == "moods")
    before = all_of(path)
    report = write_tags([wanted(path)], music, state)
    assert (report.changed, report.same, report.left_alone) == ((path.name,), 0, ())
    assert read_track(path, path.name, LEXICON).moods == WORDS
    assert all_of(path)[2:] == before[2:]
    assert undo(music, state).changed == (path.name,)
    assert all_of(path) == before
    assert names_in(music) == [path.name]
    assert undo(music, state).changed == () and not (state / UNDO_FILE).exists()


@pytest.mark.parametrize("suffix", [".mp3", ".wav"])
def test_id3_has_the_moods_in_both_frames(music, state, suffix):
    path = make_song(music / f"x{suffix}")
    write_tags([wanted(path)], music, state)
    tags = mutagen.File(path).tags
    assert tags["TMOO"].text == list(WORDS) and tags["TXXX:MOOD"].text == list(WORDS)


def test_an_id3_tag_of_version_3_stays_one_and_all_in_it_as_it_was(music, state):
    path = make_song(music / "x.mp3")
    tags = ID3()
    for frame in (TIT2(encoding=1, text="Söng"), TALB(encoding=0, text="Record"), TDRC(text="1987-05-03")):
        tags.add(frame)
    tags.add(TXXX(encoding=1, desc="MOOD", text=["Sad", "dark"]))
    tags.update_to_v23()
    tags.save(path, v2_version=3)
    before = ID3(path, translate=False).pprint(), sorted(path.read_bytes())
    write_tags([wanted(path)], music, state)
    now = ID3(path, translate=False)
    assert now.version == (2, 3, 0) and now["TYER"].text == ["1987"] and now["TXXX:MOOD"].text == list(WORDS)
    undo(music, state)
    assert (ID3(path, translate=False).pprint(), sorted(path.read_bytes())) == before


JUNK = b"TIT2\0\0\0\x08\0\0\x03Beyonc\xe9"
"""Letters that are no UTF-8, as its encoding says."""
ALIKE = (b"POPM\0\0\0\x04\0\0me\0\x40", b"POPM\0\0\0\x04\0\0me\0\x80")


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".aiff"])
def test_id3_frames_that_mutagen_would_drop_or_merge_stay_byte_for_byte(music, state, suffix):
    path = make_song(music / f"x{suffix}")
    file = mutagen.File(path)
    file.add_tags()
    file.tags.unknown_frames = [JUNK, *ALIKE]
    file.tags._unknown_v2_version = 4
    file.tags.add(TALB(text="Record"))
    file.save()
    assert write_tags([wanted(path)], music, state).changed == (path.name,)
    assert all(frame in path.read_bytes() for frame in (JUNK, *ALIKE))
    assert mutagen.File(path).tags["TALB"].text == ["Record"]
    assert undo(music, state).changed == (path.name,)
    assert all(frame in path.read_bytes() for frame in (JUNK, *ALIKE))
    assert read_moods(path).items == ()


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
@pytest.mark.parametrize("comment", [b"ARTIST=Beyonc\xe9", b"K\xfcnstler=Ab", b"no equals"])
def test_comments_that_mutagen_would_mend_are_left_alone(music, state, suffix, comment):
    path = make_song(music / f"x{suffix}")
    file = mutagen.File(path)
    file["artist"] = "x" * (len(comment) - len("ARTIST="))
    file.save()
    former = b"artist=" + b"x" * (len(comment) - len("artist="))
    content = path.read_bytes()
    assert content.count(former) == 1
    path.write_bytes(_checked(content.replace(former, comment)))
    before = path.read_bytes()
    (problem,) = write_tags([wanted(path)], music, state).left_alone
    assert "would lose them" in problem.reason and path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_comments_that_only_look_as_if_mutagen_had_mended_them_are_no_obstacle(music, state, suffix):
    path = make_song(music / f"x{suffix}")
    file = mutagen.File(path)
    file["artist"], file["who?"], file["unknown1"] = "Beyonc\ufffd", "me", "thing"
    file.save()
    before = all_of(path)
    assert write_tags([wanted(path)], music, state).changed == (path.name,)
    assert undo(music, state).changed == (path.name,)
    assert all_of(path) == before


def _checked(content: bytes) -> bytes:
    """Ogg pages with their checksums made right."""
    if not content.startswith(b"OggS"):
        return content
    source, made = io.BytesIO(content), b""
    while source.tell() < len(content):
        made += OggPage(source).write()
    return made


def test_a_fragmented_mp4_is_left_alone(music, state):
    whole = make_song(music / "x.m4a", seconds=8.0)
    path = music / "parts.m4a"
    command = ["ffmpeg", "-v", "error", "-i", whole, "-c", "copy", "-movflags", "frag_keyframe", path]
    subprocess.run([*command[:-1], "-frag_duration", "1000000", path], check=True, timeout=60)
    before = path.read_bytes()
    assert before.count(b"moof") > 1
    (problem,) = write_tags([wanted(path)], music, state).left_alone
    assert "fragmented" in problem.reason and path.read_bytes() == before
    assert write_tags([wanted(whole)], music, state).changed == ("x.m4a",)


def test_a_copy_that_was_written_too_gets_back_what_itself_said(music, state):
    first = make_song(music / "a.flac")
    second = Path(shutil.copy(first, music / "b.flac"))
    file = mutagen.File(second)
    file["mood"] = "my own word"
    file.save()
    assert write_tags([wanted(first), wanted(second)], music, state).changed == ("a.flac", "b.flac")
    first.unlink()
    report = undo(music, state, [track(uri="b.flac", sound=identity(second))])
    assert report.changed == ("b.flac",) and [problem.uri for problem in report.left_alone] == ["a.flac"]
    assert mutagen.File(second)["mood"] == ["my own word"]


def test_a_full_state_disk_leaves_the_songs_alone_and_the_undo_file_whole(music, state):
    path = make_song(music / "x.flac")
    write_tags([wanted(path)], music, state)
    lines, other = (state / UNDO_FILE).read_bytes(), make_song(music / "y.flac", seed=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines) + 20, before[1]))
    try:
        report = write_tags([wanted(other)], music, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [problem.uri for problem in report.left_alone] == ["y.flac"]
    assert (state / UNDO_FILE).read_bytes() == lines
    assert read_moods(other).items == ()


def test_an_id3_tag_of_version_2_is_left_alone(music, state):
    path = make_song(music / "x.mp3")
    frame = b"TT2" + (5).to_bytes(3, "big") + b"\0Song"
    path.write_bytes(b"ID3\2\0\0\0\0\0" + bytes([len(frame)]) + frame + path.read_bytes())
    whole = path.read_bytes()
    (problem,) = write_tags([wanted(path)], music, state).left_alone
    assert "ID3v2.2" in problem.reason and path.read_bytes() == whole


def test_an_id3v1_tag_stays_as_it_is_and_is_repeated_while_ours_is_there(music, state):
    path = make_song(music / "x.mp3")
    path.write_bytes(path.read_bytes() + b"TAG" + b"Title".ljust(30, b" ") + b"Singer".ljust(94, b"\0") + b"\x11")
    whole = path.read_bytes()
    assert write_tags([wanted(path)], music, state).left_alone == ()
    assert path.read_bytes()[-128:] == whole[-128:]
    assert read_track(path, "x.mp3", LEXICON).title == "Title"
    undo(music, state)
    assert path.read_bytes() == whole


def test_an_id3v1_tag_behind_an_apev2_tag_stays(music, state):
    path = give_tags(make_song(music / "x.ape"), moods=True)
    path.write_bytes(path.read_bytes() + b"TAG" + b"Title".ljust(125, b"\0"))
    whole = path.read_bytes()
    assert write_tags([wanted(path)], music, state).left_alone == ()
    assert path.read_bytes()[-128:] == whole[-128:]
    undo(music, state)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".ape", ".mp3"])
@pytest.mark.parametrize("length", range(0, 40, 3))
def test_words_of_any_length_are_written_and_taken_back(music, state, suffix, length):
    path = make_song(music / f"x{suffix}")
    whole = path.read_bytes()
    assert write_tags([wanted(path, ["x" * (length + 20)])], music, state).left_alone == ()
    undo(music, state)
    assert path.read_bytes() == whole


def test_what_somebody_adds_to_a_tag_that_we_began_stays_when_ours_is_taken_back(music, state):
    path = make_song(music / "x.mp3")
    write_tags([wanted(path)], music, state)
    tags = ID3(path)
    tags.add(TIT2(text="Song"))
    tags.save(path)
    undo(music, state)
    assert ID3(path)["TIT2"].text == ["Song"] and read_moods(path).words() == ()


def test_a_second_run_changes_nothing(music, state):
    path = make_song(music / "x.ogg")
    write_tags([wanted(path)], music, state)
    facts = path.stat()
    report = write_tags([wanted(path)], music, state)
    assert (report.changed, report.same) == ((), 1)
    assert path.stat().st_ino == facts.st_ino


def test_words_written_twice_are_taken_back_to_the_first(music, state):
    path = give_tags(make_song(music / "x.flac"), moods=True)
    before = all_of(path)
    write_tags([wanted(path)], music, state)
    write_tags([wanted(path, ["dark"])], music, state)
    assert read_moods(path).words() == ("dark",)
    undo(music, state)
    assert all_of(path) == before


def test_moods_that_somebody_changed_since_are_left_alone_and_told(music, state):
    path = make_song(music / "x.flac")
    write_tags([wanted(path)], music, state)
    file = mutagen.File(path)
    file["MOOD"] = "their own"
    file.save()
    for _ in range(2):
        (problem,) = undo(music, state).left_alone
        assert "changed since" in problem.reason and "their own" in problem.reason
    assert read_moods(path).words() == ("their own",)
    write_tags([wanted(path)], music, state)
    undo(music, state)
    assert read_moods(path).words() == ("their own",)


def test_a_song_that_was_moved_is_found_by_its_track(music, state):
    path = make_song(music / "x.flac")
    sound, before = identity(path), all_of(path)
    write_tags([wanted(path)], music, state)
    moved = path.rename(music / "y.flac")
    assert "is gone" in undo(music, state).left_alone[0].reason
    _copy_of(moved).write_bytes(b"what an interrupted run left")
    assert undo(music, state, [track(uri="y.flac", sound=sound)]).left_alone == ()
    assert all_of(moved) == before and names_in(music) == ["y.flac"]


def test_owner_mode_and_attributes_stay(music, state):
    path = make_song(music / "x.flac")
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.colour", b"blue")
    except OSError:
        pytest.skip("the test folder's disk keeps no extended attributes")
    if os.getuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    write_tags([wanted(path)], music, state)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(path, "user.colour") == b"blue"
    assert after.st_mtime_ns > before.st_mtime_ns and after.st_ino != before.st_ino


def hard_link(path: Path) -> None:
    os.link(path, path.parent.parent / "other name.flac")


def soft_link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent.parent / "other place.flac"))


def read_only(path: Path) -> None:
    path.chmod(0o444)


def read_only_folder(path: Path) -> None:
    path.parent.chmod(0o555)


def gone(path: Path) -> None:
    path.unlink()


def other_recording(path: Path) -> None:
    make_song(path, seed=2)


def no_music(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(hard_link, "hard link"), (soft_link, "is a link"), (read_only, "is read-only"),
     (read_only_folder, "folder is read-only"), (gone, "no such file"), (other_recording, "another recording"),
     (no_music, "is no file")],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_told_in_one_line_and_the_others_are(music, state, trouble, reason):
    bad, good = make_song(music / "bad" / "x.flac"), make_song(music / "good.flac", seed=3)
    write = replace(wanted(bad), uri="bad/x.flac")
    trouble(bad)
    try:
        report = write_tags([write, wanted(good)], music, state)
        listing = names_in(bad.parent)
    finally:
        bad.parent.chmod(0o755)
    assert report.changed == ("good.flac",)
    (problem,) = report.left_alone
    assert problem.uri == "bad/x.flac" and reason in problem.reason and "\n" not in problem.reason
    assert listing in (["x.flac"], [])
    assert undo(music, state).left_alone == ()


WRITE_AS_ANOTHER = """
import sys
from pathlib import Path
from device.tagging import write_tags
from tests.test_tagging import wanted
music, state = Path(sys.argv[1]), Path(sys.argv[2])
report = write_tags([wanted(music / "x.flac")], music, state)
print(report.changed, [problem.reason for problem in report.left_alone])
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize("with_rights", [True, False])
def test_songs_of_others_are_written_with_the_rights_that_the_box_gives_and_stay_theirs(tmp_path, with_rights):
    speaker, person = 65534, 12345
    music, state = tmp_path / "music", tmp_path / "state"
    state.mkdir()
    os.chown(state, speaker, speaker)
    path = make_song(music / "x.flac")
    for each in (music, path):
        os.chown(each, person, person)
    before = path.read_bytes()
    script = (ROOT / "scripts" / "as-speaker").read_text()
    rights = re.search(r"rights=(\S+)", script)[1] if with_rights else "+dac_read_search"
    said = subprocess.run(
        ["setpriv", "--reuid", str(speaker), "--regid", str(speaker), "--clear-groups", "--inh-caps", rights,
         "--ambient-caps", rights, sys.executable, "-c", WRITE_AS_ANOTHER, music, state],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(state)},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    facts = path.stat()
    assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (person, person, 0o644)
    if with_rights:
        assert said.stdout.strip() == "('x.flac',) []" and path.read_bytes() != before
        assert {each.stat().st_uid for each in state.iterdir()} == {speaker}
    else:
        assert "it or its folder may not be written by nobody" in said.stdout and path.read_bytes() == before


def test_a_full_disk_is_told_and_the_file_stays(tmp_path, state):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk]
    if os.getuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk to fill can be mounted by root only")
    try:
        path = make_song(disk / "x.wav", 30)
        filler = disk / "filler"
        filler.write_bytes(bytes(1_600_000))
        before = path.read_bytes()
        (problem,) = write_tags([wanted(path)], disk, state).left_alone
        assert "no space for a copy" in problem.reason and path.read_bytes() == before
        assert names_in(disk) == ["filler", "x.wav"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_while_writing_is_told_and_the_file_stays(music, state):
    path = make_song(music / "x.wav", 30)
    program = (
        "import resource, signal, sys; from pathlib import Path; from device.tagging import *; "
        "from device.domain.tracks import Origin; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)); "
        "w = Write('x.wav', ('happy',), (), Origin.PERSON, ''); "
        "print(write_tags([w], Path(sys.argv[1]), Path(sys.argv[2])).left_alone[0].reason)"
    )
    command = [sys.executable, "-c", program, music, state]
    before = path.read_bytes()
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert told.strip() == "file too large"
    assert path.read_bytes() == before and names_in(music) == ["x.wav"]


def test_a_copy_that_an_interrupted_run_left_is_removed(music, state):
    path = make_song(music / "x.flac")
    write_tags([wanted(path)], music, state)
    undo_line = (state / UNDO_FILE).read_text()
    undo(music, state)
    _copy_of(path).write_bytes(b"half")
    (state / UNDO_FILE).write_text(undo_line)
    assert _copy_of(path).name.startswith(COPY_PREFIX)
    undo(music, state)
    assert names_in(music) == ["x.flac"]


def test_a_torn_line_of_the_undo_file_is_left_out_and_the_others_count(music, state):
    paths = [make_song(music / f"{name}.flac", seed=seed) for seed, name in enumerate("ab")]
    before = [all_of(path) for path in paths]
    write_tags([wanted(paths[0])], music, state)
    with (state / UNDO_FILE).open("a") as file:
        file.write('{"number": 2, "uri": "b.fl')
    write_tags([wanted(paths[1])], music, state)
    assert undo(music, state).changed == ("a.flac", "b.flac")
    assert [all_of(path) for path in paths] == before


def test_what_stood_there_is_on_the_disk_before_the_file_is_changed(music, state):
    path = give_tags(make_song(music / "x.flac"), moods=True)
    seen = []
    from device import tagging

    rewrite = tagging._rewrite
    try:
        tagging._rewrite = lambda *_: seen.append((state / UNDO_FILE).read_text())
        write_tags([wanted(path)], music, state)
    finally:
        tagging._rewrite = rewrite
    assert "glorbish" in seen[0]


def test_only_one_command_writes_at_a_time(music, state):
    state.mkdir()
    with (state / "tagging.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TaggingBusy):
            write_tags([], music, state)
        with pytest.raises(TaggingBusy):
            undo(music, state)


def test_a_file_that_another_program_changes_meanwhile_is_left_to_it(music, state):
    from device import tagging

    path = make_song(music / "x.flac")
    change = tagging.write_moods

    def and_another(copy, words):
        change(copy, words)
        give_tags(path, moods=False)

    try:
        tagging.write_moods = and_another
        (problem,) = write_tags([wanted(path)], music, state).left_alone
    finally:
        tagging.write_moods = change
    assert "at this moment" in problem.reason
    assert mutagen.File(path)["title"] == ["Song"] and names_in(music) == ["x.flac"]


def test_a_change_that_would_touch_the_sound_or_other_tags_is_not_made(music, state):
    from device import tagging

    path = give_tags(make_song(music / "x.mp3"), moods=False)
    before, change = path.read_bytes(), tagging.write_moods

    def harm_sound(copy, words):
        change(copy, words)
        copy.write_bytes(copy.read_bytes()[:-1] + b"?")

    def harm_tags(copy, words):
        change(copy, words)
        tags = ID3(copy)
        del tags["TIT2"]
        tags.save(copy)

    for harm, reason in ((harm_sound, "sound"), (harm_tags, "other tags")):
        try:
            tagging.write_moods = harm
            (problem,) = write_tags([wanted(path)], music, state).left_alone
        finally:
            tagging.write_moods = change
        assert reason in problem.reason and path.read_bytes() == before
        assert undo(music, state).same == 0, "there is nothing to take back"


def test_corrected_and_analysed_songs_are_planned_and_tagged_ones_are_not():
    tracks = [track(origin, uri=origin.value) for origin in Origin] + [track(Origin.NONE, affect=None)]
    assert [write.uri for write in plan_writes(tracks, LEXICON)] == ["person", "analysis"]
    assert [write.uri for write in plan_writes(tracks, LEXICON, "corrected")] == ["person"]
    assert [write.uri for write in plan_writes(tracks, LEXICON, "analysed")] == ["analysis"]


def test_planned_words_are_the_nearest_and_keep_what_has_no_feeling():
    (write,) = plan_writes([track(moods=("sad", "acoustic", "glorbish", "not happy"))], LEXICON)
    assert write.words == ("cheerful", "happy", "acoustic", "glorbish")
    assert write.former == ("sad", "acoustic", "glorbish", "not happy")


def test_words_that_stand_there_already_are_not_planned():
    assert plan_writes([track(moods=("HAPPY", "cheerful"))], LEXICON) == ()


def test_what_is_written_is_not_planned_again_after_a_scan(music, state):
    path = make_song(music / "x.flac")
    corrected = track(uri="x.flac", sound=identity(path))
    write_tags(plan_writes([corrected], LEXICON), music, state)
    again = read_track(path, "x.flac", LEXICON)
    assert plan_writes([replace(again, affect=corrected.affect, origin=Origin.PERSON)], LEXICON) == ()


def test_the_words_in_which_a_person_said_it_are_written():
    (write,) = plan_writes([track(moods=("sad", "acoustic"))], LEXICON, said={"a.flac": ["Sunny", "laid-back"]})
    assert write.words == ("sunny", "laid-back", "acoustic")
    (write,) = plan_writes([track(Origin.ANALYSIS)], LEXICON, said={"a.flac": ["Sunny"]})
    assert "sunny" not in write.words


def options(action, *arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", action="store_true")
    action(parser)
    return parser.parse_args(arguments)


def write_options(*arguments):
    return options(cli_tags.add_write_arguments, *arguments)


@pytest.fixture
def household(music, state, monkeypatch):
    """A catalogue with a song that a person corrected."""
    path = make_song(music / "x.flac")
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    state.mkdir()
    with Catalogue(state / "catalogue.sqlite") as catalogue:
        scan(music, catalogue)
        catalogue.correct("x.flac", CHEERFUL)
    return path


def test_a_dry_run_tells_and_changes_nothing(household, music, state, capsys):
    whole = household.read_bytes()
    assert cli_tags.write_tags(write_options("--music", str(music), "--dry-run", "--json")) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    assert (planned["uri"], planned["words"]) == ("x.flac", ["cheerful", "happy"])
    assert cli_tags.write_tags(write_options("--music", str(music), "--dry-run")) == 0
    assert "x.flac: no moods → cheerful, happy (a person said so)" in capsys.readouterr().out
    assert household.read_bytes() == whole and not (state / UNDO_FILE).exists()


def test_nothing_is_changed_unasked(household, music):
    whole = household.read_bytes()
    with pytest.raises(SetupError, match="--yes"):
        cli_tags.write_tags(write_options("--music", str(music)))
    with pytest.raises(SetupError, match="--yes"):
        cli_tags.undo(options(cli_tags.add_undo_arguments, "--music", str(music)))
    assert household.read_bytes() == whole


def test_the_commands_write_and_take_back(household, music, state, capsys):
    before = all_of(household)
    assert cli_tags.write_tags(write_options("--music", str(music), "--yes", "--json")) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": ["x.flac"], "same": 0, "left_alone": []}
    assert read_moods(household).words() == ("cheerful", "happy")
    with Catalogue(state / "catalogue.sqlite") as catalogue:
        scan(music, catalogue)
    assert cli_tags.write_tags(write_options("--music", str(music), "--yes")) == 0
    assert "0 files written" in capsys.readouterr().out
    assert cli_tags.undo(options(cli_tags.add_undo_arguments, "--music", str(music), "--yes")) == 0
    assert "1 file put back" in capsys.readouterr().out
    assert all_of(household) == before


def test_a_moved_song_is_taken_back_by_the_command_after_a_scan(household, music, state):
    before = all_of(household)
    cli_tags.write_tags(write_options("--music", str(music), "--yes"))
    moved = household.rename(music / "y.flac")
    with Catalogue(state / "catalogue.sqlite") as catalogue:
        scan(music, catalogue)
    assert cli_tags.undo(options(cli_tags.add_undo_arguments, "--music", str(music), "--yes")) == 0
    assert all_of(moved) == before


def test_words_of_the_households_own_lexicon_are_written(household, music, state, capsys):
    (state / "lexicon.toml").write_text("[words]\nglorbish = [0.8, 0.45]\ncheerful = [0.0, 0.0]")
    cli_tags.write_tags(write_options("--music", str(music), "--dry-run"))
    assert "→ glorbish, happy" in capsys.readouterr().out


def test_files_left_alone_make_the_commands_end_with_1(household, music, capsys):
    household.chmod(0o444)
    assert cli_tags.write_tags(write_options("--music", str(music), "--yes")) == 1
    assert "left alone: x.flac: is read-only" in capsys.readouterr().out
