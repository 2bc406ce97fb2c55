"""DCLR: where a corpus repeats itself, negatives that a complementary model finds too similar must not count.

Zhou et al. 2022, arXiv 2205.00656: in unsupervised sentence contrast (SimCSE: two dropout masks of a text are a pair)
random negatives are often false ones; weighing those by 0, and adding noise as negatives, gives better and more uniform
rows. Here: 400 definitions (WordNet), each in 12 copies that lost 30 % of their words, so that a batch holds copies of
its own anchors; the complementary model is SimCSE trained first from another start. The threshold, 0.7, was set on the
training copies, so that most of what it catches are false negatives; as many noise vectors as rows, temperature 0.05, 4
epochs. Measured: does a copy of an unseen definition find its other copy among 1,500, and how uniform are the rows?
SimCSE is below the untrained encoder there: it learns to tell copies apart.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.copies import copies
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.retrieval import scores
from mini_repr.data import load
from mini_repr.losses.pairs.dclr import dclr
from mini_repr.methods import encode
from mini_repr.methods.state import instance_weights, refine_noise
from mini_repr.metrics import uniformity
from mini_repr.nn import TextEncoder

THRESHOLD = 0.7


def simcse(texts, seed, arrays_of=lambda a, b, index, rng: {}):
    """An encoder trained on two dropout masks a text; ``arrays_of`` gives the loss's weights and noise."""
    rng = np.random.default_rng(seed)
    encoder = TextEncoder(rng, dropout=0.1)
    ids, mask = encoder.tokenise(texts)

    def loss_of(index):
        a, b = (encoder(ids[index], mask[index]).pooled for _ in range(2))
        return dclr(a, b, **arrays_of(a.data, b.data, index, rng))

    fit(encoder.named_parameters(), loss_of, len(texts), rng, steps=4 * len(texts) // 128, batch=128, lr=1e-3)
    return encoder


def measure(seed):
    data, rng = load("glosses", kind="word-definition"), np.random.default_rng(seed)
    texts = copies(rng.choice(sorted(set(data.train.b)), 400, replace=False), 12, rng)
    pairs = copies(rng.choice(sorted(set(data.test.b)), 1500, replace=False), 2, rng)
    rows = encode(simcse(texts, (seed, 1)), texts, CPU)

    def weights(a, b, index, rng):
        return {"weights": instance_weights(rows[index], rows[index], THRESHOLD)}

    def noise(a, b, index, rng):
        return {"noise": refine_noise(rng.standard_normal(a.shape).astype(np.float32), a, b)}

    def both(*batch):
        return {**weights(*batch), **noise(*batch)}

    encoders = {"untrained": TextEncoder(np.random.default_rng(seed)), "SimCSE": simcse(texts, seed)}
    for name, arrays_of in {"weights": weights, "noise": noise, "weights, noise": both}.items():
        encoders[name] = simcse(texts, seed, arrays_of)
    arms = {}
    for name, encoder in encoders.items():
        a, b = encode(encoder, pairs[::2], CPU), encode(encoder, pairs[1::2], CPU)
        arms[name] = {**scores(a, b), "uniformity": uniformity(np.concatenate([a, b]))}
    return arms


CLAIM = Claim(
    paper="100",
    says="weights against false negatives, and noise, give better and more uniform rows on a corpus of copies",
    measure=measure,
    expects=(
        higher("MRR", "weights, noise", "SimCSE"),
        lower("uniformity", "weights, noise", "SimCSE"),
        higher("MRR", "weights, noise", "weights"),
    ),
    seeds=5,
)
