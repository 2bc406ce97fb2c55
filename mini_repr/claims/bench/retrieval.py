"""What two sets of rows are worth where each row looks for its partner, for claims of two towers."""

from mini_repr.autograd import unit_rows
from mini_repr.kernels.nearest import most_similar
from mini_repr.metrics import mean_reciprocal_rank, recall_at_k


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
