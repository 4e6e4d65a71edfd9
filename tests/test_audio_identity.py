"""A recording stays the same one under another name and other tags, and no two are the same."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC
from mutagen.id3 import APIC, TIT2, TXXX
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm

from device.adapters.audio_identity import identity, sound_hash
from tests.songs import SUFFIXES, decoded, make_song

PICTURE = bytes(random.Random(7).randbytes(300_000))


def retag(path: Path, chance: random.Random) -> None:
    """Any of what taggers do: texts short and long, pictures, all tags gone."""
    file = mutagen.File(path)
    if chance.random() < 0.2 and file.tags is not None:
        file.delete()
        return
    if file.tags is None:
        file.add_tags()
    text = "x" * chance.choice([1, 100, 5_000, 70_000])
    picture = PICTURE[: chance.choice([0, 10, 40_000, 300_000])]
    if path.suffix in (".mp3", ".wav", ".aiff"):
        file.tags.add(TIT2(text=text[:1000]))
        file.tags.add(TXXX(desc="note", text=text))
        file.tags.add(APIC(mime="image/png", type=3, desc="", data=picture))
    elif path.suffix == ".m4a":
        assert isinstance(file, MP4)
        file["©nam"], file["covr"] = text[:1000], [MP4Cover(picture)]
        file["----:com.apple.iTunes:note"] = [MP4FreeForm(text.encode())]
    elif path.suffix == ".wma":
        file["Title"], file["note"] = text[:1000], text[:30_000]
    elif path.suffix == ".flac":
        block = mutagen.flac.Picture()
        block.data = picture
        assert isinstance(file, FLAC)
        file.clear_pictures()
        file.add_picture(block)
        file["title"] = text
    else:
        file["title"], file["note"] = text[:1000], text + picture.hex()
    file.save()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seconds", [0.5, 12])
def test_tagging_anew_makes_no_difference_whatever_the_format(tmp_path, suffix, seconds):
    path = make_song(tmp_path / f"x{suffix}", seconds)
    before, sound, chance = identity(path), sound_hash(path), random.Random(3)
    heard = decoded(path)
    for _ in range(12):
        retag(path, chance)
        assert identity(path) == before
        assert sound_hash(path) == sound
    assert decoded(path) == heard


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_new_name_and_place_make_no_difference(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}")
    before = identity(path)
    (tmp_path / "elsewhere").mkdir()
    assert identity(Path(shutil.move(path, tmp_path / "elsewhere" / f"y{suffix}"))) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_recordings_of_the_same_length_are_others(tmp_path, suffix):
    paths = [make_song(tmp_path / f"{seed}{suffix}", seed=seed) for seed in range(4)]
    assert len({identity(path) for path in paths}) == 4
    assert len({sound_hash(path) for path in paths}) == 4


def test_all_formats_of_one_piece_have_identities_of_their_own(tmp_path):
    paths = [make_song(tmp_path / f"x{suffix}") for suffix in SUFFIXES]
    assert len({identity(path) for path in paths}) == len(SUFFIXES)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".flac"])
def test_one_changed_byte_of_sound_changes_the_hash(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}", 12)
    before, whole = sound_hash(path), bytearray(path.read_bytes())
    whole[len(whole) * 2 // 3] ^= 1
    path.write_bytes(whole)
    assert sound_hash(path) != before


def test_a_flac_without_its_checksum_goes_by_its_frames(tmp_path):
    path = make_song(tmp_path / "x.flac", 3)
    bare = bytearray(path.read_bytes())
    bare[8 + 18 : 8 + 34] = bytes(16)
    path.write_bytes(bare)
    before = identity(path)
    retag(path, random.Random(1))
    assert identity(path) == before
    other = make_song(tmp_path / "y.flac", 3, seed=2)
    bare = bytearray(other.read_bytes())
    bare[8 + 18 : 8 + 34] = bytes(16)
    other.write_bytes(bare)
    assert identity(other) != before


def test_flac_compressed_anew_is_the_same_recording(tmp_path):
    import soundfile

    path = make_song(tmp_path / "x.flac", 3)
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(tmp_path / "y.flac", samples, rate, compression_level=0.0)
    assert (tmp_path / "y.flac").read_bytes() != path.read_bytes()
    assert identity(tmp_path / "y.flac") == identity(path)


def test_tags_behind_an_mp3_make_no_difference_in_any_order(tmp_path):
    path = make_song(tmp_path / "x.mp3", 3)
    before, sound = identity(path), path.read_bytes()
    old = b"TAG" + b"Title".ljust(125, b"\0")
    lyrics = b"LYRICSBEGININD0000200"
    lyrics += f"{len(lyrics):06}LYRICS200".encode()
    tags = APEv2()
    tags["Mood"] = "calm"
    tags.save(path)
    ape = path.read_bytes()[len(sound) :]
    for tail in (old, ape, ape + old, lyrics + old, ape + lyrics + old, old + ape):
        path.write_bytes(sound + tail)
        assert identity(path) == before, tail[:8]


@pytest.mark.parametrize("length", range(40))
def test_the_letters_of_an_apev2_tag_are_no_id3v1_tag(tmp_path, length):
    path = make_song(tmp_path / "x.ape")
    before, tags = identity(path), APEv2()
    tags["Title"] = "x" * (length + 20)
    tags.save(path)
    assert identity(path) == before


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_an_id3_tag_before_the_sound_makes_no_difference(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}")
    before, sound = identity(path), sound_hash(path)
    path.write_bytes(b"ID3\4\0\0\0\0\1\0" + b"OggSfLaC".ljust(128, b"\0") + path.read_bytes())
    assert (identity(path), sound_hash(path)) == (before, sound)


def test_a_chunk_of_odd_length_before_the_sound_is_stepped_over(tmp_path):
    path = make_song(tmp_path / "x.wav")
    whole, before, sound = path.read_bytes(), identity(path), sound_hash(path)
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"
    path.write_bytes(b"RIFF" + (len(whole) - 8 + len(odd)).to_bytes(4, "little") + b"WAVE" + odd + whole[12:])
    assert (identity(path), sound_hash(path)) == (before, sound)


def test_an_mp4_whose_tables_lead_elsewhere_has_another_hash(tmp_path):
    path = make_song(tmp_path / "x.m4a")
    before, whole = sound_hash(path), bytearray(path.read_bytes())
    whole[whole.index(b"stco") + 12 + 3] ^= 1
    path.write_bytes(whole)
    assert sound_hash(path) != before


def test_an_mp4_whose_sound_comes_last_is_the_same_when_the_tags_grow(tmp_path):
    source = make_song(tmp_path / "x.m4a", 5)
    path = tmp_path / "y.m4a"
    command = ["ffmpeg", "-v", "error", "-i", source, "-c", "copy", "-movflags", "+faststart", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    before, heard = (identity(path), sound_hash(path)), decoded(path)
    retag(path, random.Random(4))
    assert (identity(path), sound_hash(path)) == before and decoded(path) == heard
    assert path.read_bytes().index(b"stco") < path.read_bytes().index(b"mdat")


def read_bytes_so_far() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".wav", ".m4a", ".ape"])
def test_no_more_than_300_kb_are_read_of_a_long_song_with_large_tags(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}", 120)
    retag(path, random.Random(5))
    assert path.stat().st_size > 400_000
    at_first = read_bytes_so_far()
    identity(path)
    assert read_bytes_so_far() - at_first < 300_000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_anywhere_has_an_identity_too(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}", 0.5)
    whole = path.read_bytes()
    for length in [*range(0, min(len(whole), 400), 9), *range(400, len(whole), max(1, len(whole) // 60))]:
        path.write_bytes(whole[:length])
        assert identity(path) and sound_hash(path)


@pytest.mark.parametrize("seed", range(8))
def test_any_bytes_have_an_identity(tmp_path, seed):
    chance = random.Random(seed)
    for suffix in SUFFIXES:
        path = make_song(tmp_path / f"x{suffix}", 0.3)
        whole = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 200)):
            whole[chance.randrange(min(len(whole), 2000))] = chance.randrange(256)
        path.write_bytes(whole)
        assert identity(path) and sound_hash(path)
