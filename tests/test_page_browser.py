"""The control page in a real Chromium at phone size."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from device.config import PageConfig
from device.domain.events import (
    ClearOverride,
    CorrectMood,
    ForgetNeutral,
    ForgetTaste,
    LearnNeutral,
    NotNow,
    PressNext,
    PressPause,
    RateSong,
    SenseState,
    SetGoal,
    SetOverride,
    SetVolume,
    SwitchSense,
    TurnDownOffer,
)
from device.domain.goal import Goal
from device.domain.labels import LABELS
from device.domain.player import PlayState
from device.domain.reading import Modality
from device.domain.snapshot import NeutralView
from tests.fakes_controls import FakeControls, FakeLibrary, a_snapshot, overridden
from web_ui.pairing import PairingStore
from web_ui.server import PageServer

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
expect = playwright_api.expect
expect.set_options(timeout=20_000)
ROOT = Path(__file__).resolve().parent.parent
PHONE = {"width": 390, "height": 844}
SONG = a_snapshot().player.uri


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def controls():
    return FakeControls()


@pytest.fixture
def server(controls, tmp_path):
    running = PageServer(PageConfig(port=0), controls, FakeLibrary(), tmp_path)
    running.start()
    yield running
    running.close()


@pytest.fixture
def tab(browser):
    """An empty tab; at the end it must have complained of nothing and asked no other host."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    asked: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.expected_complaints = ()
    yield page
    context.close()
    assert [line for line in complaints if not any(known in line for known in page.expected_complaints)] == []
    assert {urlsplit(url).hostname for url in asked} <= {"127.0.0.1"}


@pytest.fixture
def page(tab, server):
    """The page, live."""
    tab.goto(server.address)
    expect(tab.locator("body")).to_have_attribute("data-link", "live")
    return tab


def test_the_page_shows_mood_reason_and_song(page):
    expect(page.locator("#mood")).to_have_text("Happy")
    expect(page.locator("#reason")).to_have_text("face happy 0.71, voice ignored: own music")
    expect(page.locator("#facts")).to_have_text("56 % sure · for 4 min")
    expect(page.locator("#title")).to_have_text("Morning on the Balcony")
    expect(page.locator("#artist")).to_have_text("The Kitchen Quartet · Small Hours")
    expect(page.locator("#why")).to_have_text("Chosen for happy")
    expect(page.locator("#upcoming")).to_have_text("Next: Lemon Tree Rag · Ida Holm")
    expect(page.locator("#volume")).to_have_value("40")
    expect(page.locator("[data-bar=happy] .time")).to_have_text("56 %")
    expect(page).to_have_title("Happy · Moodify")


def test_the_page_follows_the_speaker_without_being_asked(page, controls):
    for mood in ("sad", "unknown", "fear"):
        controls.push(a_snapshot(mood))
        expect(page.locator("#mood")).to_have_text(mood.capitalize())
        expect(page.locator("body")).to_have_attribute("data-mood", mood)


def test_several_people_and_what_they_make_of_the_mood_are_told(page, controls):
    controls.push(a_snapshot("happy", people=3))
    expect(page.locator("#facts")).to_have_text("56 % sure · 3 people · for 4 min")
    expect(page.locator("#sense-face-state")).to_have_text("On, sees 3 people, together happy 0.71")
    controls.push(a_snapshot("mixed", people=2, disagreement=0.6, reason="faces differ: happy, sad"))
    expect(page.locator("#mood")).to_have_text("Mixed")
    expect(page.locator("body")).to_have_attribute("data-mood", "mixed")
    expect(page.locator("#facts")).to_have_text("2 people · for 4 min")
    expect(page.locator("#reason")).to_have_text("faces differ: happy, sad")
    expect(page.locator(".bars .top-one")).to_have_count(0)


