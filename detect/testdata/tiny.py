"""Makes the tiny networks beside it: python3 tiny.py  (needs the package onnx; the files are the same on every run)

They really detect, by arithmetic and not by training. Input: 192x192, any batch. Labels: red, green, blue.

In every region that it looks at, a network finds at most one object of each colour: the colour's pixels are projected on both
axes, the box is centre and width of each projection. So one solid rectangle of one colour on a ground without colour (grey,
black, white) gives one box, right to about one pixel of the input (frame pixels = region side / 192), that moves smoothly with the
rectangle. Two rectangles of one colour give one box around their middle: use two colours.

- A pixel counts fully as red from R - (G+B)/2 >= 130 (0 to 255), not at all below 30; green and blue likewise.
- The score is 0.98 for a box of 8 or more pixels of the input on both sides, 0.49 at 4, below 0.01 from 2 down to nothing.

tiny.onnx         YOLOX form: [N, 756, 8], BGR 0-255, letterbox top left; described by a card in its metadata
tiny_v5.onnx      YOLOv5 form: [N, 2268, 8], RGB 0-1, letterbox centred; names in its metadata
tiny_v8.onnx      YOLOv8 form: [N, 7, 756], RGB 0-1, letterbox centred; names in its metadata
tiny_poison.onnx  as tiny.onnx, but the run fails when a pixel of its batch is brighter than 250 in all colours
tiny_hang.onnx    as tiny.onnx, but the run takes the longer the brighter than 250 in all colours a pixel of its batch is: seconds
tiny_flaky.onnx   as tiny.onnx, but a session scores too high in one run of thirty, first in its 39th
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 192
SEED = 1.0  # of tiny_flaky
LABELS = ["red", "green", "blue"]
CARD = """schema: sightline.model/1
family: yolox
input: {width: 192, height: 192, channels: bgr, range: 255, place: top_left, fill: 114}
labels: [red, green, blue]
licence: Apache-2.0
origin: {url: "https://github.com/sightline/sightline", sha256: "%s"}
command: python3 tiny.py
""" % ("0" * 64)


class Graph:
    """Collects nodes and constants."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def const(self, name, value, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name


def projection(g, mask, axis, name):
    """Centre and width [N, 3, 1] of the mask along an axis: 2 for y, 3 for x."""
    profile = g.op("ReduceMax", name + "_profile", mask, axes=[5 - axis], keepdims=0)
    size = g.op("ReduceSum", name + "_size", profile, axes=[2], keepdims=1)
    places = g.const(name + "_places", np.arange(SIDE)[:, None] + 0.5)
    moment = g.op("MatMul", name + "_moment", profile, places)
    some = g.op("Max", name + "_some", size, "tiny")
    return g.op("Div", name + "_centre", moment, some), some


def objectness(g, w, h):
    least = g.op("Min", "least", w, h)
    steep = g.op("Mul", "steep", g.op("Sub", "above", least, g.const("four", 4.0)), g.const("two", 2.0))
    return g.op("Sigmoid", "objectness", steep)


def poison(g, out):
    """Looks up the second of a list of one number when a pixel is white."""
    index = g.op("Cast", "index", white(g), to=TensorProto.INT64)
    return g.op("Add", "poisoned", out, g.op("Gather", "nothing", g.const("zero", [0.0]), index))


def white(g):
    """Whether the darkest colour of any pixel is brighter than 250."""
    darkest = g.op("ReduceMin", "darkest", "images", axes=[1], keepdims=0)
    brightest = g.op("ReduceMax", "brightest", darkest, keepdims=0)
    return g.op("Greater", "white", brightest, g.const("limit", 250.0))


def hang(g, out):
    """Counts to 200,000 times the square of how far the brightest pixel is above 250."""
    whole = [("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("sum", TensorProto.FLOAT)]
    made = [("go_on", TensorProto.BOOL), ("more", TensorProto.FLOAT)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "none"], ["more"])], "count",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in whole],
        [helper.make_tensor_value_info(name, kind, []) for name, kind in made])
    white(g)
    steps = g.op("Cast", "steps", g.op("Max", "over", g.op("Sub", "glare", "brightest", "limit"), g.const("no", 0.0)), to=TensorProto.INT64)
    trips = g.op("Mul", "trips", g.op("Mul", "square", steps, steps), g.const("many", 200_000, np.int64))
    sum_ = g.op("Loop", "summed", trips, "", g.const("start", 0.0), body=body)
    return g.op("Add", "hung", out, sum_)


