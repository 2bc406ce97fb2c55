"""Two towers of shared weights on WordNet's words, definitions and examples, for claims that train by a plain loop."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import CPU
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.trained import pair_rows
from mini_repr.kernels.nearest import most_similar
from mini_repr.methods import encode
from mini_repr.metrics import mean_reciprocal_rank, recall_at_k
from mini_repr.nn import tokenise


def fit_pairs(encoder, part, loss_of, rng, *, epochs, batch=128, lr=3e-3):
    """Train an encoder, in place, on random batches of a part of text pairs.

    Args:
        loss_of: takes what the encoder makes of the texts a and b, and the pairs' numbers (B,).
    """
    sides = [tokenise(texts, 4096, 64) for texts in (part.a, part.b)]

    def loss_of_batch(index):
        return loss_of(*(encoder(ids[index], mask[index]) for ids, mask in sides), index)

    steps = epochs * len(part) // batch
    fit(encoder.named_parameters(), loss_of_batch, len(part), rng, steps=steps, batch=batch, lr=lr)


def rows_of_pairs(encoder, part):
    """Pooled rows (N, width) of both sides of a part of text pairs."""
    return [encode(encoder, texts, CPU) for texts in (part.a, part.b)]


def pair_scores(run, part):
    """``scores`` of a part of text pairs, from a run's towers."""
    return scores(*pair_rows(run, part))


def scores(a, b):
    """{"MRR", "recall@10", "gap"} of rows a that look for their partners among rows b.

    The gap is the cosine with the partner minus that with the most similar other row, on average.
    """
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    hardest = most_similar(u, v, 1)[0][:, 0]
    return {
        "MRR": mean_reciprocal_rank(a, b),
        "recall@10": recall_at_k(a, b, 10),
        "gap": float(((u * v).sum(axis=1) - hardest).mean()),
    }
