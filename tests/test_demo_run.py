"""The whole demonstration as a stranger runs it: it passes, and however it ends nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 240.0
MISSING = [name for name in ("mpd", "espeak-ng") if shutil.which(name) is None]
if shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
    MISSING.append("mosquitto")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"missing: apt install {' '.join(MISSING)}"),
]
pytest.importorskip("skimage", reason="scikit-image is missing: pip install scikit-image")


class Demo:
    """`moodify demo` in a folder of its own, all its temporary files included."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "device", "demo", "--port", "0", "--folder", str(folder / "demo"), *options],
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def read_until(self, beginning: str) -> None:
        """Read its output up to a line that begins so."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(beginning):
                return
        pytest.fail(f"no {beginning!r}: {''.join(self.lines)}")

    def end(self) -> tuple[int, str]:
        """Its exit status and all it printed."""
        rest, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, "".join(self.lines) + rest

    def left_over(self) -> list[str]:
        """Command lines of living processes that have to do with the folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (os.getpid(), self.process.pid):
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if str(self.folder) in command and "pytest" not in command.split(str(self.folder))[0]:
                    found.append(command)
        return found

    def wait_until_gone(self) -> None:
        end = time.monotonic() + 30
        while self.left_over():
            assert time.monotonic() < end, self.left_over()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all, as the music takes a while to make; short, for the sake of sockets."""
    yield tmp_path_factory.mktemp("whole")


def test_it_recognises_two_moods_and_mpd_plays_for_each(folder: Path) -> None:
    demo = Demo(folder, "--seconds", "80")
    status, output = demo.end()
    assert status == 0, output
    assert "demo: passed" in output and "page: http://127.0.0.1:" in output
    rows = {line.split()[0]: line for line in output.splitlines() if "read back" in line}
    assert {"happy", "sad"} <= set(rows)
    assert "happy 0." in rows["happy"] and "sad 0." in rows["sad"]
    demo.wait_until_gone()
    assert sorted(path.name for path in folder.iterdir()) == ["demo"]


def test_when_there_was_too_little_time_it_fails_with_the_reason(folder: Path) -> None:
    status, output = Demo(folder, "--seconds", "3").end()
    assert status == 1
    assert "demo: failed: 2 different moods were to be recognised" in output.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill-9"])
def test_nothing_is_left_when_it_is_ended(number: signal.Signals, folder: Path) -> None:
    demo = Demo(folder)
    demo.read_until("camera and microphone")
    assert len(demo.left_over()) == 3
    demo.process.send_signal(number)
    status, output = demo.end()
    assert status == (-9 if number is signal.SIGKILL else 130)
    assert "Traceback" not in output
    demo.wait_until_gone()
    if number is not signal.SIGKILL:
        assert sorted(path.name for path in folder.iterdir()) == ["demo"]


def test_a_speaker_that_dies_ends_it_with_its_last_words(folder: Path) -> None:
    demo = Demo(folder)
    demo.read_until("camera and microphone")
    (speaker,) = (
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (children := entry / "cmdline").exists()
        for command in [children.read_bytes()]
        if b"\0run\0" in command and str(folder).encode() in command
    )
    os.kill(speaker, signal.SIGKILL)
    status, output = demo.end()
    assert status == 1
    assert "demo: the speaker ended with status -9" in output.splitlines()[-1]
    demo.wait_until_gone()


def test_two_demos_do_not_share_a_folder(folder: Path) -> None:
    first = Demo(folder)
    first.read_until("music: ready")
    status, output = Demo(folder).end()
    assert status == 78
    assert output.splitlines() == [
        f"moodify: {folder / 'demo'}: another demo uses it; name another folder with --folder"
    ]
    first.process.send_signal(signal.SIGINT)
    assert first.end()[0] == 130


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_heard_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from device.demo import run

    class Dropping:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def play(*_: object) -> int:
        Dropping()
        run._pause()
        return 0

    monkeypatch.setattr(run, "_play", play)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert run.run_demo(1.0, False, None, 0, False) == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_taken_port_is_said_and_another_one_used(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        demo = Demo(folder, "--port", str(port))
        demo.read_until("page: http://")
        assert any(line.startswith(f"page: port {port} is taken") for line in demo.lines)
        demo.process.send_signal(signal.SIGINT)
        assert demo.end()[0] == 130