def test_the_neutral_face_is_learned_before_ones_eyes_and_forgotten_after_a_second_thought(page, controls):
    page.locator("#neutral-learn").click()
    assert controls.wait_for_command(LearnNeutral())
    controls.push(a_snapshot(neutral=NeutralView(False, 5.0)))
    expect(page.locator("#neutral-words")).to_have_text("Look at the camera, face at rest …")
    expect(page.locator("#neutral-progress")).to_have_js_property("value", 15)
    page.get_by_role("button", name="Stop").click()
    assert controls.wait_for_command(ForgetNeutral())
    controls.push(a_snapshot(neutral=NeutralView(False, None, "the camera went off")))
    expect(page.locator("#neutral-words")).to_have_text("Not learned: the camera went off.")
    expect(page.locator("#neutral-forget")).to_be_hidden()
    controls.push(a_snapshot(neutral=NeutralView(True)))
    expect(page.locator("#neutral-words")).to_have_text("It knows how your faces look at rest.")
    page.once("dialog", lambda dialog: dialog.dismiss())
    before = len(controls.asked)
    page.get_by_role("button", name="Forget it", exact=True).click()
    assert len(controls.asked) == before
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget it", exact=True).click()
    expect(page.locator("#toast")).to_have_text("Forgotten.")
    assert len(controls.asked) == before + 1


def test_a_goal_is_set_and_shown(page, controls):
    expect(page.get_by_label("Match")).to_be_checked()
    page.get_by_text("Lift", exact=True).click()
    assert controls.wait_for_command(SetGoal(Goal.LIFT))
    controls.push(a_snapshot("sad", goal=Goal.LIFT, quiet=True))
    expect(page.get_by_label("Lift", exact=True)).to_be_checked()
    expect(page.locator("#goal-words")).to_contain_text("song by song. · quiet hours")


def test_a_way_out_is_offered_and_can_be_turned_down(page, controls):
    expect(page.locator("#offer")).to_be_hidden()
    controls.push(a_snapshot("sad", offer=Goal.LIFT))
    page.get_by_role("button", name="No, thanks").click()
    assert controls.wait_for_command(TurnDownOffer())
    page.get_by_role("button", name="Lift me").click()
    assert controls.wait_for_command(SetGoal(Goal.LIFT))


def test_a_song_can_be_sent_away_for_this_mood_and_corrected(page, controls):
    page.get_by_role("button", name="Not in this mood").click()
    assert controls.wait_for_command(NotNow(SONG))
    page.get_by_label("How this song feels").select_option("sad")
    assert controls.wait_for_command(CorrectMood("sad", SONG))
    expect(page.locator("#toast")).to_have_text("Noted: this song is sad.")


def test_the_keyboard_looks_through_the_moods_of_a_song_before_it_says_one(page, controls):
    page.locator("#correct").focus()
    page.keyboard.press("ArrowDown")
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    assert not controls.asked
    page.keyboard.press("Enter")
    assert controls.wait_for_command(CorrectMood("sad", SONG))
    assert len(controls.asked) == 1


def test_what_was_learned_is_forgotten_only_after_a_second_thought(page, controls):
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Forget what it learned").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget what it learned").click()
    assert controls.wait_for_command(ForgetTaste(""))
    assert len(controls.asked) == 1


def test_the_library_shows_progress_problems_and_unknown_words(page):
    expect(page.locator("#library-moods")).to_have_text(
        "How they feel: 12 by their tags, 7 by listening, 1 by your word, 4 not known yet."
    )
    expect(page.locator("#listening-words")).to_have_text(
        "Listening to songs without a mood: 7 of 11 · about 2 min left"
    )
    page.get_by_text("1 file could not be read").click()
    expect(page.locator("#problem-list")).to_have_text("broken/<b>song.mp3: holds no sound")
    page.get_by_text("1 mood word nobody knows").click()
    expect(page.locator("#unknown-words")).to_have_text("zesty")


def test_the_song_moves_on_between_two_snapshots(page):
    expect(page.locator("#elapsed")).not_to_have_text("1:11")


