"""Stochastic gradient descent in the form Keras 1 gives it."""

from __future__ import annotations

import torch


class KerasSGD:
    """eta = rate / (1 + decay * updates); v <- momentum v - eta g; p <- p + momentum v - eta g (Nesterov).

    ``decayed`` parameters also receive the gradient of l2 * sum(W^2), which is 2 l2 W. PyTorch's SGD keeps
    the rate out of the velocity, so the two differ whenever the rate changes.
    """

    def __init__(self, parameters, decayed, rate=0.01, momentum=0.9, decay=1e-6, l2=1e-5):
        self.parameters = list(parameters)
        self.velocities = [torch.zeros_like(p) for p in self.parameters]
        self.decayed = list(decayed)
        self.rate, self.momentum, self.decay, self.l2 = rate, momentum, decay, l2
        self.updates = 0

    @torch.no_grad()
    def step(self) -> None:
        """One update from the gradients the parameters hold; clears them."""
        eta = self.rate / (1 + self.decay * self.updates)
        if self.l2:
            torch._foreach_add_([w.grad for w in self.decayed], self.decayed, alpha=2 * self.l2)
        gradients = [p.grad for p in self.parameters]
        torch._foreach_mul_(self.velocities, self.momentum)
        torch._foreach_add_(self.velocities, gradients, alpha=-eta)
        torch._foreach_add_(self.parameters, self.velocities, alpha=self.momentum)
        torch._foreach_add_(self.parameters, gradients, alpha=-eta)
        for p in self.parameters:
            p.grad = None
        self.updates += 1
