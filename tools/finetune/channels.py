"""What a pruned network and its teacher have in common, found from what both hold and compute."""

import torch

# What stands between convolutions.
INNER = {"SiLU", "Mul", "Add", "Relu", "LeakyRelu"}


def inner_tensors(network):
    """Names of the tensors that activations and sums give."""
    return [node.output[0] for node in network.nodes if node.op_type in INNER]


def align(student, teacher):
    """For each channel of student [N, C, h, w] the channel of teacher [N, D, h, w], D >= C, that it is: the order is kept, and the
    sum of correlations is the greatest. None stands for all."""
    if student.shape[1] == teacher.shape[1]:
        return None
    match = _correlation(student, teacher).cpu()
    count, among = match.shape
    best = torch.zeros(count + 1, among + 1)
    best[1:, 0] = -torch.inf
    for j in range(1, among + 1):
        best[1:, j] = torch.maximum(best[1:, j - 1], best[:-1, j - 1] + match[:, j - 1])
    channels, i = [], count
    for j in range(among, 0, -1):
        if i and best[i, j] != best[i, j - 1]:
            channels.append(j - 1)
            i -= 1
    return torch.tensor(channels[::-1], device=student.device)


def _correlation(a, b):
    rows = []
    for x in (a, b):
        x = x.transpose(0, 1).flatten(1)
        x = x - x.mean(1, keepdim=True)
        rows.append(x / (x.norm(dim=1, keepdim=True) + 1e-6))
    return rows[0] @ rows[1].T


def common(student, teacher, pictures):
    """Names of the tensors that both networks give alike, and, by the names of others that both have, the channels of the teacher
    that the student has left of them."""
    names = sorted({n for n in inner_tensors(student)} & {n for n in inner_tensors(teacher)})
    with torch.no_grad():
        ours, theirs = student(pictures, names), teacher(pictures, names)
    alike, kept = [], {}
    for name in names:
        if ours[name].shape == theirs[name].shape and _near(ours[name], theirs[name]):
            alike.append(name)
        elif ours[name].shape[2:] == theirs[name].shape[2:] and ours[name].shape[1] <= theirs[name].shape[1]:
            kept[name] = align(ours[name], theirs[name])
    return alike, kept


def _near(a, b):
    return (a - b).abs().max() <= 1e-4 * b.abs().max()
