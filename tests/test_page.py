"""The control page over real HTTP: views, commands, events, and the door."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from device.config import PageConfig
from device.domain.events import ClearOverride, PressNext, PressPause, SetOverride, SetVolume, SwitchSense
from device.domain.reading import Modality
from device.errors import SetupError
from tests.fakes_controls import FakeControls, FakeLibrary, a_snapshot
from web_ui import app as page_app
from web_ui.guard import Guard, Site, is_loopback
from web_ui.pairing import PairingStore
from web_ui.server import STREAMS, PageServer

WAIT_SECONDS = 20


@contextmanager
def serving(controls, folder, host="127.0.0.1"):
    server = PageServer(PageConfig(host=host, port=0), controls, FakeLibrary(), folder)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def controls():
    return FakeControls()


@pytest.fixture
def server(controls, tmp_path):
    with serving(controls, tmp_path) as running:
        yield running


class Client:
    """A browser's requests, one connection each."""

    def __init__(self, address: str) -> None:
        self.netloc = urlsplit(address).netloc
        self.cookie = ""

    def ask(self, method, path, body=None, headers=None, host=None):
        connection = http.client.HTTPConnection(self.netloc, timeout=WAIT_SECONDS)
        sent = {"Host": host or self.netloc} | ({"Cookie": self.cookie} if self.cookie else {}) | (headers or {})
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **how):
        return self.ask("GET", path, **how)

    def post(self, path, values=None, headers=None, **how):
        """As our own page does it."""
        ours = {"Origin": f"http://{self.netloc}", "Content-Type": "application/json"}
        return self.ask("POST", path, json.dumps(values or {}), ours | (headers or {}), **how)


@pytest.fixture
def client(server):
    return Client(server.address)


@contextmanager
def stream(netloc, headers=""):
    """The raw event stream: a socket whose lines can be read one by one."""
    host, _, port = netloc.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as raw:
        raw.sendall(f"GET /events HTTP/1.1\r\nHost: {netloc}\r\n{headers}\r\n".encode())
        with raw.makefile("rb") as lines:
            yield lines


def status_of(lines) -> int:
    return int(lines.readline().split()[1])


def next_snapshot(lines) -> dict:
    for line in lines:
        if line.startswith(b"data: {"):
            return json.loads(line.removeprefix(b"data: "))
    raise AssertionError("the stream ended")


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks the routing table
        except OSError:
            pytest.skip("this machine has no address besides loopback")
        address = probe.getsockname()[0]
    if is_loopback(address):
        pytest.skip("this machine has no address besides loopback")
    return address


# ---- views ----


def test_the_library_is_told(server):
    status, _, body = Client(server.address).ask("GET", "/library")
    told = json.loads(body)
    assert status == 200
    assert told["origins"] == {"person": 1, "tag": 12, "analysis": 7, "none": 4}
    assert told["analysis"] == {"done": 7, "total": 11, "seconds_left": 95.0, "detail": ""}
    assert told["problems"] == [{"uri": "broken/<b>song.mp3", "reason": "holds no sound"}]
    assert told["unknown_words"] == ["zesty"]


def test_the_library_is_not_told_to_a_foreign_page(server):
    status, *_ = Client(server.address).ask("GET", "/library", headers={"Sec-Fetch-Site": "cross-site"})
    assert status == 403


def test_the_page_is_html_with_headers_that_bind_it_to_itself(client):
    status, headers, body = client.get("/")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert b"Moodify" in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


def test_the_page_has_no_inline_script_no_inline_style_and_no_foreign_address(client):
    body = client.get("/")[2].decode() + client.get("/pair")[2].decode()
    assert " style=" not in body
    assert "<style" not in body
    assert "://" not in body.replace("http://www.w3.org/2000/svg", "")
    assert body.count("<script") == body.count('<script type="module" src="/static/')


