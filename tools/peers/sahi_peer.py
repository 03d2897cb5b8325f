#!/usr/bin/env python3
"""Measures detection in tiles by SAHI and by `sightline detect --tiles grid` on the same pictures, model and processors.

Time is from the JPEG file to the last box, without starting a process or loading a model. SAHI runs the float model in ONNX Runtime as
its users would, one look after another, each with all threads, after one picture that does not count. Sightline looks at tiles side by
side, one thread each, and reads the next picture meanwhile; what its first picture takes longer counts. All run in turns; ratios are
of one turn, and a turn in which others used the processors is taken anew. AP by pycocotools with 300 boxes a picture: the pictures
hold far more than the 100 of its default.

Below a threshold of 0.1 SAHI takes NMS at IoU 0.5 instead of its default, GREEDYNMM at IoS 0.5, which a row of its own forces; of that
one the time is not measured."""

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import numpy
import onnxruntime
import sahi
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from yolo import Family

TILE, OVERLAP = 640, 0.2  # both sides' defaults
MOST = 300  # boxes of a picture that count
BUSY = 0.04  # share of all processor time that others may take in a turn; an idle machine's own is about 0.01
SCATTER = 0.15  # ratios that lie further apart than this share of their median are named


class Yolox(DetectionModel):
    """YOLOX in ONNX Runtime for SAHI, with the letterbox, decoding and NMS of its authors."""

    def __init__(self, path, score, threads, names):
        self.threads, self.names, self.family = threads, names, Family("yolox", 416)
        self.looks, self.seconds = 0, 0.0  # of the network alone
        super().__init__(model_path=str(path), confidence_threshold=score, device="cpu")

    def load_model(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.model = onnxruntime.InferenceSession(self.model_path, options, providers=["CPUExecutionProvider"])

    def perform_inference(self, image):
        planes, corner = self.family.input(image)
        planes = planes[:, ::-1]  # SAHI gives RGB
        began = time.perf_counter()
        output = self.model.run(None, {self.model.get_inputs()[0].name: planes})[0]
        self.seconds += time.perf_counter() - began
        self.looks += 1
        self._original_predictions = self.family.objects(output, image, corner, self.confidence_threshold)

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list=None, full_shape_list=None):
        shift, shape = _only(shift_amount_list), _only(full_shape_list)
        self._object_prediction_list_per_image = [[
            ObjectPrediction(bbox=[x, y, x + width, y + height], category_id=c, category_name=self.names[c], score=score,
                             shift_amount=shift, full_shape=shape)
            for (x, y, width, height), c, score in self._original_predictions if width > 0 and height > 0]]


def _only(pairs):
    """Of one picture: SAHI hands on a pair, or a list with one."""
    return pairs[0] if isinstance(pairs[0], (list, tuple)) else pairs


class Sahi:
    """A row of the table: SAHI, with the postprocess it takes itself or the one it has by default."""

    def __init__(self, name, forced, truth, o, threads):
        self.name, self.forced, self.truth, self.folder = name, forced, truth, o.data / "images"
        self.categories = sorted(truth.cats)
        self.model = Yolox(o.model, o.conf, threads, [truth.cats[c]["name"] for c in self.categories])
        self.detect(next(iter(truth.imgs.values())))  # does not count
        self.looks, self.model.seconds, self.seconds = self.model.looks, 0.0, 0.0

    def detect(self, image):
        return get_sliced_prediction(
            str(self.folder / image["file_name"]), self.model, slice_height=TILE, slice_width=TILE, overlap_height_ratio=OVERLAP,
            overlap_width_ratio=OVERLAP, perform_standard_pred=True, verbose=0, force_postprocess_type=self.forced)

    def run(self):
        """Results in COCO form and seconds a picture."""
        began = time.perf_counter()
        predictions = {number: self.detect(image) for number, image in self.truth.imgs.items()}
        took = time.perf_counter() - began
        self.seconds += took
        return [self.result(number, p) for number, s in predictions.items() for p in s.object_prediction_list], took / len(predictions)

    def result(self, number, p):
        return {"image_id": number, "category_id": self.categories[p.category.id], "bbox": p.bbox.to_xywh(), "score": float(p.score.value)}


