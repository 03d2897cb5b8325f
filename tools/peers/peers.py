#!/usr/bin/env python3
"""Measures the quantisers of ONNX Runtime and NNCF on the models and pictures on which sightline's is measured.

All calibrate on the same pictures. What ONNX Runtime loads is scored by `sightline detect --data --coco` at threshold 0.01 and
NMS 0.65; NNCF's models run in OpenVINO, with the same letterbox and merge in Python (the row of its float model tells how near that
is). AP by pycocotools. Times are of the network alone, one thread, all in turns, as medians of the ratio to the float file in ONNX
Runtime."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("NNCF_CI", "1")  # NNCF reports nothing about its use

import cv2
import nncf
import onnx
import onnxruntime
import openvino
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo import Family

QUIET = io.StringIO()


def pictures(folder):
    for path in sorted((pathlib.Path(folder) / "images").iterdir()):
        yield path.name, cv2.imread(str(path))


class Calibration(quantization.CalibrationDataReader):
    """The pictures of a folder, one at a time, as ONNX Runtime asks for them."""

    def __init__(self, folder, family, name):
        self.inputs = ({name: family.input(pixels)[0]} for _, pixels in pictures(folder))

    def get_next(self):
        return next(self.inputs, None)


def tail(model):
    """Names of the nodes behind the last convolutions."""
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    leads, names = {}, []  # tensor -> a convolution reads it, or what is made of it

    def to_conv(name):
        if name not in leads:
            leads[name] = any(n.op_type == "Conv" or any(map(to_conv, n.output)) for n in readers.get(name, []))
        return leads[name]

    for node in model.graph.node:
        if node.op_type != "Conv" and not any(map(to_conv, node.output)):
            names.append(node.name)
    return names


def prepare(original, out):
    """The model as ONNX Runtime wants it for its quantiser: opset 13, shapes inferred, every node with a name."""
    model = onnx.load(original)
    if model.opset_import[0].version < 13:
        model = onnx.version_converter.convert_version(model, 13)
    onnx.save(model, out)
    quant_pre_process(str(out), str(out), skip_symbolic_shape=True)
    model = onnx.load(out)
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node{i}"
    onnx.save(model, out)
    return model


def by_onnxruntime(original, family, calibration, folder):
    """name -> file of what ONNX Runtime's quantiser makes."""
    ready = folder / "ready.onnx"
    model = prepare(original, ready)
    made = {}
    for name, left_out in (("static", []), ("static, tail float", tail(model))):
        out = made[f"ONNX Runtime {name}"] = folder / f"ort-{name.replace(', ', '-').replace(' ', '-')}.onnx"
        quantization.quantize_static(
            str(ready), str(out), Calibration(calibration, family, model.graph.input[0].name), per_channel=True,
            calibrate_method=quantization.CalibrationMethod.MinMax, nodes_to_exclude=left_out,
            activation_type=quantization.QuantType.QUInt8)  # with signed ones, its default, nothing runs in int8 on x86
    out = made["ONNX Runtime dynamic"] = folder / "ort-dynamic.onnx"
    # Signed weights have no kernel in ONNX Runtime's ConvInteger.
    quantization.quantize_dynamic(str(ready), str(out), weight_type=quantization.QuantType.QUInt8)
    return made


def by_nncf(original, family, calibration):
    """name -> OpenVINO model: the float one and what NNCF makes of it."""
    core = openvino.Core()
    inputs = [family.input(pixels)[0] for _, pixels in pictures(calibration)]
    made = {"OpenVINO float": core.read_model(original)}
    for preset in (nncf.QuantizationPreset.PERFORMANCE, nncf.QuantizationPreset.MIXED):
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            made[f"NNCF {preset.value}"] = nncf.quantize(core.read_model(original), nncf.Dataset(inputs), preset=preset,
                                                         subset_size=len(inputs))
    return made


def one_thread(path):
    """A runner of a network in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def one_thread_openvino(model):
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
    return lambda x: compiled(x)[0]


def detect(sightline, model, data, out):
    subprocess.run([sightline, "detect", "--model", model, "--data", data, "--coco", out, "--conf", "0.01"], check=True,
                   stderr=subprocess.DEVNULL)
    return json.loads(out.read_text())


def detect_here(run, family, truth, data):
    numbers, categories, found = {i["file_name"]: n for n, i in truth.imgs.items()}, sorted(truth.cats), []
    for name, pixels in pictures(data):
        x, corner = family.input(pixels)
        found += [{"image_id": numbers[name], "category_id": categories[c], "bbox": box, "score": score}
                  for box, c, score in family.objects(run(x), pixels, corner)]
    return found


def score(truth, found):
    """AP and AP50."""
    if not found:
        return 0.0, 0.0
    with contextlib.redirect_stdout(QUIET):
        e = COCOeval(truth, truth.loadRes(found), "bbox")
        e.evaluate(), e.accumulate(), e.summarize()
    return e.stats[0], e.stats[1]


def ratios(runs, x, rounds):
    """name -> median over rounds of the first runner's time by that of each; all run once a round, every second round backwards."""
    times = {name: [] for name in runs}
    order = list(runs)
    for i in range(rounds + 3):
        for name in order:
            began = time.perf_counter()
            runs[name](x)
            if i >= 3:
                times[name].append(time.perf_counter() - began)
        order.reverse()
    first = times[next(iter(runs))]
    return {name: (statistics.median(own), statistics.median(a / b for a, b in zip(first, own))) for name, own in times.items()}


def measure(original, family, shipped, o):
    """Prints the rows of one original."""
    folder = o.work / pathlib.Path(original).stem
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = o.data / "coco-train", o.data / "coco-dev"
    with contextlib.redirect_stdout(QUIET):
        truth = COCO(str(dev / "instances.json"))
    files = {"float": original, **by_onnxruntime(original, family, train, folder)}
    files |= {f"sightline: {pathlib.Path(p).stem}": p for p in shipped}
    runs = {name: one_thread(path) for name, path in files.items()}
    scores = {name: score(truth, detect(o.sightline, path, dev, folder / "results.json")) for name, path in files.items()}
    for name, model in by_nncf(original, family, train).items():
        runs[name] = one_thread_openvino(model)
        scores[name] = score(truth, detect_here(runs[name], family, truth, dev))
    speed = ratios(runs, family.input(next(pictures(dev))[1])[0], o.rounds)
    print(f"\n| {pathlib.Path(original).stem} | AP | against float | AP50 | ms | faster by |\n|---|---|---|---|---|---|")
    for name, (ap, ap50) in scores.items():
        ms, faster = speed[name]
        against = 100 * (ap - scores["float"][0])
        print(f"| {name} | {ap:.3f} | {against:+.1f} | {ap50:.3f} | {1000 * ms:.1f} | {faster:.2f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, required=True, help="folder with models/, coco-train/ and coco-dev/")
    p.add_argument("--sightline", default="bin/sightline")
    p.add_argument("--work", type=pathlib.Path, required=True, help="folder for what is made on the way")
    p.add_argument("--rounds", type=int, default=41)
    p.add_argument("--only", choices=["yolox", "yolov5"])
    o = p.parse_args()
    here = pathlib.Path(__file__).resolve().parents[2] / "models"
    if o.only != "yolov5":
        measure(o.data / "models/yolox_nano.onnx", Family("yolox", 416), sorted(here.glob("yolox-nano*.onnx")), o)
    if o.only != "yolox":
        measure(o.data / "models/yolov5n_fp32.onnx", Family("yolov5", 640), [], o)


if __name__ == "__main__":
    main()
