"""Writes mood words into a music file's tags with mutagen, and puts back what stood there before."""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mutagen
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2File, APEValue
from mutagen.asf import ASF, ASFUnicodeAttribute  # type: ignore[attr-defined]
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TMOO, TXXX, Encoding, Frame, Frames, ID3FileType, ParseID3v1
from mutagen.mp4 import MP4, MP4FreeForm
from mutagen.wave import WAVE

from device.adapters.audio_identity import is_fragmented_mp4
from device.domain.tags import mood_words
from device.errors import MoodifyError

OUR_MP4_KEY = "----:com.apple.iTunes:MOOD"
OUR_ASF_KEY = "WM/Mood"
_APE_TEXT = 0
_ASF_TEXT = 0
_ID3V1_BYTES = 128

_TROUBLE = (
    mutagen.MutagenError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    struct.error,
)
"""What mutagen raises when a file's tags are not what they should be."""

Item = tuple[str | int, ...]
Told = TypeVar("Told")


class UnwritableTags(MoodifyError):
    """These tags cannot be changed without harm; the message says why, without the path."""


@dataclass(frozen=True, slots=True)
class MoodTags:
    """All that a file's tags say of moods, exactly, so that it can be put back."""

    kind: str
    tagged: bool
    """Whether the file has a tag at all."""
    items: tuple[Item, ...]
    """One for each field, in the format's own terms; see the `_…Moods` classes."""

    def words(self) -> tuple[str, ...]:
        """The mood words, as a scan reads them."""
        return mood_words(text for item in self.items for text in _KINDS[self.kind].texts(item))

    def same(self, other: MoodTags) -> bool:
        """Whether both say the same in the same fields; the fields' places among others do not count."""
        placed = _KINDS[self.kind].placed
        mine, theirs = ([item[placed:] for item in tags.items] for tags in (self, other))
        return self.kind == other.kind and mine == theirs

    def as_json(self) -> str:
        """For the undo file."""
        return json.dumps({"kind": self.kind, "tagged": self.tagged, "items": self.items}, ensure_ascii=False)

    @staticmethod
    def of_json(text: str) -> MoodTags:
        """From the undo file; ValueError, LookupError or TypeError when it is none."""
        plain = json.loads(text)
        return MoodTags(_known(plain["kind"]), bool(plain["tagged"]), tuple(map(tuple, plain["items"])))


def read_moods(path: Path) -> MoodTags:
    """What the file's tags say of moods; UnwritableTags when they cannot be written."""
    return _trying(lambda: _Open(path).moods())


def other_tags(path: Path) -> str:
    """All other tags, as a text to compare."""
    return _trying(lambda: _Open(path).others())


def write_moods(path: Path, words: Iterable[str]) -> None:
    """Have the file's tags say these moods and no others; all its other tags stay."""
    _trying(lambda: _Open(path).replace_moods(tuple(words)))


def restore_moods(path: Path, former: MoodTags) -> None:
    """Put back what `read_moods` told, absence included."""
    _trying(lambda: _Open(path).restore(former))


def _trying(act: Callable[[], Told]) -> Told:
    try:
        return act()
    except _TROUBLE as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, OSError):
            raise cause from None
        raise UnwritableTags(f"its tags cannot be changed: {error}") from None


