#!/usr/bin/env python3
"""Trains a pruned network to give what the whole one gives, on pictures without labels.

Both are ONNX files of the same origin; the pruned one was made by sightline model prune, whose card says what the outputs are.
What both compute alike from the picture on stays as it is. The weights go back into the pruned file: its structure, names and types
do not change."""

import argparse
import collections
import concurrent.futures
import copy
import hashlib
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait leave the processor to others

import cv2
import numpy
import onnx
import torch
import yaml

import channels
import losses
import optimiser
import pictures
from network import Network, Unsupported

CARD = "sightline.card"
INSIDE = 8  # tensors inside that a step compares


class Refused(Exception):
    """The models cannot be used; the text says why and what to do."""


def load(path):
    """The model at a path and its card; None where there is none."""
    try:
        model = onnx.load(path)
    except FileNotFoundError as fault:
        raise Refused(f"read model {path}: there is no such file") from fault
    except Exception as fault:
        raise Refused(f"read model {path}: it is no ONNX ({fault})") from fault
    cards = [p.value for p in model.metadata_props if p.key == CARD]
    return model, yaml.safe_load(cards[0]) if cards else None


def open_pair(dense, pruned):
    """Teacher, student, and the student's card."""
    (teacher, _), (student, card) = load(dense), load(pruned)
    if not card or not card.get("head"):
        raise Refused(f"read model {pruned}: it has no card with a head; make it with sightline model prune")
    if card["family"] not in losses.FAMILIES:
        raise Refused(f"read model {pruned}: its family is {card['family']}: must be one of {', '.join(losses.FAMILIES)}")
    names = [name for level in card["head"] for name in level["outputs"]]
    made = {name for node in teacher.graph.node for name in node.output}
    if not made.issuperset(names):
        raise Refused(f"read model {dense}: it does not give {names[0]}, as {pruned} does; name the model that was pruned")
    teacher, student = Network(teacher, names), Network(student, names)
    for weight in teacher.parameters():
        weight.requires_grad_(False)
    return teacher, student, card


class Distillation:
    """One training run."""

    def __init__(self, teacher, student, card, seen, options):
        self.teacher, self.card, self.seen, self.options = teacher, card, seen, options
        alike, self.kept = channels.common(student, teacher, seen.plain(range(min(8, len(seen)))))
        self.student = student = Network(student.model, student.wanted, alike).to(options.device)
        self.inside = numpy.random.default_rng([options.seed, 1])
        self.average = copy.deepcopy(student.state_dict())
        self.optimiser = optimiser.Muon(student.parameters())

    def rate(self, step):
        """Share of the learning rate: it rises over 50 steps and falls along a cosine."""
        return min(1, (step + 1) / 50) * (0.01 + 0.99 * (1 + math.cos(math.pi * step / self.options.steps)) / 2)

    def measure(self, batch, kept):
        """Losses of objectness, classes, boxes, and of the tensors inside that kept names."""
        names = [*self.student.outputs, *kept]
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            theirs = self.teacher(batch, [*names, *self.student.given])
        ours = self.student({name: theirs[name] for name in self.student.given}, names)
        head = losses.head_loss(ours, theirs, self.card["head"], self.card["family"], len(self.card["labels"]))
        return torch.cat([head, torch.as_tensor(losses.feature_loss(ours, theirs, kept), device=head.device).reshape(1)])

    def some(self):
        """A few of the tensors inside, others at every step: all at once take as long as the networks."""
        names = sorted(self.kept)
        return {names[i]: self.kept[names[i]] for i in self.inside.choice(len(names), min(len(names), INSIDE), replace=False)}

    def step(self, number, batch):
        parts = self.measure(batch, self.some())
        if not parts.isfinite().all():
            raise Refused(f"step {number + 1}: the loss is no number any more; take a smaller --lr than {self.options.lr:g}")
        self.optimiser.zero_grad()
        (parts * parts.new_tensor([1, 1, 1, self.options.features])).sum().backward()
        self.optimiser.step(self.options.lr * self.rate(number))
        self.student.keep_zeros()
        fade = min(0.998, number / (number + 10))
        for name, value in self.student.state_dict().items():
            self.average[name].mul_(fade).add_(value, alpha=1 - fade)
        return parts.detach()

    def run(self, progress):
        """Trains, and leaves the averaged weights in the student."""
        for number, batch in enumerate(self.batches()):
            progress(number + 1, self.step(number, batch))
        self.student.load_state_dict(self.average)

    def batches(self):
        """A batch for every step, drawn ahead: on a GPU, which takes them faster than a thread makes them, by all threads."""
        threads = 1 if self.options.device == "cpu" else max(1, self.options.threads - 1)

        def draw(number):
            return self.seen.varied(numpy.random.default_rng([self.options.seed, 0, number]), self.options.batch)

        cv2.setNumThreads(0 if threads > 1 else -1)
        with concurrent.futures.ThreadPoolExecutor(threads) as ahead:
            coming = collections.deque()
            for number in range(self.options.steps):
                coming.append(ahead.submit(draw, number))
                if len(coming) > threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def held(self, pictures_held):
        """The loss on pictures that training does not see."""
        with torch.no_grad():
            return self.measure(pictures_held.plain(range(len(pictures_held))), self.kept)


