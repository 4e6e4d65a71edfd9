"""The library's bench measures real catalogues and real files, and says how they grow."""

from __future__ import annotations

import json

from tests.test_cli import moodify


def test_each_size_is_measured_and_told() -> None:
    told = json.loads(moodify("bench", "library", "--json", "--sizes", "3000", "300", "--files", "40"))
    assert [size["tracks"] for size in told["sizes"]] == [300, 3000]
    for size in told["sizes"]:
        assert all(value > 0 for name, value in size.items() if name not in ("resident_bytes", "peak_bytes"))
        assert 37 < size["array_bytes"] / size["tracks"] < 150
    assert told["rescan"]["files"] == 40


def test_a_table_tells_how_many_times_the_smallest_a_figure_is() -> None:
    told = moodify("bench", "library", "--sizes", "100", "200", "--files", "0").splitlines()
    assert told[0].split()[:2] == ["tracks", "build"]
    assert told[2].split()[:2] == ["200", "(×2.0)"]
