"""Steps that turn a network into another in few pictures."""

import torch

import network


class Muon:
    """Momentum whose step is the nearest orthogonal matrix to it, for the weights of convolutions; Adam for the rest.

    Steps are in the measure of each tensor: BatchNorm is folded, and sizes differ a hundredfold. Distilling takes half as many of
    them as with Adam alone, each a seventh longer.
    """

    def __init__(self, weights, momentum=0.95):
        weights = list(weights)
        self.momentum = momentum
        self.matrices = [w for w in weights if w.dim() == 4 and w.shape[1] > 1]
        self.sizes = [_size(w) for w in self.matrices]
        self.moving = [torch.zeros_like(w) for w in self.matrices]
        self.rest = torch.optim.Adam(
            [{"params": [w], "size": _size(w)} for w in weights if w.dim() != 4 or w.shape[1] == 1], betas=(0.9, 0.99))

    def zero_grad(self):
        for weight in self.matrices:
            weight.grad = None
        self.rest.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self, rate):
        """rate is the root mean square of a step, as a share of that of the tensor's first weights."""
        for weight, size, moving in zip(self.matrices, self.sizes, self.moving):
            if weight.grad is None:
                continue
            moving.mul_(self.momentum).add_(weight.grad)
            turn = orthogonal((weight.grad + self.momentum * moving).flatten(1))
            weight.sub_(turn.reshape(weight.shape) * (rate * size / (turn.square().mean().sqrt() + 1e-12)))
        for group in self.rest.param_groups:
            group["lr"] = rate * group["size"]
        self.rest.step()


def _size(weight):
    return weight.detach().square().mean().sqrt().item() + 1e-3


def orthogonal(matrix):
    """About the nearest matrix of orthonormal rows (or columns, if fewer): its singular values are brought to between 0.7 and 1.2 by
    five steps of an iteration of the fifth order after Newton and Schulz."""
    a, b, c = 3.4445, -4.7750, 2.0315  # of Keller Jordan, who chose them for speed rather than exactness
    upright = matrix.shape[0] > matrix.shape[1]
    x = ((matrix.t() if upright else matrix) / (matrix.norm() + 1e-12)).to(torch.bfloat16 if network.HALF or matrix.is_cuda else torch.float32)
    for _ in range(5):
        square = network.product(x, x.t())
        x = a * x + network.product(b * square + c * network.product(square, square), x)
    return (x.t() if upright else x).float()
