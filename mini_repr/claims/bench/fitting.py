"""A plain training loop for claims whose losses no training method feeds."""

from mini_repr.optim import AdamW


def named(*modules):
    """{"0.name": tensor, ...} of the parameters of several modules, for ``fit``."""
    return {f"{k}.{name}": p for k, module in enumerate(modules) for name, p in module.named_parameters().items()}


def fit(parameters, loss_of, count, rng, *, steps, batch=64, lr=3e-3, weight_decay=0.0, watch=None):
    """AdamW on random batches of ``count`` samples, in place.

    Args:
        parameters: dict name -> Tensor.
        loss_of: takes the numbers of a batch's samples (an integer array), returns the loss as a one-element tensor.
        watch: called with the number of steps taken, after each.
    """
    optimizer = AdamW(parameters, lr, weight_decay=weight_decay)
    batch = min(batch, count)
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(rng.choice(count, batch, replace=False)).backward()
        optimizer.step()
        if watch:
            watch(step + 1)