class _Open:
    """One file's tags, loaded as they stand: nothing translated, nothing added from older tags behind the sound."""

    def __init__(self, path: Path) -> None:
        file: Any = mutagen.File(path)
        if file is None:
            raise UnwritableTags("is not a music file, whatever its name says")
        self.kind = _kind_of(file)
        self.path = path
        if self.kind == "id3":
            file = _as_it_stands(file, path)
        if self.kind == "comments" and file.tags is not None and _were_mended(file.tags, path):
            raise UnwritableTags("has comments that no Vorbis comment may be, and would lose them; mend them first")
        if self.kind == "mp4" and is_fragmented_mp4(path):
            raise UnwritableTags("is a fragmented MP4, whose parts name places in the file; remux it first")
        self.file: Any = file

    def moods(self) -> MoodTags:
        tags = self.file.tags
        return MoodTags(self.kind, tags is not None, () if tags is None else tuple(_KINDS[self.kind].items(tags)))

    def others(self) -> str:
        tags = self.file.tags
        return "\n".join(self._id3v1_lines() if tags is None else _KINDS[self.kind].others(tags))

    def replace_moods(self, words: tuple[str, ...]) -> None:
        if self.file.tags is None:
            self._begin_tag()
        _KINDS[self.kind].clear(self.file.tags)
        _KINDS[self.kind].write(self.file.tags, words)
        self._save()

    def restore(self, former: MoodTags) -> None:
        if former.kind != self.kind:
            raise UnwritableTags("is of another format than it was")
        if self.file.tags is not None:
            _KINDS[self.kind].clear(self.file.tags)
        elif former.tagged:
            self._begin_tag()
        else:
            return
        for item in former.items:
            _KINDS[self.kind].put_back(self.file.tags, item)
        if former.tagged or self._is_someones():
            self._save()
        else:
            self._end_tag()

    def _begin_tag(self) -> None:
        """A new ID3v2 tag repeats what an ID3v1 tag says, as programs read the one or the other."""
        self.file.add_tags()
        for frame in self._id3v1_frames().values():
            self.file.tags.add(frame)

    def _is_someones(self) -> bool:
        """Whether the tag that we began holds more than we put into it."""
        return bool(_KINDS[self.kind].others(self.file.tags) != self._id3v1_lines())

    def _id3v1_frames(self) -> dict[str, Any]:
        foot = self._foot() if self.kind == "id3" else b""
        return (ParseID3v1(foot) or {}) if foot else {}  # type: ignore[no-untyped-call]

    def _id3v1_lines(self) -> list[str]:
        """Of the ID3v2 tag that would repeat it."""
        tags: Any = ID3()  # type: ignore[no-untyped-call]
        for frame in self._id3v1_frames().values():
            tags.add(frame)
        written = io.BytesIO()
        tags.save(written)
        return _Id3Moods.others(ID3(io.BytesIO(written.getvalue()), **_RAW)) if tags else []  # type: ignore[no-untyped-call]

    def _save(self) -> None:
        foot = self._foot()
        if self.kind == "id3":
            version = 3 if self.file.tags.version[:2] == (2, 3) else 4
            self.file.save(v2_version=version, v23_sep=None)
        else:
            self.file.save()
        _put_foot(self.path, foot)

    def _foot(self) -> bytes:
        return _foot(self.path) if isinstance(self.file, ID3FileType | APEv2File) else b""

    def _end_tag(self) -> None:
        tags = self.file.tags
        if isinstance(self.file, ID3FileType):
            tags.delete(self.path, delete_v1=False)
        elif isinstance(self.file, APEv2File | FLAC) or self.kind == "id3":
            self.file.delete()
        else:
            self.file.save()


def _as_it_stands(file: Any, path: Path) -> Any:
    """Without what mutagen does to make old frames new and to fill in what only the ID3v1 tag says."""
    file = type(file)(path, **_RAW)
    if file.tags is not None and file.tags.version[:2] < (2, 3):
        raise UnwritableTags("has an ID3v2.2 tag, which can be read and not be written; convert it to 2.3 or 2.4 first")
    if file.tags is not None and file.tags.version[:2] == (2, 4) and file.tags.f_unsynch:
        raise UnwritableTags(
            "has an unsynchronised ID3v2.4 tag, which is not written; save it in another program first"
        )
    return file


class _MoodOnly:
    """In the place of one of mutagen's kinds of frame: reads it when it tells moods."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def _fromData(self, header: Any, flags: int, data: bytes) -> Frame:
        """NotImplementedError where it tells none: mutagen then keeps the frame as it is, byte for byte."""
        if self._kind in (TMOO, TXXX):
            with suppress(mutagen.MutagenError):
                frame: Frame = self._kind._fromData(header, flags, data)
                if _is_mood_frame(frame):
                    return frame
        raise NotImplementedError


_RAW: dict[str, Any] = {
    "translate": False,
    "load_v1": False,
    "known_frames": {name: _MoodOnly(kind) for name, kind in Frames.items()},
}
"""How to load ID3: what mutagen reads it also writes anew, and not always the same (letters that are none, two frames
alike), so it reads the moods only and keeps all other frames as bytes."""


def _foot(path: Path) -> bytes:
    """The ID3v1 tag, which mutagen would write anew in its own way, or drop; not the letters of APETAGEX."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _ID3V1_BYTES - 3))
        end = file.read()
    foot = end[-_ID3V1_BYTES:]
    return foot if len(foot) == _ID3V1_BYTES and foot.startswith(b"TAG") and not end.startswith(b"APETAGEX") else b""