def test_static_files_are_checked_again_each_time(client):
    status, headers, _ = client.get("/static/page.css")
    assert status == 200
    assert headers["Cache-Control"] == "no-cache"
    assert client.get("/static/page.css", headers={"If-None-Match": headers["Etag"]})[0] == 304


def test_the_snapshot_is_json_of_the_newest(client, controls):
    controls.push(a_snapshot("sad"))
    status, headers, body = client.get("/snapshot")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["mood"] == "sad"
    assert json.loads(body)["reason"] == "face sad 0.71, voice ignored: own music"


def test_health_is_told_to_anyone(client):
    assert client.get("/healthz")[0] == 200


def test_an_unknown_page_is_one_line_of_json(client):
    status, _, body = client.get("/nothing")
    assert status == 404
    assert json.loads(body) == {"error": "Not Found: /nothing"}


# ---- events ----


def test_the_stream_begins_with_what_is_and_goes_on_with_what_changes(client, controls):
    with stream(client.netloc) as lines:
        assert status_of(lines) == 200
        assert next_snapshot(lines)["mood"] == "happy"
        controls.push(a_snapshot("angry"))
        assert next_snapshot(lines)["mood"] == "angry"
        controls.push(a_snapshot("fear"))
        assert next_snapshot(lines)["mood"] == "fear"


def test_an_event_carries_the_sequence_as_its_id(client, controls):
    sequence = controls.push(a_snapshot("sad")).sequence
    with stream(client.netloc) as lines:
        assert f"id: {sequence}".encode() in [lines.readline().strip() for _ in range(20)]


def test_a_quiet_stream_shows_that_it_lives(client, monkeypatch):
    monkeypatch.setattr(page_app, "HEARTBEAT_SECONDS", 0.1)
    with stream(client.netloc) as lines:
        assert b": here" in [lines.readline().strip() for _ in range(25)]


def test_too_many_streams_are_refused_politely_and_commands_still_work(client, controls):
    opened = [stream(client.netloc) for _ in range(STREAMS)]
    try:
        for context in opened:
            assert status_of(context.__enter__()) == 200
        status, headers, _ = client.get("/events")
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert client.post("/command/next")[0] == 202
    finally:
        for context in opened:
            context.__exit__(None, None, None)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with stream(client.netloc) as lines:
            if status_of(lines) == 200:
                return
        time.sleep(0.1)
    pytest.fail("the places of closed streams were not given back")


def test_a_head_request_for_the_stream_does_not_hold_a_thread(client):
    for _ in range(STREAMS + 5):
        assert client.ask("HEAD", "/events")[0] == 200


# ---- commands ----


@pytest.mark.parametrize(
    ("name", "values", "command"),
    [
        ("override", {"mood": "sad", "minutes": 15}, SetOverride("sad", 900.0)),
        ("clear-override", {}, ClearOverride()),
        ("pause", {}, PressPause()),
        ("volume", {"percent": 35}, SetVolume(35)),
        ("sense", {"modality": "face", "on": False}, SwitchSense(Modality.FACE, False)),
    ],
)
def test_a_command_reaches_the_controls(client, controls, name, values, command):
    status, _, body = client.post(f"/command/{name}", values)
    assert (status, json.loads(body)) == (202, {"accepted": True})
    assert controls.asked == [(command, "page")]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("dance", b"{}"),
        ("volume", b'{"percent": 101}'),
        ("override", b'{"mood": "bored"}'),
        ("override", b'{"mood": "sad", "minutes": NaN}'),
        ("pause", b"{"),
        ("pause", b"\xff\xfe"),
        ("pause", b"[" * 4000),
    ],
)
def test_a_wrong_command_is_one_line_and_changes_nothing(client, controls, name, body):
    headers = {"Origin": f"http://{client.netloc}", "Content-Type": "application/json"}
    status, _, answer = client.ask("POST", f"/command/{name}", body, headers)
    assert status == 400
    assert "\n" not in json.loads(answer)["error"]
    assert controls.asked == []


