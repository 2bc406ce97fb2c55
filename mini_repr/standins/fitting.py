"""How all stand-ins are trained: AdamW on a cosine, and the moving average of the weights is what is kept."""

from mini_repr.nn import copy_of
from mini_repr.optim import AdamW, clip_by_global_norm, cosine_with_warmup, update_ema

WARMUP, AVERAGED, LARGEST = 50, 0.995, 1.0  # steps; share of the average that stays at a step; norm of a gradient


def fit(module, loss_of, rng, *, steps, lr, watch=None):
    """Train in place; the module ends with the averaged weights.

    Args:
        loss_of: takes ``rng``, draws a batch, and returns the loss as a one-element tensor.
        watch: called with (steps done, of how many, loss) after each.
    """
    parameters = module.named_parameters()
    average = copy_of(module)
    optimizer = AdamW(parameters, lr, weight_decay=0.01)
    module.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(rng)
        loss.backward()
        clip_by_global_norm(parameters, LARGEST)
        optimizer.step(cosine_with_warmup(step, steps, WARMUP, lr))
        update_ema(average.named_parameters(), parameters, min(AVERAGED, (1 + step) / (10 + step)))
        if watch:
            watch(step + 1, steps, float(loss.data))
    module.load_state_dict(average.state_dict())
    module.eval()
