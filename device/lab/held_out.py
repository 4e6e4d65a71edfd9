"""Makes scenes from faces and voices that were not trained on, for `moodify replay`:

    python -m device.lab.held_out --data DIR --out FOLDER [--each 10]

Every scene shows one face of FER-2013's PrivateTest, enlarged on a plain wall, while a recording with the same label
from the test part of TESS or RAVDESS is played. Faces and recordings are drawn by chance with a fixed seed, none twice,
and only faces on whose label most of the ten people of FER+ agree: others show one thing to some, another to others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from device.domain.labels import LABELS
from device.errors import run_command
from device.lab.evaluate import PRIVATE_TEST, ravdess_test, read_archive, tess_test
from device.lab.ferplus import most_voted, read_votes

SEED = 11
FACE_PIXELS = 200
"""Of 480: somebody on the sofa, a metre or two away."""
LENGTH_SECONDS = 15

SCENE = """title = "{title}"
length = {length}

[[camera]]
from = 1
to = {length}
file = "{face}"
face_pixels = {pixels}

[[microphone]]
from = 2
to = {length}
file = "{voice}"
repeat = true

[[expect]]
from = 1
to = {length}
face = "{label}"
voice = "{label}"
mood = "{label}"
"""


def make_scenes(data: Path, out: Path, each: int) -> list[Path]:
    """Write `each` scenes per label into `out`; half the voices are TESS's, half RAVDESS's."""
    rng = np.random.default_rng(SEED)
    archive = read_archive(data / "fer2013.npz")
    agreed = most_voted(read_votes(archive)) == archive["label"]
    usable = (archive["split"] == PRIVATE_TEST) & ~archive["dup_of_earlier_split"].astype(bool) & agreed
    corpora = (tess_test(data), ravdess_test(data))
    out.mkdir(parents=True, exist_ok=True)
    scenes = []
    for index, label in enumerate(LABELS):
        rows = rng.choice(np.flatnonzero(usable & (archive["label"] == index)), each, replace=False)
        voices = [rng.permutation([str(clip.path) for clip in clips if clip.label == index]) for clips in corpora]
        for number, row in enumerate(rows):
            face = out / f"{label}-{number:02}.png"
            cv2.imwrite(str(face), archive["images"][row])
            voice = voices[number % 2][number // 2]
            text = SCENE.format(
                title=f"{label} {number:02}",
                length=LENGTH_SECONDS,
                face=face.name,
                pixels=FACE_PIXELS,
                voice=Path(voice).resolve(),
                label=label,
            )
            scenes.append(face.with_suffix(".toml"))
            scenes[-1].write_text(text, encoding="utf-8")
    return scenes


def main() -> None:
    """Write the scenes and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the scenes")
    parser.add_argument("--each", type=int, default=10, help="scenes per label")
    options = parser.parse_args()
    print(f"{len(make_scenes(options.data, options.out, options.each))} scenes in {options.out}")


if __name__ == "__main__":
    sys.exit(run_command("held_out", main))