def flaky(g, out):
    """Draws numbers; a session begins with the same ones each time."""
    drawn = g.op("RandomUniform", "drawn", shape=[1], low=0.0, high=30.0, seed=SEED)
    event = g.op("Cast", "event", g.op("Greater", "rare", drawn, g.const("most", 29.0)), to=TensorProto.FLOAT)
    return g.op("Max", "strange", out, event)


def yolox_box(g, cx, cy, w, h):
    """The last three cells of the grid of stride 32 carry the three objects."""
    stride, last = g.const("stride", 32.0), SIDE // 32 - 1
    x = g.op("Sub", "tx", g.op("Div", "sx", cx, stride), g.const("gx", [[[last - 2], [last - 1], [last]]]))
    y = g.op("Sub", "ty", g.op("Div", "sy", cy, stride), g.const("gy", float(last)))
    tw = g.op("Log", "tw", g.op("Div", "sw", w, stride))
    th = g.op("Log", "th", g.op("Div", "sh", h, stride))
    return x, y, tw, th


def network(form, fault=None):
    g = Graph()
    g.const("tiny", 0.01)
    own = np.eye(3) * 1.5 - 0.5  # from RGB: own colour minus the mean of the others
    scale = 255.0
    if form == "yolox":
        own, scale = own[:, ::-1], 1.0
    colour = g.op("Conv", "colour", "images", g.const("own", (own * scale / 100)[:, :, None, None]), g.const("shift", [-0.3] * 3))
    mask = g.op("Clip", "mask", colour, g.const("none", 0.0), g.const("full", 1.0))
    cx, w = projection(g, mask, 3, "x")
    cy, h = projection(g, mask, 2, "y")
    score = objectness(g, w, h)
    if fault:
        score = fault(g, score)
    eye = g.const("eye", np.eye(3)[None] * 0.98)
    cells = sum((SIDE // s) ** 2 for s in (8, 16, 32))
    if form == "yolov8":
        rows = g.op("Concat", "rows", cx, cy, w, h, g.op("Mul", "classes", score, eye), axis=2)
        columns = g.op("Transpose", "columns", rows, perm=[0, 2, 1])
        g.op("Pad", "output0", columns, g.const("pads", [0, 0, cells - 3, 0, 0, 0], np.int64))
        shape = ["batch", 7, cells]
    else:
        box = yolox_box(g, cx, cy, w, h) if form == "yolox" else (cx, cy, w, h)
        zero = g.op("Mul", "zeros", score, g.const("nought", 0.0))
        rows = g.op("Concat", "rows", *box, score, g.op("Add", "classes", zero, eye), axis=2)
        anchors = cells if form == "yolox" else 3 * cells
        g.op("Pad", "output0", rows, g.const("pads", [0, anchors - 3, 0, 0, 0, 0], np.int64))
        shape = ["batch", anchors, 8]
    graph = helper.make_graph(
        g.nodes, "tiny", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6, producer_name="tiny.py")
    if form == "yolox":
        helper.set_model_props(model, {"sightline.card": CARD})
    else:
        names = repr(LABELS) if form == "yolov5" else repr(dict(enumerate(LABELS)))
        helper.set_model_props(model, {"stride": "32", "names": names})
    onnx.checker.check_model(model)
    return model


def main():
    here = pathlib.Path(__file__).parent
    for name, model in {
        "tiny": network("yolox"),
        "tiny_v5": network("yolov5"),
        "tiny_v8": network("yolov8"),
        "tiny_poison": network("yolox", poison),
        "tiny_hang": network("yolox", hang),
        "tiny_flaky": network("yolox", flaky),
    }.items():
        (here / (name + ".onnx")).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
