"""CRATE: each attention step lowers the coding rate of the tokens in its own subspaces.

Yu et al. 2023, arXiv 2306.01129. Classifiers of digits, six layers: CRATE, and a ViT of the same width, equal steps.
*compressed*: how much lower the coding rate of a layer's tokens in its subspaces is after the attention step than
before, the least over layers, of test images; the ViT's in the subspaces of its values. *by depth*: the rank
correlation of the rate before the step with the layer. An untrained CRATE compresses too: the operator does. Tried
before: images that are shifted, turned and blurred, of which CRATE learns fewer in as many steps.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import attention_branch, broadcast_to, concatenate, no_grad
from mini_repr.claims.bench.claim import Claim, above, below, higher, no_worse
from mini_repr.claims.bench.trained import trained
from mini_repr.metrics import coding_rate
from mini_repr.nn import patchify
from mini_repr.nn.crate import CrateBlock
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "cross_entropy"},
    "encoder": {"depth": 6, "width": 64, "heads": 4},
    "method": {"views": ""},
    "train": {"epochs": 22, "batch_size": 64},
}
IMAGES = 100


def layer_rates(encoder, images):
    """(layers, 2): the coding rate before and after each layer's attention step, in the layer's subspaces."""
    with no_grad():
        x = encoder.embed(patchify(images, encoder.patch)) + encoder.positions
        x = concatenate(broadcast_to(encoder.class_token, (len(images), 1, encoder.width)), x, axis=1)
        rates = []
        for block in encoder.blocks:
            rates.append([_rate(block, x), _rate(block, _attended(block, x))])
            x = block(x)[0]
    return np.array(rates)


def _rate(block, x):
    """In the subspaces of a CRATE block, or of a transformer block's values."""
    rows = block.norm1(x).data
    maps = block.subspaces.weight if isinstance(block, CrateBlock) else block.qkv.weight
    return coding_rate(rows @ maps.data[:, -rows.shape[2] :], heads=block._heads)


def _attended(block, x):
    """The block without what follows its attention."""
    if isinstance(block, CrateBlock):
        return block.compressed(x)[0]
    parts = (block.norm1.gain, block.norm1.bias, block.qkv.weight, block.qkv.bias, block.out.weight, block.out.bias)
    return attention_branch(x, *parts, heads=block._heads, eps=block.norm1.eps, residual=True)[0]


def measure(seed):
    found = {}
    for name in ("crate", "vit"):
        run = trained(seed, **merge(COMMON, {"encoder": {"name": name}}))
        test = run.data.test
        rates = layer_rates(run.method.encoder, test.images[:IMAGES])
        with no_grad():
            scores = run.method.head(run.method.encoder(test.images).pooled).data
        found[name] = {
            "compressed": float((rates[:, 0] - rates[:, 1]).min()),
            "by depth": float(spearmanr(np.arange(len(rates)), rates[:, 0])[0]),
            "accuracy": float((scores.argmax(axis=1) == test.labels).mean()),
            "block weights": sum(p.data.size for p in run.method.encoder.blocks[0].named_parameters().values()),
        }
    return found


CLAIM = Claim(
    paper="006",
    says="each attention step of CRATE lowers its tokens' coding rate; it classifies as a ViT of four times the size",
    measure=measure,
    expects=(
        above("compressed", "crate", 0),
        higher("compressed", "crate", "vit"),
        below("by depth", "crate", -0.7),
        no_worse("accuracy", "crate", "vit", by=0.03),
    ),
    designs=2,
)