def test_a_body_too_long_is_refused(client, controls):
    for length in (5_000, 100_000):
        assert client.post("/command/pause", {"x": "y" * length})[0] == 413
    assert controls.asked == []


def test_a_command_is_not_done_by_get(client, controls):
    assert client.get("/command/next")[0] == 405
    assert controls.asked == []


# ---- the door ----


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "", "Referer": "http://evil.example/127.0.0.1"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_request_of_another_site_changes_nothing(client, controls, headers):
    assert client.post("/command/next", headers=headers)[0] == 403
    assert client.post("/pair", {"code": "123456"}, headers=headers)[0] == 403
    assert controls.asked == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_foreign_form_could_send_changes_nothing(client, controls, kind):
    assert client.post("/command/next", headers={"Content-Type": kind})[0] == 415
    assert controls.asked == []


def test_a_browser_that_vouches_for_the_page_is_believed(client, controls):
    assert client.post("/command/next", headers={"Sec-Fetch-Site": "same-origin"})[0] == 202
    referer = {"Origin": "", "Referer": f"http://{client.netloc}/"}
    assert client.post("/command/next", headers=referer)[0] == 202
    assert [command for command, _ in controls.asked] == [PressNext(), PressNext()]


def test_another_site_gets_neither_snapshot_nor_stream(client):
    for path in ("/snapshot", "/events"):
        assert client.get(path, headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert client.get(path, headers={"Origin": "http://evil.example"})[0] == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"})[0] == 200  # a link to us is fine


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.1.5", "x@localhost"]
)
def test_a_rebound_name_is_refused_on_loopback(client, controls, host):
    for path in ("/", "/snapshot", "/events", "/healthz"):
        assert client.get(path, host=host)[0] == 421
    assert client.post("/command/next", headers={"Origin": f"http://{host}"}, host=host)[0] == 421
    assert controls.asked == []


def test_the_loopback_names_are_all_ours(client):
    for host in ("localhost", "localhost:8321", "LOCALHOST", "127.0.0.1", "[::1]:8321"):
        assert client.get("/healthz", host=host)[0] == 200


def test_on_the_network_own_names_and_addresses_are_ours(tmp_path):
    guard = Guard("0.0.0.0", PairingStore(tmp_path), host_name="speaker.home.example")
    for host in (
        "speaker:8321",
        "speaker.home.example",
        "speaker.local",
        "speaker.lan",
        "speaker.home.arpa:8321",
        "192.168.1.5:8321",
        "[fe80::1]:8321",
        "localhost",
    ):
        assert guard.host_is_ours(host), host
    for host in (
        "evil.example",
        "speaker.evil.example",
        "other.lan",
        "local",
        "",
        "a b",
        "[",
        "speaker:port",
        "speaker/path",
    ):
        assert not guard.host_is_ours(host), host


def test_only_a_neighbour_needs_a_pairing(tmp_path):
    guard = Guard("0.0.0.0", PairingStore(tmp_path))
    assert guard.admits("127.0.0.1", None, 0)
    assert guard.admits("::1", None, 0)
    assert guard.admits("::ffff:127.0.0.1", None, 0)
    for peer in ("192.168.1.7", "::ffff:192.168.1.7", "fe80::1%eth0", "", "localhost.evil.example"):
        assert not guard.admits(peer, None, 0), peer
        assert not guard.admits(peer, "guess", 0), peer


def test_the_site_is_unstated_where_nobody_says_it(tmp_path):
    guard = Guard("127.0.0.1", PairingStore(tmp_path))
    assert guard.site_of({}, "localhost") is Site.UNSTATED
    assert guard.site_of({"Origin": "http://LOCALHOST:8321"}, "localhost:8321") is Site.OURS


# ---- pairing over the network ----


