"""Knows a recording by its sound alone: the same when its file is renamed, moved or tagged anew."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

SAMPLE_BYTES = 32 << 10
"""So much is looked at, at the beginning, in the middle and at the end of the sound."""

OGG_TAIL_BYTES = 192 << 10
"""Holds OGG_SAMPLE_BYTES of sound even when the pages are as long as they can be (65,307 bytes)."""
OGG_SAMPLE_BYTES = 64 << 10

MOST_PARTS = 10_000
"""A file of more chunks, boxes or blocks than this is taken as it is."""

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
"""The MP4 boxes on the way to the tables that say where the sound lies."""

Span = tuple[int, int]
"""First byte, and the one after the last."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """Where a file's sound lies."""

    kind: str
    facts: bytes
    """What else belongs to the sound, as its sample format."""
    spans: tuple[Span, ...]


def identity(path: Path) -> str:
    """A text that another recording does not have; reads 300 kB at most; OSError when the file cannot be read.

    FLAC has a checksum of the samples, which also a new compression leaves as it was. Of Ogg the last 64 KiB of
    sound count and the position they end at, of all others 32 KiB at the beginning, in the middle and at the end,
    and the length.
    """
    with path.open("rb", buffering=0) as file:
        start = _after_id3(file, 0)
        kind = _peek(file, start, 4)
        if kind == b"fLaC":
            samples = _peek(file, start + 8, 34)[10:]
            if len(samples) == 24 and any(samples[8:]):
                return _named("flac", [samples])
        if kind == b"OggS":
            return _named("ogg", _ogg_tail(file))
        return _sampled(file, _sound(file))


def sound_hash(path: Path) -> str:
    """A checksum of every byte of sound, and of how it is laid out; reads the whole file."""
    with path.open("rb", buffering=0) as file:
        if _peek(file, _after_id3(file, 0), 4) == b"OggS":
            return _named("ogg", _ogg_sound(file, _after_id3(file, 0)))
        sound = _sound(file)
        return _named(sound.kind, _whole(file, sound))


