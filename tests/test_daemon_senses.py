"""The senses as the daemon puts them together: when the hardware is closed nothing that it gave stays behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from device import daemon
from device.adapters.scene import load_scene
from device.beats import Beats
from device.config import Config
from device.domain.brain import Wishes
from device.domain.events import Event
from device.domain.player import PlayState
from device.domain.reading import Modality
from device.sensing.ears import Ears
from device.sensing.lookout import Lookout
from tests.speaker import ROOT

PATIENCE_SECONDS = 30.0
MODELS = ROOT / "models"

pytestmark = pytest.mark.skipif(not (MODELS / "face.tflite").exists(), reason="the models are missing")


class Listener:
    """In the conductor's place: takes events, and no music plays."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.post = self.events.append
        self.snapshot = SimpleNamespace(player=SimpleNamespace(state=PlayState.STOP))


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_what_was_heard_and_seen_is_forgotten_when_the_senses_are_switched_off(tmp_path, monkeypatch) -> None:
    made: dict[str, object] = {}
    for name in ("build_ears", "build_lookout"):
        build = getattr(daemon, name)
        monkeypatch.setattr(daemon, name, lambda *given, _as=name, _build=build: made.setdefault(_as, _build(*given)))
    path = tmp_path / "scene.toml"
    path.write_text('title = "a room"\nlength = 600\n[[camera]]\nfrom = 0\nto = 600\nshow = "nobody"\n')
    senses = daemon._senses(Config(), load_scene(path), Listener(), Wishes(), Beats(time.monotonic))
    ears, lookout = made["build_ears"], made["build_lookout"]
    assert isinstance(ears, Ears) and isinstance(lookout, Lookout)
    try:
        for sense in senses.values():
            sense.start()
        until(lambda: len(ears._window) > 0 and lookout._thumbnail is not None)
        senses[Modality.VOICE].switch(False)
        until(lambda: len(ears._window) == 0)
        senses[Modality.FACE].switch(False)
        until(lambda: lookout._thumbnail is None)
    finally:
        for sense in senses.values():
            sense.close()
