"""The plainest of training loops."""

from mini_repr.optim.adamw import AdamW


def descended(parameters, loss, *, steps, lr):
    """Move parameters {name: Tensor} in place by AdamW without weight decay; ``loss()`` gives a one-element tensor."""
    optimizer = AdamW(parameters, lr, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
