"""The configuration: strict TOML into frozen dataclasses; an unknown key, wrong type or bad range is named."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from device.domain.brain import BrainSettings
from device.domain.fusion import FusionSettings
from device.domain.goal import GoalSettings
from device.domain.mood import MoodSettings
from device.domain.night import QuietSettings
from device.domain.pace import PaceSettings
from device.domain.preference import PreferenceSettings
from device.domain.programme import MusicSettings, Rules
from device.domain.selection import SelectionSettings
from device.errors import SetupError


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """[camera]"""

    source: Literal["auto", "picamera2", "v4l2", "none"] = "auto"
    device: str = "/dev/video0"
    """V4L2 device of a USB webcam; picamera2 takes the first CSI camera."""
    width: int = field(default=640, metadata={"range": (160, 1920)})
    height: int = field(default=480, metadata={"range": (120, 1080)})
    rate_hz: float = field(default=5.0, metadata={"range": (0.2, 30.0)})
    """Looks a second while somebody moves."""
    glance_rate_hz: float = field(default=8.0, metadata={"range": (0.2, 30.0)})
    """Glances a second while nobody does: each only tells whether something moves."""
    slow_look_seconds: float = field(default=3.0, metadata={"range": (0.2, 3.5)})
    """Time between two looks when the board is hot; people are not followed over longer gaps."""
    hottest_celsius: float = field(default=75.0, metadata={"range": (20.0, 110.0)})
    """A hotter board looks slowly."""
    detector: Literal["short", "full", "both"] = "both"
    """MediaPipe's model: up to about 2 m, up to about 5 m, or the second where the first finds nobody."""

    @property
    def pace(self) -> PaceSettings:
        """What decides how often the eyes look."""
        return PaceSettings(self.rate_hz, self.glance_rate_hz, self.slow_look_seconds, self.hottest_celsius)

    @property
    def fastest_hz(self) -> float:
        """Most frames a second that are ever taken."""
        return max(self.rate_hz, self.glance_rate_hz)


@dataclass(frozen=True, slots=True)
class MicrophoneConfig:
    """[microphone]"""

    source: Literal["auto", "pyaudio", "none"] = "auto"
    device: str = ""
    """Part of the input device's name; empty: the system's default."""
    hop_seconds: float = field(default=1.0, metadata={"range": (0.25, 5.0)})
    smallest_speech_share: float = field(default=0.2, metadata={"range": (0.0, 1.0)})
    """Less speech in a window gives no reading."""
    own_music_fifo: str = "/run/mpd/moodify.fifo"
    """MPD's fifo output (format "16000:16:1"): what is being played, so that it does not set the mood; empty: none."""


@dataclass(frozen=True, slots=True)
class MpdConfig:
    """[mpd]"""

    host: str = "127.0.0.1"
    """Name, address, or the path of MPD's socket."""
    port: int = field(default=6600, metadata={"range": (1, 65535)})
    password_credential: str = ""
    """Name of the systemd credential that holds the password; empty: none."""
    timeout_seconds: float = field(default=5.0, metadata={"range": (0.5, 60.0)})


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """[mqtt]"""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = field(default=1883, metadata={"range": (1, 65535)})
    username: str = ""
    password_credential: str = ""
    """Name of the systemd credential that holds the password; empty: none."""
    topic: str = "moodify"
    """First level of every topic."""
    device_id: str = "speaker"
    """Second level: which speaker; letters, digits, - and _."""
    discovery_prefix: str = "homeassistant"
    """Home Assistant's discovery prefix; empty: no discovery."""


@dataclass(frozen=True, slots=True)
class PageConfig:
    """[page]"""

    enabled: bool = True
    host: str = "127.0.0.1"
    """Address to listen on; on anything but loopback the page asks for pairing."""
    port: int = field(default=8321, metadata={"range": (0, 65535)})
    """0: any free port (printed at start)."""


@dataclass(frozen=True, slots=True)
class LibraryConfig:
    """[library]"""

    music_folder: Path = Path("/var/lib/mpd/music")
    """The folder that is MPD's music_directory."""
    rescan_minutes: float = field(default=60.0, metadata={"range": (1.0, 10080.0)})


