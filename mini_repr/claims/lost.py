"""LOST: a product of low rank with a few input channels learns better than a larger product alone, nearly as full rank.

Li et al. 2025, arXiv 2508.02668, train LLaMA from scratch with such weights, and reach full rank's perplexity or better
where low rank alone stays behind. Here: the next word in generated sentences of topics, a causal transformer 64 wide, 2
blocks, 300 steps of 64 new sentences; the four maps of each block are *full*; *LOST*, rank 8 and 8 channels, γ = 1/2;
or *low rank* alone: of rank 8, and of rank 13, which has more weights than LOST's; the latter started at random, as is
usual, or as LOST's product is, of the leading singular directions, times 1 or 1/2 (*SVD*, *half SVD*). *loss*: of 2,000
other sentences. *weights*: of the maps; weights, gradients and moments take four times as much memory. Each arm has the
learning rate of three (1e-3, 3e-3, 1e-2) with the least loss on a seed beyond those counted. Tried before, on one seed:
definitions of WordNet, seen a few times each, which low rank alone learns better than full rank does; and there γ =
0.7, which was worse.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, Expectation, lower
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.claims.masked_mixer import next_word_loss
from mini_repr.data.generated.topics import topic_sentences, vocabulary
from mini_repr.nn import LanguageHead, LostLinear, TextTransformer

STEPS, BATCH, WORDS = 300, 64, 16
SIZES = {"max_tokens": WORDS, "width": 64, "depth": 2, "mlp_ratio": 4.0, "causal": True}
RANDOM = "low rank 13"  # starts at random
ARMS = {
    "full": {},
    "LOST": {"rank": 8, "channels": 8, "low_rank_share": 0.5},
    "low rank 8, half SVD": {"rank": 8, "low_rank_share": 0.5},
    RANDOM: {"rank": 13, "low_rank_share": 1.0},
    "low rank 13, SVD": {"rank": 13, "low_rank_share": 1.0},
    "low rank 13, half SVD": {"rank": 13, "low_rank_share": 0.5},
}
RATES = dict.fromkeys(ARMS, 3e-3) | {"low rank 8, half SVD": 1e-2}


def language_model(arm, seed, lr):
    """(transformer, its head) after training."""
    rng, texts = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    model = TextTransformer(rng, vocabulary=vocabulary(), **SIZES, **ARMS[arm])
    if arm == RANDOM:
        draw_factors(model, rng)
    head = LanguageHead(model.words, rng, tied=False)
    fit(named(model, head), lambda _: loss_of(model, head, BATCH, texts), BATCH, rng, steps=STEPS, batch=BATCH, lr=lr)
    return model, head


def loss_of(model, head, count, rng):
    """The loss on so many new sentences."""
    ids = topic_sentences(count, rng, WORDS, chained=True).ids
    return next_word_loss(model, head, ids, np.ones(ids.shape, bool))


def draw_factors(model, rng):
    """Both factors of each map anew, normal, so that their product has the variance of the dense start."""
    for layer in model.named_modules().values():
        if isinstance(layer, LostLinear):
            (inputs, rank), outputs = layer.left.shape, layer.right.shape[1]
            for factor, variance in ((layer.left, 1 / rank), (layer.right, 2 / (inputs + outputs))):
                factor.data[...] = rng.standard_normal(factor.shape) * variance**0.5


def measured(arm, seed, lr):
    model, head = language_model(arm, seed, lr)
    kinds = ("weight", "left", "right", "rows")
    maps = [p.size for name, p in model.named_parameters().items() if "blocks" in name and name.endswith(kinds)]
    with no_grad():
        loss = loss_of(model, head, 2000, np.random.default_rng([seed, 2]))
    return {"loss": float(loss.data), "weights": sum(maps)}


def measure(seed):
    return {arm: measured(arm, seed, RATES[arm]) for arm in ARMS}


CLAIM = Claim(
    paper="027",
    says="low rank with a few channels learns better than a larger low rank alone, nearly as well as full rank",
    measure=measure,
    expects=(
        *(lower("loss", "LOST", arm, by=0.01) for arm in ARMS if arm.startswith("low rank")),
        Expectation(
            "loss: LOST no higher than full by 0.05", lambda arms: arms["full"]["loss"] - arms["LOST"]["loss"], -0.05
        ),
    ),
    designs=2,
)
