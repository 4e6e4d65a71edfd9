"""Tells what is heard in music files, one line of JSON each: `python -m device.analysis FILE…`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from device.analysis.decode import UnheardTrack
from device.analysis.feeling import MODELS, hear, load
from device.errors import run_command


def main() -> int:
    """Exit status 1 when a file could not be heard."""
    parser = argparse.ArgumentParser(prog="python -m device.analysis", description=__doc__)
    parser.add_argument("file", type=Path, nargs="+")
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="folder with the models")
    parser.add_argument("--cost", action="store_true", help="tell only seconds a song (not the first) and peak memory")
    options = parser.parse_args()
    status, times = 0, []
    model = load(options.models)
    for path in options.file:
        began = time.perf_counter()
        try:
            heard = asdict(hear(path, model))
        except UnheardTrack as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        times.append(time.perf_counter() - began)
        if not options.cost:
            print(json.dumps({"file": str(path), **heard, "timbre": list(memoryview(heard["timbre"]).cast("b"))}))
    if options.cost and times:
        later = times[1:] or times
        print(json.dumps({"seconds_per_song": round(sum(later) / len(later), 3), "peak_rss_mb": _peak_mb()}))
    return status


def _peak_mb() -> float:
    """Most memory this process ever held; getrusage would count the parent's before exec."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(told.split("VmHWM:")[1].split()[0]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(run_command("device.analysis", main))