def _named(kind: str, parts: Iterator[bytes] | list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return f"{kind}:{digest.hexdigest()}"


def _sampled(file: FileIO, sound: _Sound) -> str:
    """Of several spans the longest is looked at; the length of all counts."""
    total = sum(end - start for start, end in sound.spans)
    start, end = max(sound.spans, key=lambda span: span[1] - span[0])
    middle = (start + end - SAMPLE_BYTES) // 2
    if end - start <= 3 * SAMPLE_BYTES:
        parts = [_peek(file, start, end - start)]
    else:
        parts = [_peek(file, place, SAMPLE_BYTES) for place in (start, middle, end - SAMPLE_BYTES)]
    return _named(sound.kind, [str(total).encode(), *parts])


def _whole(file: FileIO, sound: _Sound) -> Iterator[bytes]:
    yield from _mp4_layout(file, sound.spans) if sound.kind == "mp4" else (sound.facts,)
    for start, end in sound.spans:
        yield str(end - start).encode()
        file.seek(start)
        left = end - start
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            left -= len(part)
            yield part


def _sound(file: FileIO) -> _Sound:
    """Where the sound lies; in a file that is not built as it should be, all between the tags."""
    start = _after_id3(file, 0)
    head = _peek(file, start, 16)
    finders: tuple[tuple[bool, Callable[[FileIO, int], _Sound | None]], ...] = (
        (head[:4] == b"fLaC", _in_flac),
        (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE", _in_wave),
        (head[:4] == b"FORM", _in_aiff),
        (head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"), _in_mp4),
        (head == _ASF_HEADER, _in_asf),
    )
    for fits, find in finders:
        found = find(file, start) if fits else None
        if found and found.spans:
            return found
    return _Sound("plain", b"", ((start, max(start, _before_tags(file, start))),))


def _in_flac(file: FileIO, start: int) -> _Sound | None:
    """Frames after the metadata blocks; STREAMINFO says how they are to be read."""
    place, facts = start + 4, _peek(file, start + 8, 34)
    for _ in range(MOST_PARTS):
        head = _peek(file, place, 4)
        if len(head) < 4:
            return None
        place += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            end = _before_tags(file, start)
            return _Sound("flac", facts, ((place, end),)) if place < end else None
    return None


def _in_wave(file: FileIO, start: int) -> _Sound | None:
    chunks = list(_chunks(file, start, "little"))
    facts = b"".join(_peek(file, *_sized(span)) for name, span in chunks if name == b"fmt ")
    return _Sound("wave", facts, tuple(span for name, span in chunks if name == b"data" and span[0] < span[1]))


def _in_aiff(file: FileIO, start: int) -> _Sound | None:
    chunks = list(_chunks(file, start, "big"))
    facts = b"".join(_peek(file, *_sized(span)) for name, span in chunks if name == b"COMM")
    return _Sound("aiff", facts, tuple(span for name, span in chunks if name == b"SSND" and span[0] < span[1]))


def _sized(span: Span) -> tuple[int, int]:
    return span[0], min(span[1] - span[0], 4096)


def _chunks(file: FileIO, start: int, order: str) -> Iterator[tuple[bytes, Span]]:
    """IFF and RIFF chunks; one that claims to be longer than the file (RF64, a recording cut short) ends with it."""
    place, end = start + 12, _size(file)
    for _ in range(MOST_PARTS):
        head = _peek(file, place, 8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little" if order == "little" else "big")
        yield head[:4], (place + 8, min(place + 8 + length, end))
        place += 8 + length + length % 2


def _in_mp4(file: FileIO, start: int) -> _Sound | None:
    boxes = list(_mp4_boxes(file, start, _size(file)))
    spans = tuple(span for name, span in boxes if name == b"mdat" and span[0] < span[1])
    return _Sound("mp4", b"", spans) if spans else None


def is_fragmented_mp4(path: Path) -> bool:
    """Whether its sound comes in fragments, each with tables of its own."""
    with path.open("rb", buffering=0) as file:
        return any(name == b"moof" for name, _ in _mp4_boxes(file, _after_id3(file, 0), _size(file)))


def _mp4_boxes(file: FileIO, start: int, end: int) -> Iterator[tuple[bytes, Span]]:
    """The boxes between two places, each with the place of its content."""
    place = start
    for _ in range(MOST_PARTS):
        head = _peek(file, place, 16)
        if place >= end or len(head) < 8:
            return
        length, inside = int.from_bytes(head[:4], "big"), place + 8
        if length == 1 and len(head) == 16:
            length, inside = int.from_bytes(head[8:], "big"), place + 16
        elif length == 0:
            length = end - place
        if length < inside - place:
            return
        yield head[4:8], (inside, min(place + length, end))
        place += length


def _mp4_layout(file: FileIO, spans: tuple[Span, ...]) -> Iterator[bytes]:
    """Where in the sound each chunk begins, by the tables that players go by: they must move with the sound."""
    for name, (start, end) in _mp4_tables(file, _after_id3(file, 0), _size(file)):
        content = _peek(file, start + 8, end - start - 8)
        width = 8 if name == b"co64" else 4
        for place in range(0, len(content) - width + 1, width):
            offset = int.from_bytes(content[place : place + width], "big")
            inside = [(number, offset - span[0]) for number, span in enumerate(spans) if span[0] <= offset < span[1]]
            yield repr(inside).encode()


def _mp4_tables(file: FileIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, Span]]:
    for name, span in _mp4_boxes(file, start, end):
        if name in (b"stco", b"co64"):
            yield name, span
        elif name in _BOXES and depth < len(_BOXES):
            yield from _mp4_tables(file, *span, depth + 1)


def _in_asf(file: FileIO, start: int) -> _Sound | None:
    place, end = start, _size(file)
    for _ in range(MOST_PARTS):
        head = _peek(file, place, 24)
        if len(head) < 24:
            return None
        length = int.from_bytes(head[16:], "little")
        if head[:16] == _ASF_DATA:
            return _Sound("asf", b"", ((place + 24, min(place + length, end) if length else end),))
        if length < 24:
            return None
        place += length
    return None


def _ogg_tail(file: FileIO) -> list[bytes]:
    """The last of the sound and the position it ends at; how it is cut into pages makes no difference."""
    start = max(0, _size(file) - OGG_TAIL_BYTES)
    tail = _peek(file, start, OGG_TAIL_BYTES)
    pages = _last_pages(tail)
    if not pages:
        return [tail]
    heads = [number for number, page in enumerate(pages) if page.position == 0]
    sound = pages[heads[-1] + 1 :] if heads else pages
    content = b"".join(tail[page.start : page.end] for page in sound)
    return [str(pages[-1].position).encode(), content[-OGG_SAMPLE_BYTES:]]


@dataclass(frozen=True, slots=True)
class _Page:
    """An Ogg page's content."""

    position: int
    """Granule position; 0 on the pages of the headers."""
    start: int
    end: int


def _last_pages(tail: bytes) -> list[_Page]:
    """The longest chain of pages: letters that only look like a page do not go on as one."""
    best: list[_Page] = []
    place = tail.find(b"OggS")
    while place >= 0:
        chain = list(_pages_in(tail, place))
        if len(chain) > len(best):
            best = chain
        place = tail.find(b"OggS", chain[-1].end if len(chain) > 1 else place + 4)
    return best


def _pages_in(content: bytes, place: int) -> Iterator[_Page]:
    while content[place : place + 4] == b"OggS" and place + 27 <= len(content):
        (position,) = struct.unpack_from("<q", content, place + 6)
        start = place + 27 + content[place + 26]
        end = start + sum(content[place + 27 : start])
        if end > len(content):
            return
        yield _Page(position, start, end)
        place = end


def _ogg_sound(file: FileIO, start: int) -> Iterator[bytes]:
    """Content and positions of all pages behind the headers; their numbers and checksums change with the tags."""
    place, headers = start, True
    while len(head := _peek(file, place, 27)) == 27 and head[:4] == b"OggS":
        position, serial = struct.unpack_from("<qI", head, 6)
        lengths = _peek(file, place + 27, head[26])
        content = _peek(file, place + 27 + head[26], sum(lengths))
        headers = headers and position in (0, -1)
        if not headers:
            yield struct.pack("<qIB", position, serial, head[5]) + lengths + content
        place += 27 + head[26] + sum(lengths)
    yield _peek(file, place, 1 << 20)


def _after_id3(file: FileIO, start: int) -> int:
    """The place behind the ID3v2 tags that a file may open with."""
    for _ in range(16):
        head = _peek(file, start, 10)
        if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:]):
            break
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte
        start += 10 + size + (10 if head[5] & 0x10 else 0)
    return start


def _before_tags(file: FileIO, start: int) -> int:
    """The place before the ID3v1, Lyrics3 and APEv2 tags that a file may close with."""
    end = _size(file)
    for _ in range(16):
        length = _id3v1(file, end) or _lyrics3(file, end) or _apev2(file, end)
        if not length or end - length < start:
            break
        end -= length
    return end


def _id3v1(file: FileIO, end: int) -> int:
    """An APEv2 tag of 131 bytes has the same letters in that place: APETAGEX."""
    found = end >= 128 and _peek(file, end - 128, 3) == b"TAG"
    return 128 if found and (end < 131 or _peek(file, end - 131, 8) != b"APETAGEX") else 0


def _lyrics3(file: FileIO, end: int) -> int:
    foot = _peek(file, max(0, end - 15), 15)
    return int(foot[:6]) + 15 if foot[6:] == b"LYRICS200" and foot[:6].isdigit() else 0


def _apev2(file: FileIO, end: int) -> int:
    foot = _peek(file, max(0, end - 32), 32)
    if len(foot) < 32 or foot[:8] != b"APETAGEX":
        return 0
    length, flags = struct.unpack_from("<I4xI", foot, 12)
    return int(length) + (32 if flags & 0x8000_0000 else 0)


def _peek(file: FileIO, place: int, length: int) -> bytes:
    """So many bytes from there on, or what there is of them."""
    if length <= 0 or place >= _size(file):
        return b""
    file.seek(place)
    return file.read(length)


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size
