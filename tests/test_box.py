"""What configures the box around the speaker is accepted by the programs that read it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from mpd import MPDClient, MPDError
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.config import Config, load_config
from tests.broker import Broker, Listener, free_port, wait_until
from tests.broker import missing as broker_missing

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware_config"
UNIT = ROOT / "systemd" / "moodify.service"
UNITS = (UNIT, ROOT / "systemd" / "moodify-listen.service")
MOST_EXPOSURE = 2.5

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="not installed: systemd-analyze")
needs_mosquitto = pytest.mark.skipif(bool(broker_missing()), reason=f"not installed: {broker_missing()}")


def run(*command, **options):
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, **options
    )


# moodify.toml


def test_every_setting_is_in_moodify_toml_and_none_besides():
    written = tomllib.loads((FIRMWARE / "moodify.toml").read_text(encoding="utf-8"))
    known = {part.name: {f.name for f in fields(getattr(Config(), part.name))} for part in fields(Config)}
    assert {section: set(keys) for section, keys in written.items()} == known


def test_every_setting_in_moodify_toml_is_the_default(monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    loaded = load_config(FIRMWARE / "moodify.toml")
    assert loaded.paths.models == Path("/opt/moodify/models")
    assert replace(loaded, paths=replace(loaded.paths, models=Config().paths.models)) == Config()


def test_every_setting_in_moodify_toml_is_explained():
    lines = (FIRMWARE / "moodify.toml").read_text(encoding="utf-8").splitlines()
    explained = False
    for line in lines:
        if line.startswith("#"):
            explained = True
        elif "=" in line:
            assert explained, f"{line}: no comment above it"
        else:
            explained = False


# systemd


@needs_systemd
@pytest.mark.parametrize("source", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit_and_its_drop_ins(tmp_path, source):
    unit = tmp_path / source.name
    program = shutil.which("true")
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", source.read_text(), flags=re.M), encoding="utf-8")
    drop_in = tmp_path / "moodify.service.d" / "credentials.conf"
    drop_in.parent.mkdir()
    shutil.copy(ROOT / "systemd" / "credentials.conf", drop_in)
    verdict = run("systemd-analyze", "verify", "--man=no", unit)
    ours = [line for line in (verdict.stdout + verdict.stderr).splitlines() if "moodify" in line]
    assert not ours and verdict.returncode == 0, ours


@needs_systemd
@pytest.mark.parametrize("ours", UNITS, ids=lambda path: path.name)
def test_systemd_finds_the_unit_little_exposed(ours):
    verdict = run("systemd-analyze", "security", "--offline=true", "--no-pager", ours)
    level = re.search(rf"Overall exposure level for {ours.name}: ([\d.]+)", verdict.stdout)
    if level is None and "unrecognized option" in verdict.stderr:
        pytest.skip("systemd-analyze has no --offline (systemd 250 or later)")
    assert level and float(level[1]) <= MOST_EXPOSURE, verdict.stdout


def test_a_wrong_set_up_is_not_restarted_and_a_hung_speaker_is():
    unit = UNIT.read_text(encoding="utf-8").splitlines()
    for line in ("Type=notify", "RestartPreventExitStatus=78", "Restart=on-failure", "WatchdogSec=30", "User=moodify"):
        assert line in unit


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="not installed: systemd-sysusers")
def test_the_user_is_made_with_the_groups_of_camera_and_sound(tmp_path):
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", ROOT / "systemd" / "moodify.sysusers.conf")
    if made.returncode and os.geteuid() != 0:
        pytest.skip(f"needs root here: {made.stderr.strip()}")
    groups = (tmp_path / "etc" / "group").read_text(encoding="utf-8")
    for group in ("audio", "video", "render"):
        assert re.search(rf"^{group}:.*:moodify$", groups, flags=re.M), groups


# mosquitto


@pytest.fixture
def broker(tmp_path):
    """mosquitto with the box's own configuration, on another port and with the box's files in another folder."""
    running = Broker(tmp_path, users={"moodify": "one", "hub": "two", "guest": "three"})
    shutil.copy(FIRMWARE / "mosquitto.acl", tmp_path / "moodify.acl")
    (tmp_path / "moodify.acl").chmod(0o600)
    lines = (FIRMWARE / "mosquitto.conf").read_text(encoding="utf-8").replace("1883", str(running.port))
    lines = lines.replace("/etc/mosquitto/moodify.passwd", str(tmp_path / "passwords"))
    lines = lines.replace("/etc/mosquitto/moodify.acl", str(tmp_path / "moodify.acl"))
    assert "/etc/mosquitto" not in re.sub("#.*", "", lines)
    root = ["user root"] if os.geteuid() == 0 else []
    running.config.write_text("\n".join([*root, "log_dest stderr", lines]), encoding="utf-8")
    with running:
        yield running


@needs_mosquitto
@pytest.mark.parametrize(
    ("user", "password", "topic", "arrives"),
    [
        ("moodify", "one", "moodify/speaker/state", True),
        ("moodify", "one", "homeassistant/device/moodify-speaker/config", True),
        ("moodify", "one", "kitchen/light", False),
        ("hub", "two", "moodify/speaker/command/next", True),
        ("hub", "two", "moodify/speaker/state", False),
        ("guest", "three", "moodify/speaker/command/next", False),
    ],
)
def test_each_user_of_the_broker_writes_only_what_is_its_own(broker, user, password, topic, arrives):
    with (
        Listener(broker.port, "moodify/#", "homeassistant/#", "kitchen/#", username="hub", password="two") as hub,
        Listener(broker.port, "nothing", username=user, password=password) as writer,
    ):
        writer.publish(topic, "hello")
        # The broker gives its receipt only after it has passed the message on, or dropped it.
        with Listener(broker.port, "nothing", username="moodify", password="one") as speaker:
            speaker.publish("moodify/speaker/mood", "sad")
        hub.wait_for("moodify/speaker/mood", "sad")
        assert bool(hub.payloads(topic)) == arrives


@needs_mosquitto
def test_the_broker_lets_nobody_in_without_a_name(broker):
    answers = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    try:
        wait_until(lambda: answers, "an answer")
    finally:
        client.disconnect()
        client.loop_stop()
    assert answers[0].is_failure


def test_the_broker_listens_on_loopback_only():
    text = (FIRMWARE / "mosquitto.conf").read_text(encoding="utf-8")
    assert re.findall(r"^listener .*", text, flags=re.M) == ["listener 1883 127.0.0.1"]


# MPD


@pytest.mark.skipif(not shutil.which("mpd"), reason="not installed: mpd")
def test_mpd_runs_with_its_configuration_and_writes_the_fifo(tmp_path):
    port = free_port()
    text = (FIRMWARE / "mpd.conf").read_text(encoding="utf-8")
    text = text.replace("/var/lib/mpd", str(tmp_path)).replace("/run/mpd", str(tmp_path)).replace("6600", str(port))
    text = re.sub(r"^user .*", "", text, flags=re.M)
    (tmp_path / "music").mkdir()
    (tmp_path / "playlists").mkdir()
    (tmp_path / "mpd.conf").write_text(text, encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        player = subprocess.Popen(["mpd", "--no-daemon", "--stderr", tmp_path / "mpd.conf"], stdout=log, stderr=log)
    client = MPDClient()

    def answers():
        assert player.poll() is None, (tmp_path / "log").read_text()
        try:
            client.connect("127.0.0.1", port)
        except (OSError, MPDError):
            return False
        return True

    try:
        wait_until(answers, "MPD")
        outputs = {output["outputname"]: output["plugin"] for output in client.outputs()}
        assert outputs == {"speaker": "alsa", "moodify": "fifo"}
        assert (tmp_path / "moodify.fifo").is_fifo()
        client.disconnect()
    finally:
        player.kill()
        player.wait()


def test_mpd_and_the_speaker_name_the_same_fifo_and_folder():
    text = (FIRMWARE / "mpd.conf").read_text(encoding="utf-8")
    assert f'"{Config().microphone.own_music_fifo}"' in text
    assert f'"{Config().library.music_folder}"' in text
    assert not re.search(r"^\s*metadata_to_use", text, flags=re.M)


# scripts


@pytest.mark.parametrize("script", ["install", "uninstall", "debian-tree", "boot-test", "arm64-test", "as-speaker"])
def test_a_script_is_sound_shell(script):
    assert run("bash", "-n", ROOT / "scripts" / script).returncode == 0
    assert os.access(ROOT / "scripts" / script, os.X_OK)


@pytest.fixture
def tree(tmp_path):
    """A system tree with Debian's two servers installed and nothing else."""
    (tmp_path / "etc" / "mosquitto" / "conf.d").mkdir(parents=True)
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    return tmp_path


