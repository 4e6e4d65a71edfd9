"""The scan finds the files that MPD finds."""

from __future__ import annotations

import os

import pytest

from device.adapters.catalogue_sqlite import Problem
from device.errors import SetupError
from device.music_folder import music_files
from tests.mpd_server import mpd_server, needs_mpd, write_tone  # noqa: F401 - a fixture

NAMES = r"""
a.wav b#1.wav b.wav c[x].wav d[1].wav e.wav F.wav g.wav h.wav i^.wav lead.wav trail.wav top.wav hash#.wav
q?.wav qq.wav s*r.wav star.wav #lost.wav back\slash.wav sub/a.wav sub/k.wav sub/deep/k.wav skip/x.wav
sub/skip/y.wav sub2/q.wav sub3/k.wav only/x.wav
""".split()  # noqa: SIM905 - a list to read

IGNORED = r"""
a.wav
b#1.wav
# a comment
 #lost.wav
d\[1].wav
f.wav
skip
[gh].wav
[^i]^.wav
sub2/q.wav
hash*   # not a comment
  lead.wav
trail.wav
/top.wav
q\?.wav
s\*r.wav
back\\*
"""


def found(folder, problems=None):
    return sorted(uri for uri, _, _ in music_files(folder, [] if problems is None else problems))


def make(folder):
    for name in NAMES:
        write_tone(folder / name, 0.1)
    (folder / ".mpdignore").write_text(IGNORED)
    (folder / "sub" / ".mpdignore").write_text("k.*\r\n\n")
    (folder / "only" / ".mpdignore").write_text("*")


def test_what_mpd_ignores_is_ignored(tmp_path):
    make(tmp_path)
    assert found(tmp_path) == [
        "#lost.wav",
        "F.wav",
        "b.wav",
        "c[x].wav",
        "e.wav",
        "hash#.wav",
        "i^.wav",
        "qq.wav",
        "star.wav",
        "sub2/q.wav",
        "sub3/k.wav",
        "top.wav",
    ]


def test_mpd_itself_finds_the_same(mpd_server):  # noqa: F811
    needs_mpd()
    make(mpd_server.music)
    mpd_server.update()
    with mpd_server.client() as client:
        listed = sorted(item["file"] for item in client.listall() if "file" in item)
    assert found(mpd_server.music) == listed


def test_names_and_stamps_are_those_of_the_files(tmp_path):
    path = write_tone(tmp_path / "a" / "ü.WAV", 0.1)
    (tmp_path / "flac").touch()
    facts = path.stat()
    assert list(music_files(tmp_path, [])) == [("a/ü.WAV", facts.st_mtime_ns, facts.st_size)]


def test_a_pipe_and_a_folder_with_a_musical_name_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "folder.flac").mkdir()
    assert found(tmp_path) == []


def test_a_list_that_cannot_be_read_is_told_and_hides_nothing(tmp_path):
    write_tone(tmp_path / "x" / "a.wav", 0.1)
    (tmp_path / "x" / ".mpdignore").mkdir()
    problems = []
    assert found(tmp_path, problems) == ["x/a.wav"]
    assert problems == [Problem("x/.mpdignore", "cannot be read: is a directory")]


def test_a_flaw_in_a_folders_name_is_told_of_every_file(tmp_path):
    write_tone(tmp_path / "two\nlines" / "a.wav", 0.1)
    problems = []
    assert found(tmp_path, problems) == []
    assert problems == [Problem("two lines/a.wav", "its name contains a control character")]


def test_a_missing_folder_is_a_wrong_set_up(tmp_path):
    with pytest.raises(SetupError, match="nowhere"):
        found(tmp_path / "nowhere")
