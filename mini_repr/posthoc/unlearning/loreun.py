"""LoReUn: rows that a network knows best are the hardest to forget, and count most in forgetting.

    L = mean over retain rows of l(x, y)  +  α mean over forget rows of w_i f_i,
    w_i = B e^{-l_i/τ} / sum_j e^{-l_j/τ}

in each batch of B forget rows; l is the cross-entropy of the true label, and what is minimised for a forget row,

    ascent          f_i = -l_i                  its loss is to grow
    random labels   f_i = l(x_i, ỹ_i)           with a wrong label ỹ_i, drawn once

The weights have mean 1 and no gradient. *static*: l_i under the network as it was before; *dynamic*: as it is now, so
that forgotten rows, whose loss is large, stop counting, and ascent stops, which without weights it never does.
τ to infinity is no weighting; τ to 0 gives all weight to the least loss.

A *saliency mask* (SalUn) lets only some weights of the network move, the share ``moving`` of all with the largest
|gradient| of the forget rows' loss, taken once before; with random labels and one half it is that paper's method. All
others keep their values bit for bit.

Source: Li et al. 2025, arXiv 2507.22499. No public code was found; the division by the mean, and α and τ, are ours.
Masks: Fan et al. 2023, arXiv 2310.12508; github.com/OPTML-Group/Unlearn-Saliency, Classification/generate_mask.py, of
which the ranking of all weights together was run beside this one.
"""

import numpy as np
from scipy.special import softmax

from mini_repr.autograd import Tensor
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.optim import AdamW
from mini_repr.pages.arguments import Choice, Count, Labels, NonNegative, Positive, Rows, Scalar
from mini_repr.pages.declare import procedure
from mini_repr.posthoc.unlearning.scores import outputs


@procedure(paper="038")
def unlearn(
    net,
    forget: Rows("F D", frozen=True),
    forget_labels: Labels("F"),
    retain: Rows("R D", frozen=True),
    retain_labels: Labels("R"),
    base: Choice("ascent", "random_labels") = "ascent",
    weighting: Choice("none", "static", "dynamic") = "dynamic",
    tau: Positive = 1.0,
    alpha: NonNegative = 0.3,
    moving: Scalar(low=0, high=1, low_open=True) = 1.0,
    lr: Positive = 3e-4,
    epochs: Count() = 15,
    batch_size: Count() = 64,
    seed: Count(least=0) = 0,
):
    """Change a classifier in place until it has forgotten some of its training rows; returns it.

    A step takes a batch of retain rows and one of forget rows; an epoch is as many as the retain rows fill.

    Args:
        net: a module from rows (N, D) to scores. alpha: α. tau: τ, in nats. moving: the share of weights that may move.
    """
    rng = np.random.default_rng(seed)
    optimizer = AdamW(net.named_parameters(), lr, weight_decay=0.0)
    scores, before = outputs(net, forget, forget_labels)
    classes = scores.shape[1]
    targets = (
        (forget_labels + rng.integers(1, classes, len(forget))) % classes if base == "random_labels" else forget_labels
    )
    free = None if moving == 1 else saliency_mask(net, forget, forget_labels, moving)
    net.train()
    for _ in range(epochs):
        order = rng.permutation(len(retain))
        for start in range(0, len(order), batch_size):
            kept = order[start : start + batch_size]
            gone = rng.choice(len(forget), min(batch_size, len(forget)), replace=False)
            optimizer.zero_grad()
            answers = net(Tensor(forget[gone]))
            each = cross_entropy(answers, targets[gone], reduction="none")
            if weighting == "dynamic" and base == "ascent":
                losses = each.data
            elif weighting == "dynamic":
                losses = cross_entropy(answers.data, forget_labels[gone], reduction="none").data
            else:
                losses = before[gone]
            weights = np.ones(len(gone)) if weighting == "none" else forgetting_weights(losses, tau)
            forgotten = (each * weights.astype(answers.dtype)).mean()
            loss = cross_entropy(net(Tensor(retain[kept])), retain_labels[kept])
            loss = loss + (forgotten * -alpha if base == "ascent" else forgotten * alpha)
            loss.backward()
            if free is not None:
                for name, parameter in net.named_parameters().items():
                    parameter.grad *= free[name]
            optimizer.step()
    return net


def saliency_mask(net, x, labels, share):
    """{name: booleans like the parameter}: the share of all weights with the largest |gradient| of the rows' loss."""
    net.eval()
    net.zero_grad()
    cross_entropy(net(Tensor(x)), labels).backward()
    parameters = net.named_parameters()
    sizes = np.concatenate([np.abs(p.grad).reshape(-1) for p in parameters.values()])
    free = np.zeros(len(sizes), bool)
    free[np.argsort(-sizes, kind="stable")[: int(len(sizes) * share)]] = True
    parts = np.split(free, np.cumsum([p.size for p in parameters.values()])[:-1])
    return {name: part.reshape(p.shape) for (name, p), part in zip(parameters.items(), parts, strict=True)}


def forgetting_weights(losses, tau):
    """w (B,) of mean 1, the larger the smaller the loss."""
    return len(losses) * softmax(-np.asarray(losses, dtype=np.float64) / tau)