def test_a_dry_run_needs_no_root_and_changes_nothing(tree):
    before = sorted(tree.rglob("*"))
    said = run(ROOT / "scripts" / "install", "--dry-run", "--root", tree, cwd="/")
    assert said.returncode == 0, said.stderr
    assert "would run: install -D -m 644" in said.stdout and "nothing was changed" in said.stdout
    said = run(ROOT / "scripts" / "uninstall", "--dry-run", "--purge", "--root", tree, cwd="/")
    assert said.returncode == 0, said.stderr
    assert sorted(tree.rglob("*")) == before


def test_an_option_that_is_none_shows_the_known_ones():
    for script in ("install", "uninstall", "boot-test", "arm64-test"):
        said = run(ROOT / "scripts" / script, "--frobnicate")
        assert said.returncode == 64
        assert f"scripts/{script} [" in said.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: installs into a system tree")
@pytest.mark.skipif(not shutil.which("systemctl"), reason="not installed: systemctl")
def test_installing_again_keeps_what_a_person_changed_and_uninstalling_keeps_it_too(tmp_path):
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    settings, new = tree / "etc/moodify/moodify.toml", tree / "etc/moodify/moodify.toml.new"
    install = (ROOT / "scripts" / "install", "--no-setup", "--root", tree)

    said = run(*install, cwd="/")
    assert said.returncode == 0, said.stdout + said.stderr
    assert settings.read_bytes() == (FIRMWARE / "moodify.toml").read_bytes()
    assert (tree / "opt/moodify/device/__main__.py").is_file()
    assert (tree / "etc/systemd/system/multi-user.target.wants/moodify.service").is_symlink()
    assert not (tree / "opt/moodify/.venv").exists()

    (tree / "opt/moodify/.venv").mkdir()
    settings.write_text("[camera]\nrate_hz = 2.0\n", encoding="utf-8")
    said = run(*install, cwd="/")
    assert said.returncode == 0, said.stdout + said.stderr
    assert (tree / "opt/moodify/.venv").is_dir()
    assert "rate_hz = 2.0" in settings.read_text(encoding="utf-8")
    assert not new.exists(), "nothing new came: there is nothing to put beside it"

    kept = tree / "opt/moodify-etc/_etc_moodify_moodify.toml"
    kept.write_text("# an older version\n", encoding="utf-8")
    said = run(*install, cwd="/")
    assert "changed by hand and stays" in said.stdout
    assert "rate_hz = 2.0" in settings.read_text(encoding="utf-8")
    assert new.read_bytes() == (FIRMWARE / "moodify.toml").read_bytes()

    uninstall = (ROOT / "scripts" / "uninstall", "--root", tree)
    assert run(*uninstall, cwd="/").returncode == 0
    assert settings.exists() and not (tree / "opt/moodify").exists()
    assert not (tree / "etc/systemd/system/multi-user.target.wants/moodify.service").is_symlink()
    assert run(*uninstall, "--purge", cwd="/").returncode == 0
    assert not settings.exists()
