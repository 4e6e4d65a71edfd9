"""Pairing: codes that live shortly, tokens that can be revoked, a file that two processes share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from device.errors import SetupError
from web_ui.pairing import CODE_LIFE_SECONDS, CODE_TRIES, MOST_DEVICES, TOKEN_LIFE_SECONDS, PairingStore

NOW = 1_800_000_000.0
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def store(tmp_path):
    return PairingStore(tmp_path / "state")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_a_code_of_six_digits_becomes_a_token(store):
    code = store.issue_code(NOW)
    assert len(code) == 6
    assert code.isdigit()
    token = store.redeem(code, NOW + 10, "Android, Firefox")
    assert token is not None
    assert len(token) >= 43  # 256 bits in base64
    device = store.verify(token, NOW + 20)
    assert device is not None
    assert device.name == "Android, Firefox"


def test_spaces_and_hyphens_in_a_typed_code_do_not_matter(store):
    code = store.issue_code(NOW)
    assert store.redeem(f" {code[:3]} - {code[3:]}", NOW, "phone")


def test_a_code_works_once(store):
    code = store.issue_code(NOW)
    assert store.redeem(code, NOW, "first")
    assert store.redeem(code, NOW, "second") is None


def test_a_code_runs_out_after_five_minutes(store):
    code = store.issue_code(NOW)
    assert store.redeem(code, NOW + CODE_LIFE_SECONDS + 1, "late") is None


def test_a_code_from_the_future_is_void_because_the_clock_was_set_back(store):
    assert store.redeem(store.issue_code(NOW), NOW - 3600, "phone") is None


def test_a_new_code_voids_the_one_before(store):
    first, second = store.issue_code(NOW), store.issue_code(NOW)
    if first != second:
        assert store.redeem(first, NOW, "phone") is None
    assert store.redeem(second, NOW, "phone")


def test_the_fifth_wrong_try_voids_the_code(store):
    code = store.issue_code(NOW)
    for _ in range(CODE_TRIES - 1):
        assert store.redeem(wrong(code), NOW, "guesser") is None
    assert store.redeem(wrong(code), NOW, "guesser") is None
    assert store.redeem(code, NOW, "too late") is None


def test_the_fourth_wrong_try_leaves_one(store):
    code = store.issue_code(NOW)
    for _ in range(CODE_TRIES - 1):
        assert store.redeem(wrong(code), NOW, "clumsy") is None
    assert store.redeem(code, NOW, "clumsy")


@pytest.mark.parametrize("odd", ["", "abc", "\ud800", "١٢٣٤٥٦", "1" * 4000])
def test_an_odd_code_is_a_wrong_code(store, odd):
    store.issue_code(NOW)
    assert store.redeem(odd, NOW, "odd") is None


def test_nothing_is_redeemed_where_no_code_was_made(store):
    assert store.redeem("000000", NOW, "phone") is None


def test_a_revoked_device_is_out_at_once_and_the_others_stay(store):
    mine, other = (store.redeem(store.issue_code(NOW), NOW, name) for name in ("mine", "other"))
    device = store.verify(mine, NOW)
    assert store.revoke(device.id)
    assert store.verify(mine, NOW) is None
    assert store.verify(other, NOW)
    assert not store.revoke(device.id)


def test_a_token_runs_out_after_a_year(store):
    token = store.redeem(store.issue_code(NOW), NOW, "phone")
    assert store.verify(token, NOW + TOKEN_LIFE_SECONDS + 1) is None


def test_an_unknown_token_is_nobody(store):
    store.redeem(store.issue_code(NOW), NOW, "phone")
    for token in ("", "x", "é\ud800", "0" * 64):
        assert store.verify(token, NOW) is None


def test_a_visit_is_written_down_at_most_once_an_hour(store):
    token = store.redeem(store.issue_code(NOW), NOW, "phone")
    store.verify(token, NOW + 60)
    assert store.list()[0].last_seen_at == NOW
    store.verify(token, NOW + 4000)
    assert store.list()[0].last_seen_at == NOW + 4000


def test_neither_code_nor_token_is_in_the_file_and_only_its_owner_reads_it(store, tmp_path):
    token = store.redeem(store.issue_code(NOW), NOW, "phone")
    code = store.issue_code(NOW)
    path = tmp_path / "state" / "pairing.json"
    text = path.read_text()
    assert token not in text
    assert f'"{code}"' not in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / "pairing.lock").stat().st_mode & 0o777 == 0o600
    assert {entry.name for entry in path.parent.iterdir()} == {"pairing.json", "pairing.lock"}


def test_a_broken_file_lets_nobody_in_and_a_new_code_mends_it(store, tmp_path):
    token = store.redeem(store.issue_code(NOW), NOW, "phone")
    path = tmp_path / "state" / "pairing.json"
    for broken in ("", "{", "[]", '{"code": 3, "devices": {}}', '{"code": null, "devices": [{"id": 1}]}'):
        path.write_text(broken)
        assert store.verify(token, NOW) is None
        assert store.list() == ()
    assert store.redeem(store.issue_code(NOW), NOW, "again")


def test_a_device_cannot_smuggle_control_characters_into_the_list(store):
    store.redeem(store.issue_code(NOW), NOW, "\x1b[31mred\n\u202eevil" + "x" * 100)
    name = store.list()[0].name
    assert name.startswith("[31mredevil")
    assert name.isprintable()
    assert len(name) <= 40


def test_the_longest_unseen_device_makes_room(store, tmp_path):
    first = store.redeem(store.issue_code(NOW), NOW, "first")
    path = tmp_path / "state" / "pairing.json"
    record = json.loads(path.read_text())
    record["devices"] += [
        record["devices"][0] | {"id": f"d{i}", "token_hash": str(i), "last_seen_at": NOW + 1 + i}
        for i in range(MOST_DEVICES - 1)
    ]
    path.write_text(json.dumps(record))
    assert store.redeem(store.issue_code(NOW), NOW, "one too many")
    assert len(store.list()) == MOST_DEVICES
    assert store.verify(first, NOW) is None


def elsewhere(folder: Path, expression: str) -> str:
    """What `expression` about a store `s` gives in another process."""
    script = (
        f"from pathlib import Path; from web_ui.pairing import PairingStore; s = PairingStore(Path({str(folder)!r}))"
    )
    command = [sys.executable, "-c", f"{script}; print({expression})"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_code_made_by_another_process_is_good_here_and_so_is_its_revoking(store, tmp_path):
    token = store.redeem(elsewhere(tmp_path / "state", f"s.issue_code({NOW})"), NOW, "phone")
    assert token
    assert store.verify(token, NOW)
    assert elsewhere(tmp_path / "state", "s.revoke(s.list()[0].id)") == "True"
    assert store.verify(token, NOW) is None


def test_of_many_at_once_with_the_same_code_one_gets_in(tmp_path):
    code = PairingStore(tmp_path).issue_code(NOW)
    tokens: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: tokens.append(PairingStore(tmp_path).redeem(code, NOW, "racer")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(tokens) == 8
    assert len([token for token in tokens if token]) == 1


def test_what_root_makes_belongs_to_the_folders_owner(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to give a folder away")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    PairingStore(folder).issue_code(NOW)
    assert {entry.stat().st_uid for entry in folder.iterdir()} == {12345}


def test_a_state_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"file/state: Not a directory; make it writable"):
        PairingStore(tmp_path / "file" / "state").issue_code(NOW)