def _put_foot(path: Path, foot: bytes) -> None:
    if not foot or _foot(path) == foot:
        return
    with path.open("r+b") as file:
        file.seek(-_ID3V1_BYTES if _foot(path) else 0, io.SEEK_END)
        file.write(foot)


class _CommentMoods:
    """Vorbis comments: (place, name, text) for each."""

    placed = 1

    @staticmethod
    def texts(item: Item) -> list[str]:
        return [str(item[2])]

    @staticmethod
    def items(tags: Any) -> list[Item]:
        return [(place, key, text) for place, (key, text) in enumerate(tags) if key.casefold() == "mood"]

    @staticmethod
    def others(tags: Any) -> list[str]:
        return [f"{key}={text}" for key, text in tags if key.casefold() != "mood"]

    @staticmethod
    def clear(tags: Any) -> None:
        tags[:] = [pair for pair in tags if pair[0].casefold() != "mood"]

    @staticmethod
    def write(tags: Any, words: tuple[str, ...]) -> None:
        tags.extend(("MOOD", word) for word in words)

    @staticmethod
    def put_back(tags: Any, item: Item) -> None:
        tags.insert(item[0], (str(item[1]), str(item[2])))


def _were_mended(tags: Any, path: Path) -> bool:
    """Whether mutagen put something else for what it could not read: then the file does not say what it tells."""
    looks_so = [
        f"{key}={text}".encode()
        for key, text in tags
        if "\ufffd" in text or "?" in key or re.fullmatch(r"unknown\d+", key)
    ]
    content = path.read_bytes() if looks_so else b""
    return any(comment not in content for comment in looks_so)


class _Id3Moods:
    """ID3v2: (frame, description, encoding, texts …), for TMOO and for each TXXX that is named mood."""

    placed = 0

    @staticmethod
    def texts(item: Item) -> list[str]:
        return [str(text) for text in item[3:]]

    @staticmethod
    def items(tags: Any) -> list[Item]:
        frames = [tags[key] for key in sorted(tags) if _is_mood_frame(tags[key])]
        return [
            (frame.FrameID, getattr(frame, "desc", ""), int(frame.encoding), *(str(text) for text in frame.text))
            for frame in frames
        ]

    @staticmethod
    def others(tags: Any) -> list[str]:
        return sorted(map(repr, tags.unknown_frames))

    @staticmethod
    def clear(tags: Any) -> None:
        for key in [key for key in tags if _is_mood_frame(tags[key])]:
            del tags[key]

    @staticmethod
    def write(tags: Any, words: tuple[str, ...]) -> None:
        tags.add(TMOO(encoding=Encoding.UTF8, text=list(words)))  # type: ignore[no-untyped-call]
        tags.add(TXXX(encoding=Encoding.UTF8, desc="MOOD", text=list(words)))  # type: ignore[no-untyped-call]

    @staticmethod
    def put_back(tags: Any, item: Item) -> None:
        frame, description, encoding, *texts = item
        named = {"desc": description} if frame == "TXXX" else {}
        made: Any = TXXX if frame == "TXXX" else TMOO
        tags.add(made(encoding=encoding, text=texts, **named))


def _is_mood_frame(frame: Any) -> bool:
    return bool(frame.FrameID == "TMOO" or (frame.FrameID == "TXXX" and frame.desc.casefold() == "mood"))


class _ApeMoods:
    """APEv2: (name, text), several values with a NUL between."""

    placed = 0

    @staticmethod
    def texts(item: Item) -> list[str]:
        return [str(item[1])]

    @staticmethod
    def items(tags: Any) -> list[Item]:
        found = [(key, tags[key]) for key in tags if key.casefold() == "mood"]
        if any(value.kind != _APE_TEXT for _, value in found):
            raise UnwritableTags("its mood tag is not text; left as it is")
        return [(key, str(value)) for key, value in found]

    @staticmethod
    def others(tags: Any) -> list[str]:
        return sorted(f"{key} {tags[key].kind} {tags[key].value!r}" for key in tags if key.casefold() != "mood")

    @staticmethod
    def clear(tags: Any) -> None:
        for key in [key for key in tags if key.casefold() == "mood"]:
            del tags[key]

    @staticmethod
    def write(tags: Any, words: tuple[str, ...]) -> None:
        tags["Mood"] = list(words)

    @staticmethod
    def put_back(tags: Any, item: Item) -> None:
        tags[str(item[0])] = APEValue(str(item[1]), _APE_TEXT)  # type: ignore[no-untyped-call]