@dataclass(frozen=True, slots=True)
class AnalysisConfig:
    """[analysis]: when `moodify library analyse --watch` listens to songs."""

    everything: bool = True
    """Also songs that have a mood, for how they sound; after all others."""
    hottest_celsius: float = field(default=70.0, metadata={"range": (20.0, 110.0)})
    """It rests while the board is hotter."""
    busiest_share: float = field(default=0.6, metadata={"range": (0.05, 1.01)})
    """It rests while others use so much of all processors."""
    rest_after_use_minutes: float = field(default=2.0, metadata={"range": (0.0, 1440.0)})
    """It rests so long after a person asked the speaker for something."""


@dataclass(frozen=True, slots=True)
class PathsConfig:
    """[paths]"""

    models: Path = Path(__file__).resolve().parent.parent / "models"
    state: Path = Path("/var/lib/moodify")
    """Overridden by $STATE_DIRECTORY, which systemd sets."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every key has a default."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    mood: MoodSettings = field(default_factory=MoodSettings)
    music: MusicSettings = field(default_factory=MusicSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    goal: GoalSettings = field(default_factory=GoalSettings)
    quiet: QuietSettings = field(default_factory=QuietSettings)
    preference: PreferenceSettings = field(default_factory=PreferenceSettings)
    mpd: MpdConfig = field(default_factory=MpdConfig)
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    page: PageConfig = field(default_factory=PageConfig)
    library: LibraryConfig = field(default_factory=LibraryConfig)
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)

    @property
    def brain(self) -> BrainSettings:
        """The sections that the decisions depend on."""
        rules = Rules(self.music, self.selection, self.goal, self.quiet, self.preference)
        return BrainSettings(self.fusion, self.mood, rules)


Section = TypeVar("Section")


def load_config(path: Path | None) -> Config:
    """Read `path` (None: all defaults); SetupError names the key, what is wrong, and what is known."""
    config = _section(Config, {} if path is None else _read(path), "")
    state = os.environ.get("STATE_DIRECTORY")
    if not state:
        return config
    return replace(config, paths=replace(config.paths, state=Path(state.split(":")[0])))


def state_folder(config: Config) -> Path:
    """`paths.state`, made where it is missing; SetupError when this user may not write there."""
    folder, reason = config.paths.state, "Permission denied"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise SetupError(
        f"paths.state {folder}: {reason}; on the box run this with sudo, elsewhere name a folder that may be written"
    )


def credential(name: str) -> str | None:
    """A secret handed over by systemd ($CREDENTIALS_DIRECTORY/name); None for an empty name."""
    if not name:
        return None
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SetupError(f"credential {name!r}: no $CREDENTIALS_DIRECTORY; set LoadCredential={name}:FILE in the unit")
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SetupError(f"credential {name!r}: {error.strerror}; set LoadCredential={name}:FILE in the unit") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; name an existing file with --config") from None
    except UnicodeDecodeError:
        raise SetupError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: not valid TOML: {error}") from None


def _section(kind: type[Section], table: dict[str, Any], prefix: str) -> Section:
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in table:
        if key not in known:
            raise SetupError(f"{prefix}{key}: no such setting; known here: {', '.join(known)}")
    values = {key: _value(hints[key], value, f"{prefix}{key}", known[key].metadata) for key, value in table.items()}
    return kind(**values)


def _value(hint: Any, value: Any, name: str, limits: Mapping[Any, Any]) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise SetupError(f"{name}: a section, written [{name}], not a single value")
        return _section(hint, value, f"{name}.")  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise SetupError(f"{name}: {value!r} is not one of {', '.join(map(repr, get_args(hint)))}")
        return value
    converted = _scalar(hint, value, name)
    bounds, pattern = limits.get("range"), limits.get("pattern")
    if bounds and not bounds[0] <= converted <= bounds[1]:
        raise SetupError(f"{name}: {converted} is outside {bounds[0]} … {bounds[1]}")
    if pattern and not re.fullmatch(pattern, converted):
        raise SetupError(f"{name}: {converted!r} is not {limits['example']}")
    return converted


def _scalar(hint: Any, value: Any, name: str) -> Any:
    if get_origin(hint) in (Union, UnionType):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if hint is Path and isinstance(value, str):
        try:
            return Path(value).expanduser()
        except RuntimeError:
            raise SetupError(f"{name}: {value!r}: there is no such user's home") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    wanted = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    raise SetupError(f"{name}: {value!r} is not {wanted.get(hint, hint)}")
