"""The configuration: strict, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.config import Config, credential, load_config
from device.errors import SetupError


def written(folder: Path, text: str) -> Path:
    path = folder / "moodify.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(SetupError) as caught:
        load_config(written(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_file_means_all_defaults(monkeypatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert load_config(None) == Config()


def test_a_value_replaces_its_default_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    config = load_config(written(tmp_path, "[mood]\ndwell_seconds = 3\n[mqtt]\nhost = 'hub'\n"))
    assert config.mood.dwell_seconds == 3.0
    assert config.mqtt.host == "hub"
    assert config.mpd == Config().mpd


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path) -> None:
    line = complaint(tmp_path, "[mqtt]\nprot = 1883\n")
    assert line.startswith("mqtt.prot: no such setting; known here: enabled, host, port")


def test_an_unknown_section_is_named(tmp_path) -> None:
    assert complaint(tmp_path, "[mptd]\n").startswith("mptd: no such setting; known here: camera")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[mqtt]\nport = '1883'\n", "mqtt.port: '1883' is not a whole number"),
        ("[mqtt]\nport = true\n", "mqtt.port: True is not a whole number"),
        ("[mqtt]\nenabled = 1\n", "mqtt.enabled: 1 is not true or false"),
        ("[mqtt]\nport = 70000\n", "mqtt.port: 70000 is outside 1 … 65535"),
        ("[mood]\nsmoothing_seconds = 0\n", "mood.smoothing_seconds: 0.0 is outside"),
        ("[camera]\nsource = 'webcam'\n", "camera.source: 'webcam' is not one of 'auto'"),
        ("mqtt = 3\n", "mqtt: a section, written [mqtt]"),
        ("[mqtt\n", "not valid TOML"),
        ("[mood]\nmargin = nan\n", "mood.margin: nan is outside"),
        ("[music]\nseed = -1\n", "music.seed: -1 is outside 0 … "),
        ("[library]\nmusic_folder = '~nobody-here/songs'\n", "library.music_folder: '~nobody-here/songs': there is no"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(tmp_path, text, part) -> None:
    assert part in complaint(tmp_path, text)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SetupError, match=r"/nowhere/moodify\.toml: No such file"):
        load_config(Path("/nowhere/moodify.toml"))


def test_a_file_that_is_not_text_is_named(tmp_path) -> None:
    path = tmp_path / "moodify.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SetupError, match="not UTF-8"):
        load_config(path)


def test_the_state_folder_comes_from_systemd_when_it_sets_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    assert load_config(None).paths.state == tmp_path


def test_a_secret_comes_from_systemds_credentials(tmp_path, monkeypatch) -> None:
    (tmp_path / "mqtt").write_text("hidden\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credential("mqtt") == "hidden"
    assert credential("") is None
    with pytest.raises(SetupError, match="LoadCredential=absent"):
        credential("absent")
