"""How far a network is from its teacher, without labels."""

import torch
from torch.nn import functional

# Whose heads are known.
FAMILIES = "yolox", "yolov5"

# Classes and boxes of cells with less objectness than this do not count.
SEEN = 0.005


def grids(outputs, head, family, classes):
    """For every level and anchor of a head: box [N, 4, h, w], objectness [N, 1, h, w] and classes [N, C, h, w] logits, the stride,
    and the anchor (None for YOLOX)."""
    for level in head:
        tensors = [outputs[name].float() for name in level["outputs"]]
        if family == "yolox":
            yield *tensors, level["stride"], None
            continue
        for part, anchor in zip(tensors[0].split(5 + classes, 1), level["anchors"]):
            yield *part.split([4, 1, classes], 1), level["stride"], anchor


def decode(box, stride, anchor):
    """Centres and sizes [K, 4] in pixels, the centre relative to the cell's corner, of logits [K, 4]."""
    if anchor is None:
        return torch.cat([box[:, :2] * stride, box[:, 2:].clamp(max=10).exp() * stride], 1)
    double = 2 * box.sigmoid()
    return torch.cat([(double[:, :2] - 0.5) * stride, double[:, 2:] ** 2 * box.new_tensor(anchor)], 1)


def overlap(a, b):
    """Intersection over union [K] of boxes given by centre and size."""
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common = (high - low).clamp(min=0).prod(1)
    return common / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - common + 1e-6)


def divergence(logits, target):
    """Kullback-Leibler divergence of Bernoulli variables, by element; both are logits, the target is the teacher's."""
    p = target.sigmoid()
    return functional.binary_cross_entropy_with_logits(logits, p, reduction="none") - \
        functional.binary_cross_entropy_with_logits(target, p, reduction="none")


def box_error(box, wanted):
    """[K], 0 where boxes (centre and size) are the same: 1 - IoU, and the distances in the measure of the wanted box."""
    apart = (box[:, :2] - wanted[:, :2]).abs() / wanted[:, 2:] + (box[:, 2:] / wanted[:, 2:]).clamp(1e-4, 1e4).log().abs()
    return 1 - overlap(box, wanted) + 0.5 * apart.mean(1)


def head_loss(student, teacher, head, family, classes):
    """Objectness of all cells, classes and boxes of cells in the measure in which the teacher sees an object there; each for one
    object."""
    parts, weights = 0.0, 0.0
    for ours, theirs in zip(grids(student, head, family, classes), grids(teacher, head, family, classes)):
        weight = theirs[1].sigmoid()[:, 0]
        here = weight > SEEN
        ours, theirs = ([t.permute(0, 2, 3, 1) for t in g[:3]] + [*g[3:]] for g in (ours, theirs))
        weight = weight[here]
        error = box_error(decode(ours[0][here], *ours[3:]), decode(theirs[0][here], *theirs[3:]))
        apart = divergence(ours[2][here], theirs[2][here]).sum(1)
        parts = parts + torch.stack([divergence(ours[1], theirs[1]).sum(), (weight * apart).sum(), (weight * error).sum()])
        weights += weight.sum()
    return parts / (weights + 1)


def feature_loss(student, teacher, kept):
    """Mean relative square error of the channels inside, each measured by its variance in the teacher. kept names the tensors and
    says which of the teacher's channels those of the student are."""
    total = 0.0
    for name, channels in kept.items():
        target = teacher[name].float()
        target = target if channels is None else target[:, channels]
        spread = target.var((0, 2, 3))
        error = ((student[name].float() - target) ** 2).mean((0, 2, 3))
        total = total + (error / (spread + 0.01 * spread.mean() + 1e-6)).mean()
    return total / max(len(kept), 1)
