"""A convolutional network in ONNX as a PyTorch module, and its weights back into the same file."""

import collections
import pathlib

import numpy
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional


class Unsupported(Exception):
    """The graph holds something that cannot be trained here; the text names the node."""


class Network(torch.nn.Module):
    """Runs the part of an ONNX graph that leads to the wanted tensors (its outputs by default) from the given ones (its input).

    The weights and biases of convolutions are parameters, float32 whatever the file keeps them as. A weight that is exactly zero
    in a tensor with many zeros was pruned and stays zero.
    """

    def __init__(self, model, wanted=None, given=()):
        super().__init__()
        self.model = model
        self.inputs = [i.name for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
        if len(self.inputs) != 1:
            raise Unsupported(f"the network has {len(self.inputs)} inputs: must have one")
        self.outputs = [o.name for o in model.graph.output]
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        nodes = self._fold(model.graph.node)
        self.wanted = list(wanted or self.outputs)
        self.nodes = _join_silu(_leading_to(nodes, self.wanted, {*given, *self.inputs}), self.wanted)
        self.given = sorted({n for node in self.nodes for n in node.input} & {*given, *self.inputs})
        self.last_use = _last_uses(self.nodes)
        self.weights = torch.nn.ParameterDict()
        self.keys = {}  # name of an initialiser -> key of its parameter, which must hold no dot
        self.masked = []  # keys of the parameters in which something was pruned
        for node in self.nodes:
            if node.op_type == "Conv":
                for name in node.input[1:]:
                    self._add_parameter(node, name)

    def _fold(self, nodes):
        """Constants, casts and copies of them become values, so that what is left works on pictures."""
        left = []
        self.stored = {}  # name of what a node reads -> name of the initialiser that holds it
        for node in nodes:
            source = node.input[0] if node.input else ""
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(_attributes(node)["value"])
            elif node.op_type in ("Cast", "Identity") and source in self.constants:
                kind = _attributes(node).get("to")
                value = self.constants[source]
                self.constants[node.output[0]] = value.astype(onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind else value
                self.stored[node.output[0]] = self.stored.get(source, source)
            else:
                left.append(node)
        return left

    def _add_parameter(self, node, name):
        if not name:
            return
        if name not in self.constants:
            raise Unsupported(f"Conv {node.output[0]} reads {name}, which is no constant")
        stored = self.stored.get(name, name)
        self.stored[name] = stored
        if stored in self.keys:
            return
        value = torch.from_numpy(self.constants[name].astype(numpy.float32))
        self.keys[stored] = f"w{len(self.keys)}"
        self.weights[self.keys[stored]] = torch.nn.Parameter(value.clone())
        if value.dim() > 1 and (value == 0).float().mean() > 0.02:
            self.masked.append(self.keys[stored])
            self.register_buffer(f"mask_{self.keys[stored]}", value != 0, persistent=False)

    def parameter(self, name):
        return self.weights[self.keys[self.stored[name]]] if name else None

    def keep_zeros(self):
        """Sets weights that were pruned back to zero; to be called after every step."""
        with torch.no_grad():
            for key in self.masked:
                self.weights[key].mul_(self.get_buffer(f"mask_{key}"))

    def forward(self, given, wanted=None):
        """The wanted tensors (those of the construction by default) by name. given are pictures [N, C, H, W], or the tensors to
        start from by name."""
        values = dict(given) if isinstance(given, dict) else {self.inputs[0]: given}
        wanted = set(wanted or self.wanted)
        found = {name: values[name] for name in wanted if name in values}
        for node, unused in zip(self.nodes, self.last_use):
            for name, value in zip(node.output, self._run(node, values)):
                values[name] = value
                if name in wanted:
                    found[name] = value
            for name in unused:
                values.pop(name, None)
        return found

    def _run(self, node, values):
        run = OPERATORS.get(node.op_type)
        if run is None:
            raise Unsupported(f"{node.op_type} {node.output[0]} is not known; cut the decode tail off with sightline model first")
        return run(self, node, [values.get(name) for name in node.input], _attributes(node))

    def constant(self, name):
        if name not in self.constants:
            raise Unsupported(f"{name} must be a constant")
        return self.constants[name]

    def write_back(self, weights=None):
        """The model with new weights (a state dict; its own by default) in the types in which the file keeps them."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        holders = {t.name: t for t in model.graph.initializer}
        holders |= {n.output[0]: a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"}
        state = weights or self.state_dict()
        for stored, key in self.keys.items():
            tensor = holders[stored]
            value = state[f"weights.{key}"].detach().cpu().numpy().astype(numpy_helper.to_array(tensor).dtype)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        return model


def _leading_to(nodes, wanted, given):
    """The nodes that compute the wanted tensors from the given ones, each behind those that it reads; files need not be sorted."""
    makers = {name: node for node in nodes for name in node.output}
    sorted_nodes, done, open_names = [], set(given), list(wanted)[::-1]
    while open_names:
        node = makers.get(open_names[-1])
        if node is None or done.issuperset(node.output):
            open_names.pop()
            continue
        missing = [name for name in node.input if name in makers and name not in done]
        if not missing:
            sorted_nodes.append(node)
            done.update(node.output)
        open_names += missing
    return sorted_nodes


def _join_silu(nodes, wanted):
    """Every Mul(x, Sigmoid(x)) as one node, which takes half the time."""
    readers = collections.Counter(name for node in nodes for name in node.input)
    gates = {node.output[0]: node for node in nodes
             if node.op_type == "Sigmoid" and readers[node.output[0]] == 1 and node.output[0] not in wanted}
    joined, gone = [], set()
    for node in nodes:
        for x, gate in (node.input, node.input[::-1]) if node.op_type == "Mul" else ():
            if gate in gates and gates[gate].input[0] == x:
                node = onnx.helper.make_node("SiLU", [x], node.output)
                gone.add(gate)
                break
        joined.append(node)
    return [node for node in joined if not gone.intersection(node.output)]


def _last_uses(nodes):
    """For every node the tensors that nothing reads later."""
    seen, last = set(), []
    for node in reversed(nodes):
        last.append([n for n in {*node.input, *node.output} if n and n not in seen])
        seen.update(node.input)
        seen.update(node.output)
    return last[::-1]


def _attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _padded(x, attributes, value):
    """x with the padding that is not the same on both sides, and the rest of the padding."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise Unsupported("auto_pad must be NOTSET")
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _multiplies_half():
    """Whether the processor multiplies matrices of bfloat16; elsewhere they take longer than float32."""
    try:
        return " avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text() and torch.backends.mkldnn.is_available()
    except OSError:
        return False


HALF = _multiplies_half()


class _Pointwise(torch.autograd.Function):
    """A 1x1 convolution whose weights' gradient is a product of matrices in bfloat16. oneDNN's own is slow where cells are many and
    channels few: of a student's time forwards and backwards this saves a fifth, and the gradients differ by 0.2 %."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx, slope):
        x, weight = ctx.saved_tensors
        down = functional.conv2d(slope, weight.transpose(0, 1)) if ctx.needs_input_grad[0] else None
        turned = product(_rows(slope).t(), _rows(x)).float().view_as(weight)
        return down, turned, slope.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None


def _rows(x):
    return x.bfloat16().permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def product(a, b):
    """a @ b. PyTorch's own takes ten times as long in float32 where it comes with the reference BLAS, as Debian's does."""
    if a.dtype == torch.bfloat16:
        return a @ b
    return functional.conv2d(b.reshape(1, b.shape[0], -1, 1), a.reshape(*a.shape, 1, 1)).reshape(a.shape[0], -1)


def _conv(net, node, inputs, attributes):
    x, padding = _padded(inputs[0], attributes, 0.0)
    weight, bias = net.parameter(node.input[1]), net.parameter(node.input[2]) if len(node.input) > 2 else None
    plain = max(*weight.shape[2:], *attributes.get("strides", [1]), *padding, attributes.get("group", 1)) == 1
    if HALF and plain and not x.is_cuda and weight.requires_grad and torch.is_grad_enabled():
        return [_Pointwise.apply(x, weight, bias)]
    return [functional.conv2d(x, weight, bias, attributes.get("strides", 1), padding, attributes.get("dilations", 1),
                              attributes.get("group", 1))]


def _max_pool(net, node, inputs, attributes):
    kernel = attributes["kernel_shape"]
    x, padding = _padded(inputs[0], attributes, -torch.inf)
    return [functional.max_pool2d(x, kernel, attributes.get("strides", 1), padding, attributes.get("dilations", 1),
                                  bool(attributes.get("ceil_mode", 0)))]


def _resize(net, node, inputs, attributes):
    scales = net.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else []
    whole = len(scales) == 4 and all(s == int(s) for s in scales) and scales[0] == scales[1] == 1
    if attributes.get("mode") != b"nearest" or not whole:
        raise Unsupported(f"Resize {node.output[0]}: must be nearest, by whole scales of height and width")
    return [functional.interpolate(inputs[0], scale_factor=(float(scales[2]), float(scales[3])), mode="nearest")]


def _slice(net, node, inputs, attributes):
    lists = [net.constant(name).tolist() for name in node.input[1:]]
    starts, ends = lists[:2]
    axes = lists[2] if len(lists) > 2 else range(len(starts))
    steps = lists[3] if len(lists) > 3 else [1] * len(starts)
    index = [slice(None)] * inputs[0].dim()
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index[axis] = slice(start, end, step)
    return [inputs[0][tuple(index)]]


def _split(net, node, inputs, attributes):
    axis = attributes.get("axis", 0)
    sizes = net.constant(node.input[1]).tolist() if len(node.input) > 1 else attributes.get("split")
    return torch.split(inputs[0], sizes or inputs[0].shape[axis] // len(node.output), axis)


def _binary(act):
    def run(net, node, inputs, attributes):
        device = next(x.device for x in inputs if x is not None)
        both = [x if x is not None else torch.from_numpy(net.constant(n).copy()).to(device) for x, n in zip(inputs, node.input)]
        return [act(*both)]
    return run


def _unary(act):
    return lambda net, node, inputs, attributes: [act(inputs[0])]


OPERATORS = {
    "Conv": _conv, "MaxPool": _max_pool, "Resize": _resize, "Slice": _slice, "Split": _split,
    "Concat": lambda net, node, inputs, attributes: [torch.cat(inputs, attributes["axis"])],
    "Add": _binary(torch.add), "Mul": _binary(torch.mul),
    "Sigmoid": _unary(torch.sigmoid), "SiLU": _unary(functional.silu), "Relu": _unary(torch.relu),
    "Identity": _unary(lambda x: x), "Cast": _unary(lambda x: x.float()),
    "LeakyRelu": lambda net, node, inputs, attributes: [functional.leaky_relu(inputs[0], attributes.get("alpha", 0.01))],
}