class Sightline:
    """A row of the table: the program, with one model."""

    def __init__(self, name, model, truth, o, folder):
        self.command = [o.sightline, "detect", "--json", "--tiles", "grid", "--conf", str(o.conf), "--model", str(model)]
        self.name, self.truth, self.out, self.data = name, truth, folder / "results.json", folder
        picture = o.data / "images" / next(iter(truth.imgs.values()))["file_name"]
        self.looks = self.json(str(picture))[0]["tiles"]["run"]

    def json(self, *more):
        return json.loads(subprocess.run([*self.command, *more], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)

    def run(self):
        summary = self.json("--data", str(self.data), "--coco", str(self.out))
        found = [r for r in json.loads(self.out.read_text()) if r["image_id"] in self.truth.imgs]
        return found, summary["seconds"] / summary["images"]


def repeated(truth, data, times, folder):
    """Makes the folder hold every picture so many times, so that what starts once weighs little; the first time with its number."""
    (folder / "images").symlink_to((data / "images").resolve())
    images, step = list(truth.imgs.values()), max(truth.imgs) + 1
    images = [{**image, "id": image["id"] + i * step} for i in range(times) for image in images]
    (folder / "instances.json").write_text(json.dumps({**truth.dataset, "images": images, "annotations": []}))


def accuracy(truth, found):
    """AP, AP50 and AP of small objects. (COCOeval.summarize gives -1 where 100 is not among the limits.)"""
    if not found:
        return {"ap": 0.0, "ap50": 0.0, "ap_small": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        e = COCOeval(truth, truth.loadRes(found), "bbox")
        e.params.maxDets = [1, 10, MOST]
        e.evaluate(), e.accumulate()
    every, small = e.eval["precision"][..., 0, -1], e.eval["precision"][..., 1, -1]
    return {name: float(numpy.mean(p[p > -1])) for name, p in (("ap", every), ("ap50", every[0]), ("ap_small", small))}


def measure(o, threads):
    """The rows of one number of threads: name -> figures."""
    cv2.setNumThreads(threads)
    logging.disable(logging.WARNING)  # SAHI says for each picture that it takes another postprocess
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(o.data / "instances.json"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        repeated(truth, o.data, o.repeat, folder)
        forced = Sahi("SAHI, float, GREEDYNMM forced", True, truth, o, threads)
        rows = [Sahi("SAHI, float", False, truth, o, threads), Sightline("sightline, float", o.model, truth, o, folder),
                Sightline("sightline, int8", o.int8, truth, o, folder)]
        measured = figures(rows, truth, turns(rows, o.rounds, time.monotonic() + o.patience))
        measured["rows"][forced.name] = {**accuracy(truth, forced.run()[0]), "looks": forced.looks}
        return measured


def turns(rows, rounds, until):
    """(name -> results and seconds, share of others) of turns that nobody disturbed, or of any when the patience is over."""
    taken = []
    while len(taken) < rounds:
        wait_for_quiet(until)
        before = processor_time()
        turn = {row.name: row.run() for row in (rows if len(taken) % 2 == 0 else reversed(rows))}
        busy = others(before, processor_time())
        if busy <= BUSY or time.monotonic() > until:
            taken.append((turn, busy))
        else:
            print(f"others took {100 * busy:.0f} % of the processors: once more", file=sys.stderr, flush=True)
    return taken


def wait_for_quiet(until):
    busy = 1.0
    while busy > BUSY and time.monotonic() < until:
        before = processor_time()
        time.sleep(2)
        busy = others(before, processor_time())


def processor_time():
    """Seconds of all processors since the machine's start, those of them without work, and those of this process and what it ran."""
    with open("/proc/stat") as f:
        ticks = [int(n) / os.sysconf("SC_CLK_TCK") for n in f.readline().split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4], sum(os.times()[:4])


def others(before, after):
    every, idle, own = (b - a for a, b in zip(before, after))
    return max(0.0, every - idle - own) / every


def figures(rows, truth, taken):
    """What to show: "others" and name -> figures."""
    seconds = {row.name: [turn[row.name][1] for turn, _ in taken] for row in rows}
    shown = {}
    for row in rows:
        found = taken[-1][0][row.name][0]
        shown[row.name] = {**accuracy(truth, found), "looks": row.looks, "ms": [1000 * s for s in seconds[row.name]],
                           "faster": [a / b for a, b in zip(seconds[rows[0].name], seconds[row.name])]}
        if isinstance(row, Sahi):  # what is left is cutting, letterbox, decoding and merging, in Python
            shown[row.name]["network"] = row.model.seconds / row.seconds
    return {"others": [busy for _, busy in taken], "rows": shown}


def on_processors(threads, work, *arguments):
    """Calls in a fresh process that has so many processors; so have all that it starts."""
    every = os.sched_getaffinity(0)
    if threads > len(every):
        raise SystemExit(f"--threads {threads}: this machine lends {len(every)} processors")
    os.sched_setaffinity(0, sorted(every)[:threads])
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(work, arguments)
    finally:
        os.sched_setaffinity(0, every)


def show(threads, measured):
    rows = measured["rows"]
    print(f"\n| threads: {threads} | AP | AP50 | AP small | looks | ms a picture | pictures a second | times as fast as SAHI |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['ap']:.3f} | {row['ap50']:.3f} | {row['ap_small']:.3f} | {row['looks']} | {times(row)} |", flush=True)
    for name, row in rows.items():
        if "network" in row:
            print(f"{name}: {100 * row['network']:.0f} % of the time is ONNX Runtime's")
        if "faster" in row and max(row["faster"]) - min(row["faster"]) > SCATTER * statistics.median(row["faster"]):
            print(f"{name}: the turns lie more than {100 * SCATTER:.0f} % apart")
    print(f"others took at most {100 * max(measured['others']):.0f} % of the processors")


def times(row):
    if "ms" not in row:
        return "| |"
    ms, faster = statistics.median(row["ms"]), row["faster"]
    return f"{ms:.0f} | {1000 / ms:.2f} | {statistics.median(faster):.2f} ({min(faster):.2f} to {max(faster):.2f})"


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = pathlib.Path(__file__).resolve().parents[2] / "models"
    p.add_argument("--data", type=pathlib.Path, required=True, help="folder in COCO form (images/, instances.json) with large pictures")
    p.add_argument("--model", type=pathlib.Path, required=True, help="YOLOX-nano, float, as exported")
    p.add_argument("--int8", type=pathlib.Path, default=models / "yolox-nano-int8.onnx", help="the int8 model for sightline")
    p.add_argument("--sightline", default="bin/sightline")
    p.add_argument("--conf", type=float, default=0.01, help="lowest score")
    p.add_argument("--threads", type=int, nargs="+", default=sorted({len(os.sched_getaffinity(0)), 1}, reverse=True))
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--repeat", type=int, default=2, help="how often sightline looks at every picture in a round")
    p.add_argument("--patience", type=float, default=600, help="seconds for turns without others, for each number of threads")
    p.add_argument("--json", type=pathlib.Path, help="file for all figures")
    return p.parse_args()


def main():
    o = options()
    report = {"sahi": sahi.__version__, "onnxruntime": onnxruntime.__version__, "conf": o.conf, "rounds": o.rounds, "threads": {}}
    for threads in o.threads:
        report["threads"][threads] = on_processors(threads, measure, o, threads)
        show(threads, report["threads"][threads])
    if o.json:
        o.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