class _Mp4Moods:
    """MP4: (key, format, version, hex) for each value of the free-form atoms named mood."""

    placed = 0

    @staticmethod
    def texts(item: Item) -> list[str]:
        return [bytes.fromhex(str(item[3])).decode("utf-8", "replace")]

    @staticmethod
    def items(tags: Any) -> list[Item]:
        return [
            (key, int(value.dataformat), int(value.version), bytes(value).hex())
            for key in sorted(filter(_is_mood_key, tags))
            for value in tags[key]
        ]

    @staticmethod
    def others(tags: Any) -> list[str]:
        return sorted(f"{key} {value!r}" for key, value in tags.items() if not _is_mood_key(key))

    @staticmethod
    def clear(tags: Any) -> None:
        for key in list(filter(_is_mood_key, tags)):
            del tags[key]

    @staticmethod
    def write(tags: Any, words: tuple[str, ...]) -> None:
        tags[OUR_MP4_KEY] = [MP4FreeForm(word.encode()) for word in words]  # type: ignore[no-untyped-call]

    @staticmethod
    def put_back(tags: Any, item: Item) -> None:
        key, form, version, content = item
        value = MP4FreeForm(bytes.fromhex(str(content)), form, version)  # type: ignore[no-untyped-call]
        tags[key] = [*tags.get(key, ()), value]


def _is_mood_key(key: str) -> bool:
    return key.startswith("----:") and key.split(":", 2)[-1].casefold() == "mood"


class _AsfMoods:
    """ASF: (place, name, text, language, stream) for each, where a language or stream that is not told is -1."""

    placed = 1

    @staticmethod
    def texts(item: Item) -> list[str]:
        return [str(item[2])]

    @staticmethod
    def items(tags: Any) -> list[Item]:
        found = [(place, key, value) for place, (key, value) in enumerate(tags) if _is_mood_attribute(key)]
        if any(value.TYPE != _ASF_TEXT for _, _, value in found):
            raise UnwritableTags("its mood tag is not text; left as it is")
        return [
            (place, key, str(value), *(-1 if told is None else told for told in (value.language, value.stream)))
            for place, key, value in found
        ]

    @staticmethod
    def others(tags: Any) -> list[str]:
        return sorted(f"{key} {value!r}" for key, value in tags if not _is_mood_attribute(key))

    @staticmethod
    def clear(tags: Any) -> None:
        tags[:] = [pair for pair in tags if not _is_mood_attribute(pair[0])]

    @staticmethod
    def write(tags: Any, words: tuple[str, ...]) -> None:
        attribute: Any = ASFUnicodeAttribute
        tags.extend((OUR_ASF_KEY, attribute(word)) for word in words)

    @staticmethod
    def put_back(tags: Any, item: Item) -> None:
        place, key, text, *told = item
        language, stream = (None if number == -1 else number for number in told)
        attribute: Any = ASFUnicodeAttribute
        tags.insert(place, (key, attribute(text, language=language, stream=stream)))


def _is_mood_attribute(key: str) -> bool:
    return key.casefold() in ("wm/mood", "mood")


Moods = type[_CommentMoods] | type[_Id3Moods] | type[_ApeMoods] | type[_Mp4Moods] | type[_AsfMoods]
_KINDS: dict[str, Moods] = {
    "comments": _CommentMoods,
    "id3": _Id3Moods,
    "ape": _ApeMoods,
    "mp4": _Mp4Moods,
    "asf": _AsfMoods,
}


def _known(kind: str) -> str:
    if kind not in _KINDS:
        raise ValueError(f"{kind}: no such kind of tags")
    return kind


def _kind_of(file: Any) -> str:
    if isinstance(file, ID3FileType | WAVE | AIFF):
        return "id3"
    if isinstance(file, MP4):
        return "mp4"
    if isinstance(file, ASF):
        return "asf"
    return "ape" if isinstance(file, APEv2File) else "comments"
