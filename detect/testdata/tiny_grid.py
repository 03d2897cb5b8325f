"""Makes tiny_grid.onnx beside it: python3 tiny_grid.py  (needs the package onnx; the file is the same on every run)

A YOLOX as its exporter writes it, only very small: convolutions with SiLU, a way up (Resize, Concat), three grids with heads, and a
tail that puts them together. So the model tools can do with it whatever they do with a real one, at once and without data.

Input: [1, 3, 192, 192], BGR 0-255, letterbox top left; opset 11; described by a card in its metadata. Labels: red, green, blue.

It finds every solid block of a colour that fills a cell of 32x32 pixels of the input, a box for each cell: score above 0.9, box right
to a pixel. Half a cell is nothing. The grids of stride 8 and 16 compute, and say nothing. Half of its channels hold noise that hardly
matters: something for pruning to take away.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CHANNELS, LABELS = 192, 8, 3
CARD = """schema: sightline.model/1
family: yolox
input: {width: 192, height: 192, channels: bgr, range: 255, place: top_left, fill: 114}
labels: [red, green, blue]
licence: Apache-2.0
origin: {url: "https://github.com/sightline/sightline", sha256: "%s"}
command: python3 tiny_grid.py
""" % ("0" * 64)

nodes, constants = [], []
random = np.random.RandomState(1)


def const(name, value, dtype=np.float32):
    constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


def op(kind, name, *inputs, **attributes):
    nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
    return name


def conv(name, source, weights, bias, stride=1):
    kernel = weights.shape[2]
    pad = (kernel - stride) // 2 if kernel > stride else 0
    return op("Conv", name, source, const(name + ".weight", weights), const(name + ".bias", bias),
              kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4, group=1, dilations=[1, 1])


def silu(name):
    return op("Mul", name + ".silu", name, op("Sigmoid", name + ".sigmoid", name))


def noise(outputs, inputs, kernel, size):
    """Kernels whose sum over each input is zero: on an even ground they give nothing."""
    w = random.randn(outputs, inputs, kernel, kernel) * size
    if kernel > 1:
        w -= w.mean(axis=(2, 3), keepdims=True)
    return w


def colours():
    """Channel 0 is red less the mean of the others, 1 green, 2 blue: about 4 for a full colour, -1 for grey."""
    w = noise(CHANNELS, 3, 3, 0.002)
    w[:3] *= 0.1
    w[:3, :, 1, 1] += (np.eye(3) * 1.5 - 0.5)[:, ::-1] / 50
    return silu(conv("stem", "images", w, [-1] * 3 + [0] * (CHANNELS - 3)))


def down(name, source, stride):
    """The mean of every channel over a patch."""
    w = noise(CHANNELS, CHANNELS, stride, 0.01 / stride)
    for c in range(3):
        w[c, c] += 1 / stride**2
    return silu(conv(name, source, w, [0] * CHANNELS, stride))


def up(coarse, fine):
    """The finer grid again, knowing of the coarser one."""
    twice = op("Resize", "twice", coarse, const("roi", []), const("scales", [1, 1, 2, 2]),
               mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    w = noise(CHANNELS, 2 * CHANNELS, 1, 0.01)
    for c in range(3):
        w[c, CHANNELS + c] += 1
    return silu(conv("lateral", op("Concat", "neck", twice, fine, axis=1), w, [0] * CHANNELS))


def head(name, source, silent):
    box = conv(name + ".box", source, noise(4, CHANNELS, 1, 1e-3), [0.5, 0.5, 0, 0])
    w = noise(1, CHANNELS, 1, 1e-3)
    w[0, :3] += 4
    objectness = conv(name + ".objectness", source, w, [-30 if silent else -10])
    w = noise(LABELS, CHANNELS, 1, 1e-3)
    w[:, :3, 0, 0] += np.eye(3) * 4
    classes = conv(name + ".classes", source, w, [-6] * LABELS)
    row = op("Concat", name, box, op("Sigmoid", name + ".o", objectness), op("Sigmoid", name + ".c", classes), axis=1)
    return op("Reshape", name + ".flat", row, const(name + ".shape", [1, 5 + LABELS, -1], np.int64))


def main():
    fine = down("down8", colours(), 8)
    middle = down("down16", fine, 2)
    coarse = down("down32", middle, 2)
    middle = up(coarse, middle)
    rows = op("Concat", "rows", head("head8", fine, True), head("head16", middle, True), head("head32", coarse, False), axis=2)
    op("Transpose", "output", rows, perm=[0, 2, 1])
    cells = sum((SIDE // s) ** 2 for s in (8, 16, 32))
    graph = helper.make_graph(
        nodes, "tiny_grid", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, cells, 5 + LABELS])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6, producer_name="tiny_grid.py")
    helper.set_model_props(model, {"sightline.card": CARD})
    onnx.checker.check_model(model)
    pathlib.Path(__file__).with_suffix(".onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