@pytest.fixture
def neighbour(controls, tmp_path):
    """A client on the network, where the page asks for pairing."""
    address = own_address()
    with serving(controls, tmp_path, host="0.0.0.0") as server:
        yield Client(f"http://{address}:{urlsplit(server.address).port}")


def test_an_unpaired_neighbour_sees_and_changes_nothing(neighbour, controls):
    status, headers, _ = neighbour.get("/")
    assert (status, headers["Location"]) == (303, "/pair")
    assert neighbour.get("/pair")[0] == 200
    assert neighbour.get("/static/page.css")[0] == 200
    for path in ("/snapshot", "/events"):
        assert neighbour.get(path)[0] == 401
        assert neighbour.get(path, headers={"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"})[0] == 401
    assert neighbour.post("/command/next")[0] == 401
    assert controls.asked == []


def test_a_code_lets_a_neighbour_in_until_it_is_revoked(neighbour, controls, tmp_path):
    store = PairingStore(tmp_path)
    agent = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit Chrome/120 Safari"}
    status, headers, _ = neighbour.post("/pair", {"code": store.issue_code(time.time())}, headers=agent)
    assert status == 200
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie  # plain http: the browser would drop it
    assert f"Max-Age={365 * 86400}" in cookie
    neighbour.cookie = cookie.split(";")[0]
    assert neighbour.get("/")[0] == 200
    assert neighbour.get("/pair")[0] == 303
    assert neighbour.post("/command/next")[0] == 202
    assert controls.asked == [(PressNext(), "page")]
    assert [device.name for device in store.list()] == ["Android, Chrome"]
    assert store.revoke(store.list()[0].id)
    assert neighbour.post("/command/next")[0] == 401
    assert len(controls.asked) == 1


def test_a_wrong_code_gives_no_cookie(neighbour, tmp_path):
    code = PairingStore(tmp_path).issue_code(time.time())
    for wrong in (f"{(int(code) + 1) % 1_000_000:06}", "", "x" * 100):
        status, headers, body = neighbour.post("/pair", {"code": wrong})
        assert status == 403
        assert "Set-Cookie" not in headers
        assert "moodify pair" in json.loads(body)["error"]
    assert neighbour.post("/pair", {})[0] == 400
    assert neighbour.post("/pair", [])[0] == 400


def test_an_open_stream_ends_when_its_device_is_revoked(neighbour, tmp_path, monkeypatch):
    monkeypatch.setattr(page_app, "HEARTBEAT_SECONDS", 0.1)
    store = PairingStore(tmp_path)
    token = store.redeem(store.issue_code(time.time()), time.time(), "phone")
    with stream(neighbour.netloc, f"Cookie: moodify={token}\r\n") as lines:
        assert next_snapshot(lines)["mood"] == "happy"
        store.revoke(store.list()[0].id)
        assert lines.read().endswith(b"0\r\n\r\n")


# ---- the server ----


def test_a_port_in_use_is_one_line_that_names_it(controls, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"^page\.port {port}: already in use; "):
            PageServer(PageConfig(port=port), controls, FakeLibrary(), tmp_path).start()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "192.168.1..5"])
def test_an_address_that_is_not_ours_is_one_line_that_names_it(controls, tmp_path, host):
    with pytest.raises(SetupError, match=r"^page\.host .*; use 127\.0\.0\.1"):
        PageServer(PageConfig(host=host, port=0), controls, FakeLibrary(), tmp_path).start()


def test_closing_ends_open_streams_and_frees_the_port(controls, tmp_path):
    server = PageServer(PageConfig(port=0), controls, FakeLibrary(), tmp_path)
    server.start()
    address = urlsplit(server.address)
    with stream(address.netloc) as lines:
        assert next_snapshot(lines)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 8
    with pytest.raises(OSError):
        socket.create_connection((address.hostname, address.port), timeout=2)
    again = PageServer(PageConfig(port=address.port), controls, FakeLibrary(), tmp_path)
    again.start()
    again.close()
    again.close()