class Progress:
    """Writes a line on stderr every few seconds."""

    def __init__(self, steps, every=10.0):
        self.steps, self.every, self.began = steps, every, time.monotonic()
        self.last, self.sum, self.count = self.began, 0, 0

    def __call__(self, number, parts):
        self.sum, self.count = self.sum + parts, self.count + 1
        now = time.monotonic()
        if now - self.last < self.every and number < self.steps:
            return
        left = (now - self.began) / number * (self.steps - number)
        said = f"step {number} of {self.steps}: {tell(self.sum / self.count)}; {left / 60:.1f} min left"
        print(said, file=sys.stderr, flush=True)
        self.last, self.sum, self.count = now, 0, 0


def tell(parts):
    names = "objectness", "classes", "boxes", "features"
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(names, parts.tolist()))


def write(path, model, card, command):
    """Writes NAME.onnx and NAME.yaml, each whole or not at all."""
    path, card = pathlib.Path(path), {**card, "command": command}
    for entry in model.metadata_props:
        if entry.key == CARD:
            entry.value = yaml.safe_dump(card, sort_keys=False, allow_unicode=True)
    data = model.SerializeToString(deterministic=True)
    beside = yaml.safe_dump({**card, "sha256": hashlib.sha256(data).hexdigest()}, sort_keys=False, allow_unicode=True)
    for name, content in ((path, data), (path.with_suffix(".yaml"), beside.encode())):
        part = name.with_name(f".{name.name}.{os.getpid()}")
        try:
            part.write_bytes(content)
            os.replace(part, name)
        finally:
            part.unlink(missing_ok=True)


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dense", required=True, help="the model that was pruned, as it was before")
    p.add_argument("--images", required=True, help="folder of pictures; labels are not looked at")
    p.add_argument("pruned")
    p.add_argument("out")
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--batch", type=int, default=2, help="pictures a step")
    p.add_argument("--lr", type=float, default=0.0005, help="greatest step of a tensor's weights, as a share of their size")
    p.add_argument("--features", type=float, default=3.0, help="weight of the tensors inside beside the outputs")
    p.add_argument("--hold", type=int, default=8, help="pictures that are only measured")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--device", default="cpu", help="cpu, or cuda where PyTorch has it; with more pictures a step, such as --batch 16")
    return p.parse_args(argv)


def check(o):
    if not o.out.endswith(".onnx"):
        raise Refused(f"write model {o.out}: its name must end in .onnx")
    if o.steps < 0 or o.batch < 1 or o.hold < 0:
        raise Refused("--steps and --hold must be from 0 on, --batch from 1")
    try:
        torch.zeros(1, device=o.device)
    except (RuntimeError, AssertionError) as fault:
        raise Refused(f"--device {o.device}: PyTorch cannot use it ({str(fault).splitlines()[0]}); leave it out for the processor") from fault


def main(argv=None):
    o = arguments(argv)
    check(o)
    torch.set_num_threads(max(2, o.threads))  # with one, PyTorch takes a slow path for 1x1 convolutions of small batches
    torch.manual_seed(o.seed)
    teacher, student, card = open_pair(o.dense, o.pruned)
    teacher, student = teacher.to(o.device), student.to(o.device)
    paths = pictures.find(o.images)
    held = paths[::max(1, len(paths) // o.hold)][:o.hold] if o.hold and len(paths) > 2 * o.hold else []
    seen = pictures.Pictures([p for p in paths if p not in set(held)], card["input"], o.device)
    run = Distillation(teacher, student, card, seen, o)
    held = pictures.Pictures(held, card["input"], o.device)
    before = run.held(held) if len(held) else None
    if len(held):
        print(f"before: {tell(before)}", file=sys.stderr)
    run.run(Progress(o.steps))
    if len(held):
        print(f"after: {tell(run.held(held))}", file=sys.stderr)
    write(o.out, run.student.write_back(), card, f"{card['command']}; {command(o)}")


def command(o):
    """What makes the same file again, without the places where files lay."""
    flags = " ".join(f"--{name} {getattr(o, name):g}" for name in ("steps", "batch", "lr", "features", "hold", "seed"))
    dense, images, pruned, out = (os.path.basename(os.path.normpath(path)) for path in (o.dense, o.images, o.pruned, o.out))
    return f"tools/finetune/distill.py --dense {dense} --images {images} {flags} {pruned} {out}"


if __name__ == "__main__":
    try:
        main()
    except (Refused, Unsupported, pictures.NoPictures) as fault:
        sys.exit(f"distill: {fault}")
    except KeyboardInterrupt:
        sys.exit("distill: interrupted; nothing was written")
