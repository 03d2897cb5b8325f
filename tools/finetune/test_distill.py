"""Checks of the distillation on a network of a few thousand weights. Run by `make finetune-test`."""

import contextlib
import io
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import cv2
import numpy
import onnx
import torch
import yaml
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import channels
import distill
import losses
import network
import optimiser
import pictures
from network import Network, Unsupported

WIDTH = 16  # channels of the layer that is pruned
KEPT = [0, 1, 3, 4, 5, 7, 8, 10, 11, 12, 14, 15]
CARD = {
    "schema": "sightline.model/1", "family": "yolov5",
    "input": {"width": 64, "height": 64, "channels": "rgb", "range": 1, "place": "centre", "fill": 114},
    "head": [{"stride": 8, "anchors": [[10, 13]], "outputs": ["head"]}], "labels": ["cat", "dog"],
    "licence": "MIT", "origin": {"url": "file:tiny.onnx", "sha256": "0" * 64}, "command": "made by hand",
}


def tiny(kept=range(WIDTH), kind=numpy.float32, zeros=0.0, card=CARD):
    """A detector of every operation that a pruned YOLO is made of; of its widest layer only some channels are kept."""
    random, nodes, weights = numpy.random.default_rng(5), [], []

    def conv(source, name, shape, stride=1, group=1, rows=slice(None), columns=slice(None)):
        w = random.normal(size=shape) * (2 / numpy.prod(shape[1:])) ** 0.5
        b = random.normal(size=shape[0]) * 0.1
        w[random.random(shape) < zeros] = 0
        for suffix, value in ((".w", w[rows][:, columns]), (".b", b[rows])):
            stored = name + suffix + ("16" if kind != numpy.float32 else "")
            weights.append(numpy_helper.from_array(value.astype(kind), stored))
            if kind != numpy.float32:
                nodes.append(helper.make_node("Cast", [stored], [name + suffix], to=onnx.TensorProto.FLOAT))
        nodes.append(helper.make_node("Conv", [source, name + ".w", name + ".b"], [name], name=name, group=group,
                                      strides=[stride] * 2, pads=[shape[2] // 2] * 4, kernel_shape=shape[2:]))

    def silu(source, name):
        nodes.append(helper.make_node("Sigmoid", [source], [name + ".gate"]))
        nodes.append(helper.make_node("Mul", [source, name + ".gate"], [name]))

    kept = list(kept)
    conv("pictures", "stem", (8, 3, 3, 3), 2)
    silu("stem", "a")
    conv("a", "wide", (WIDTH, 8, 3, 3), 2, rows=kept)
    silu("wide", "b")
    conv("b", "back", (8, WIDTH, 3, 3), columns=kept)
    silu("back", "c")
    conv("c", "each", (8, 1, 3, 3), group=8)
    nodes.append(helper.make_node("Add", ["c", "each"], ["sum"]))
    nodes.append(helper.make_node("MaxPool", ["sum"], ["pool"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]))
    weights.append(numpy_helper.from_array(numpy.array([1, 1, 2, 2], numpy.float32), "scales"))
    nodes.append(helper.make_node("Resize", ["pool", "", "scales"], ["up"], mode="nearest", nearest_mode="floor",
                                  coordinate_transformation_mode="asymmetric"))
    nodes.append(helper.make_node("Concat", ["sum", "up"], ["both"], axis=1))
    conv("both", "last", (16, 16, 3, 3), 2)
    silu("last", "d")
    conv("d", "head", (7, 16, 1, 1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "tiny", [value("pictures", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
                              [value("head", onnx.TensorProto.FLOAT, [1, 7, 8, 8])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if card:
        helper.set_model_props(model, {distill.CARD: yaml.safe_dump(card)})
    return model


def stored(model):
    return {t.name: (t.data_type, numpy_helper.to_array(t).tobytes()) for t in model.graph.initializer}


class Distill(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "seen").mkdir()
        random = numpy.random.default_rng(3)
        for i in range(24):
            small = random.integers(0, 256, (6, 8, 3), dtype=numpy.uint8)
            cv2.imwrite(str(self.folder / "seen" / f"{i}.png"), cv2.resize(small, (96, 72), interpolation=cv2.INTER_CUBIC))

    def save(self, name, model):
        onnx.save(model, self.folder / name)
        return str(self.folder / name)

    def command(self, pruned, out, *more):
        return ["--dense", self.save("dense.onnx", tiny()), "--images", str(self.folder / "seen"), "--batch", "8",
                "--threads", "1", *more, self.save("pruned.onnx", pruned), str(self.folder / out)]

    def run_main(self, *arguments):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            distill.main(self.command(*arguments))
        return said.getvalue()

    def test_network_computes_what_the_file_says(self):
        batch = torch.rand(2, 3, 64, 64)
        for model in (tiny(), tiny(KEPT), tiny(kind=numpy.float16)):
            want = ReferenceEvaluator(model).run(None, {"pictures": batch.numpy()})[0]
            numpy.testing.assert_allclose(Network(model)(batch)["head"].detach().numpy(), want, atol=1e-4)

    def test_no_step_changes_no_bit(self):
        pruned = tiny(KEPT, numpy.float16)
        self.run_main(pruned, "out.onnx", "--steps", "0")
        out = onnx.load(self.folder / "out.onnx")
        self.assertEqual(stored(out), stored(pruned))
        self.assertEqual(out.graph, pruned.graph)

    def test_training_brings_the_pruned_network_nearer(self):
        self.run_main(tiny(KEPT), "out.onnx", "--steps", "100", "--lr", "0.01")
        dense, pruned, out = (Network(m) for m in (tiny(), tiny(KEPT), onnx.load(self.folder / "out.onnx")))
        batch = pictures.Pictures(pictures.find(self.folder / "seen"), CARD["input"]).plain(range(24))
        with torch.no_grad():
            want, before, after = (net(batch)["head"] for net in (dense, pruned, out))
        self.assertLess((after - want).square().mean(), (before - want).square().mean() / 3)

    def test_same_seed_same_bytes_and_the_card_tells_how(self):
        for name in ("one/out.onnx", "two/out.onnx"):
            (self.folder / name).parent.mkdir()
            self.run_main(tiny(KEPT), name, "--steps", "3")
        for suffix in ("onnx", "yaml"):
            one, two = ((self.folder / d / f"out.{suffix}").read_bytes() for d in ("one", "two"))
            self.assertEqual(one, two)
        card = yaml.safe_load(one)
        self.assertIn("made by hand; tools/finetune/distill.py", card["command"])
        self.assertEqual({k: card[k] for k in CARD if k != "command"}, {k: v for k, v in CARD.items() if k != "command"})

    def test_pruned_weights_stay_zero(self):
        sparse = tiny(zeros=0.5)
        self.run_main(sparse, "out.onnx", "--steps", "3")
        before, after = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer}
                         for m in (sparse, onnx.load(self.folder / "out.onnx")))
        self.assertTrue((after["back.w"][before["back.w"] == 0] == 0).all())
        self.assertFalse((after["back.w"] == before["back.w"]).all())

    def test_kept_channels_are_found_and_common_layers_shared(self):
        teacher, student, _ = distill.open_pair(self.save("dense.onnx", tiny()), self.save("pruned.onnx", tiny(KEPT)))
        batch = pictures.Pictures(pictures.find(self.folder / "seen"), CARD["input"]).plain(range(8))
        alike, kept = channels.common(student, teacher, batch)
        self.assertEqual(alike, ["a"])
        self.assertEqual(kept["b"].tolist(), KEPT)
        self.assertIsNone(kept["c"])

    def test_loss_of_the_teacher_is_zero(self):
        for family, shapes, anchors in (("yolov5", [(2, 14, 4, 4)], {"anchors": [[10, 13], [33, 23]]}),
                                        ("yolox", [(2, n, 4, 4) for n in (4, 1, 2)], {})):
            outputs = {str(i): torch.randn(s) for i, s in enumerate(shapes)}
            head = [{"stride": 8, "outputs": list(outputs), **anchors}]
            nothing = losses.head_loss(outputs, outputs, head, family, 2)
            self.assertLess(nothing.abs().max(), 1e-4)
            other = {name: t + 1 for name, t in outputs.items()}
            self.assertGreater(losses.head_loss(other, outputs, head, family, 2).min(), 1e-2)

    def test_shortcuts_compute_what_pytorch_computes(self):
        a, b = torch.randn(24, 40), torch.randn(40, 32)
        torch.testing.assert_close(network.product(a, b), a @ b, rtol=1e-4, atol=1e-4)
        for shape in ((24, 40), (40, 24)):
            for half in (False, True):
                with mock.patch.object(network, "HALF", half):
                    values = torch.linalg.svdvals(optimiser.orthogonal(torch.randn(shape)))
                self.assertGreater(values.min(), 0.3)
                self.assertLess(values.max(), 1.3)
        x = torch.randn(2, 40, 16, 16, requires_grad=True)
        inputs = x, torch.randn(24, 40, 1, 1, requires_grad=True), torch.randn(24, requires_grad=True)
        gradients = []
        for run in (torch.nn.functional.conv2d, network._Pointwise.apply):
            y = run(*inputs)
            gradients.append(torch.autograd.grad((y * y.detach().sin()).sum(), inputs))
        for exact, got in zip(*gradients):
            self.assertLess((got - exact).norm(), 0.01 * exact.norm())

    def test_pictures_vary_by_seed_alone(self):
        place = {**CARD["input"], "width": 96, "height": 64}
        seen = pictures.Pictures(pictures.find(self.folder / "seen"), place)
        batches = [seen.varied(numpy.random.default_rng(seed), 40) for seed in (1, 1, 2)]
        self.assertEqual(batches[0].shape, (40, 3, 64, 96))
        self.assertTrue((batches[0] >= 0).all() and (batches[0] <= 1).all())
        self.assertTrue(torch.equal(batches[0], batches[1]))
        self.assertFalse(torch.equal(batches[0], batches[2]))
        self.assertEqual(len(batches[0].flatten(1).unique(dim=0)), 40)

    def test_refusals_say_what_to_do_and_write_nothing(self):
        (self.folder / "none").mkdir()
        good = self.command(tiny(KEPT), "out.onnx", "--steps", "1")
        cases = [  # arguments, the card of the pruned model, what is said
            (good, None, "no card"),
            (good, {**CARD, "family": "yolov8"}, "its family is yolov8"),
            ([*good, "--lr", "1e30", "--steps", "3"], CARD, "smaller --lr"),
            ([*good, "--images", str(self.folder / "none")], CARD, "holds no .jpg"),
            ([*good, "--images", str(self.folder / "gone")], CARD, "no such folder"),
            ([*good, "--dense", str(self.folder / "gone.onnx")], CARD, "no such file"),
            ([*good, "--dense", str(self.folder / "seen" / "0.png")], CARD, "no ONNX"),
            ([*good, "--batch", "0"], CARD, "--batch from 1"),
        ]
        for arguments, card, said in cases:
            self.save("pruned.onnx", tiny(KEPT, card=card))
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaisesRegex((distill.Refused, pictures.NoPictures, Unsupported), said):
                distill.main(arguments)
        self.assertFalse(list(self.folder.glob("*out*")))

    def test_interrupt_leaves_nothing(self):
        script = pathlib.Path(__file__).with_name("distill.py")
        run = subprocess.Popen([sys.executable, script, *self.command(tiny(KEPT), "out.onnx", "--steps", "100000")],
                               stderr=subprocess.PIPE, text=True)
        self.assertIn("before", run.stderr.readline())
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("interrupted; nothing was written", said)
        self.assertFalse(list(self.folder.glob("*out*")))


if __name__ == "__main__":
    unittest.main()