def test_a_mood_button_sets_the_override_for_the_chosen_time(page, controls):
    page.get_by_text("15 min", exact=True).click()
    page.get_by_role("button", name="Sad").click()
    assert controls.wait_for_command(SetOverride("sad", 900.0))
    controls.push(overridden("sad", 900.0))
    expect(page.get_by_role("button", name="Sad")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#override-left")).to_contain_text("15 min left")
    page.get_by_role("button", name="Cancel").click()
    assert controls.wait_for_command(ClearOverride())
    controls.push(a_snapshot("happy"))
    expect(page.locator("#override-bar")).to_be_hidden()


def test_every_label_has_its_button(page, controls):
    for label in LABELS:
        page.get_by_role("button", name=label.capitalize(), exact=True).click()
        assert controls.wait_for_command(SetOverride(label, 3600.0))


def test_a_switch_turns_the_camera_off_and_shows_what_became_of_it(page, controls):
    camera = page.get_by_role("switch", name="Camera")
    expect(camera).to_have_attribute("aria-checked", "true")
    camera.click()
    assert controls.wait_for_command(SwitchSense(Modality.FACE, False))
    base = a_snapshot()
    off = replace(base.senses[0], state=SenseState.OFF, label="unknown", weight=0.0)
    controls.push(replace(base, senses=(off, base.senses[1])))
    expect(camera).to_have_attribute("aria-checked", "false")
    expect(page.locator("#sense-face-state")).to_have_text("Off")
    lost = replace(off, state=SenseState.LOST, detail="/dev/video0: no such device")
    controls.push(replace(base, senses=(lost, base.senses[1])))
    expect(page.locator("#sense-face-state")).to_have_text("Not there, tried again: /dev/video0: no such device")


def test_the_music_buttons_reach_the_speaker(page, controls):
    page.get_by_role("button", name="Next song").click()
    assert controls.wait_for_command(PressNext())
    page.get_by_role("button", name="Pause").click()
    assert controls.wait_for_command(PressPause())
    page.get_by_role("button", name="I like this song").click()
    assert controls.wait_for_command(RateSong(True, SONG))
    expect(page.locator("#toast")).to_have_text("Noted: you like this one.")
    page.get_by_role("button", name="I do not like this song").click()
    assert controls.wait_for_command(RateSong(False, SONG))


def test_the_volume_slider_reaches_the_speaker_from_the_keyboard(page, controls):
    page.get_by_role("slider", name="Volume").focus()
    page.keyboard.press("ArrowRight")
    assert controls.wait_for_command(SetVolume(41))
    expect(page.locator("#volume-text")).to_have_text("41 %")


def test_a_title_with_markup_is_shown_as_text(page, controls):
    title = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
    base = a_snapshot()
    player = replace(base.player, title=title, artist=title, next_title=title, why=title, detail=title)
    controls.push(replace(base, player=player, reason=title, broker_connected=False, broker_detail=title))
    expect(page.locator("#title")).to_have_text(title)
    expect(page.locator("#reason")).to_have_text(title)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    expect(page).to_have_title("Happy · Moodify")


def test_lost_neighbours_are_named(page, controls):
    base = a_snapshot("unknown")
    gone = replace(
        base.player,
        connected=False,
        detail="127.0.0.1:6600: Connection refused",
        state=PlayState.STOP,
        title="",
        uri="",
    )
    gone = replace(gone, volume_percent=None)
    controls.push(
        replace(
            base, player=gone, broker_connected=False, broker_detail="refused", catalogue_detail="the folder is empty"
        )
    )
    expect(page.locator("#player-trouble")).to_have_text(
        "The music player cannot be reached: 127.0.0.1:6600: Connection refused"
    )
    expect(page.locator("#broker-trouble")).to_have_text("The smart home is not connected: refused")
    expect(page.locator("#catalogue-trouble")).to_have_text("The music library: the folder is empty")
    expect(page.locator("#play")).to_be_disabled()
    expect(page.locator("#volume-row")).to_be_hidden()
    controls.push(a_snapshot())
    for trouble in ("#player-trouble", "#broker-trouble", "#catalogue-trouble"):
        expect(page.locator(trouble)).to_be_hidden()


def test_a_lost_connection_is_shown_and_found_again(page, server, controls, tmp_path):
    page.expected_complaints = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    port = urlsplit(server.address).port
    server.close()
    expect(page.locator("#lost")).to_be_visible()
    page.get_by_role("button", name="Next song").click()
    expect(page.locator("#toast")).to_have_text("Not done: the speaker cannot be reached.")
    again = PageServer(PageConfig(port=port), controls, FakeLibrary(), tmp_path)
    again.start()
    try:
        controls.push(a_snapshot("angry"))
        expect(page.locator("#mood")).to_have_text("Angry")
        expect(page.locator("#lost")).to_be_hidden()
    finally:
        page.goto("about:blank")
        again.close()


def test_a_speaker_that_does_not_answer_is_not_called_live_and_what_was_asked_is_given_up(tab, tmp_path):
    """As on bad Wi-Fi: the speaker's process stands still, its connections stay open."""
    tab.expected_complaints = ("ERR_",)
    program = """
import sys, time
from pathlib import Path
from device.config import PageConfig
from tests.fakes_controls import FakeControls, FakeLibrary
from web_ui.server import PageServer
server = PageServer(PageConfig(port=0), FakeControls(), FakeLibrary(), Path(sys.argv[1]))
server.start()
print(server.address, flush=True)
time.sleep(600)
"""
    speaker = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        tab.goto(speaker.stdout.readline().strip())
        expect(tab.locator("body")).to_have_attribute("data-link", "live")
        speaker.send_signal(signal.SIGSTOP)
        tab.get_by_role("button", name="Next song").click()
        expect(tab.locator("#toast")).to_have_text("Not done: the speaker cannot be reached.")
        tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # out of the pocket
        expect(tab.locator("#link")).to_have_text("connecting")
        elapsed = tab.locator("#elapsed").inner_text()
        expect(tab.locator("#lost")).to_be_visible()
        assert tab.locator("#elapsed").inner_text() == elapsed
        speaker.send_signal(signal.SIGCONT)
        expect(tab.locator("body")).to_have_attribute("data-link", "live")
    finally:
        tab.goto("about:blank")
        speaker.kill()
        speaker.wait()


@pytest.mark.parametrize(
    ("width", "text_percent"), [(320, 100), (360, 200), (390, 100), (390, 150), (390, 200), (768, 200), (1280, 100)]
)
def test_the_page_never_scrolls_sideways_however_large_its_text(page, controls, width, text_percent):
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate(f"document.documentElement.style.fontSize = '{text_percent}%'")
    base = a_snapshot()
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
    player = replace(base.player, title=long, artist=long, album=long, next_title=long, detail=long)
    controls.push(replace(base, player=player, reason=long, broker_connected=False, broker_detail=long))
    expect(page.locator("#title")).to_have_text(long)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_that_can_be_touched_is_large_enough(page, controls):
    controls.push(overridden("sad", 900.0))
    expect(page.locator("#override-bar")).to_be_visible()
    for target in page.locator("button:visible, input[type=range]:visible, .durations label").all():
        box = target.bounding_box()
        assert box["width"] >= 44, target.inner_html()
        assert box["height"] >= 44, target.inner_html()


def test_a_code_in_the_browser_opens_the_page(tab, controls, tmp_path, monkeypatch):
    # Where everyone is local nobody is asked, so this door is told to take loopback for the network.
    monkeypatch.setattr("web_ui.guard.is_loopback", lambda host: False)
    tab.expected_complaints = ("403",)
    server = PageServer(PageConfig(port=0), controls, FakeLibrary(), tmp_path)
    server.start()
    try:
        tab.goto(server.address)
        expect(tab).to_have_url(f"{server.address}/pair")
        code = PairingStore(tmp_path).issue_code(time.time())
        tab.get_by_label("Code").fill(f"{(int(code) + 1) % 1_000_000:06}")
        tab.get_by_role("button", name="Pair").click()
        expect(tab.locator("#pair-error")).to_contain_text("wrong or has run out")
        tab.goto("about:blank")
        tab.goto(f"{server.address}/pair#{code}")
        tab.get_by_role("button", name="Pair").click()
        expect(tab).to_have_url(f"{server.address}/")
        expect(tab.locator("#mood")).to_have_text("Happy")
    finally:
        tab.goto("about:blank")
        server.close()
