"""Sequential recommendation: a causal transformer over the items of a visit that says which comes next.

Source: Kang, McAuley 2018, arXiv 1808.09781 (SASRec). Items known by their texts, in place of learned rows: Attimonelli
et al. 2025, arXiv 2507.05006, from whom the comparison is.
"""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import Embedding, LayerNorm, Linear
from mini_repr.nn.module import Module
from mini_repr.nn.transformer import Block


class NextItem(Module):
    """Visits (B, T), numbers of items, to scores (B, T, N) for the item that follows each place.

    With r_n the row of item n and h_t the transformer's row at place t, which sees places up to t, the scores are
    h_t·r_n: one row serves an item that is read and one that is recommended, as in SASRec. Rows of items are learned,
    or a linear map of what is known of them, such as embeddings of their texts: then an item that is in no visit of the
    training has one too.

    Args:
        items: (N, E) rows of what is known of the items, which no gradient reaches; or N, how many there are, to learn
            a row for each. length: items of a visit, at most. rng: host generator. dtype: of all that is trained.
        width, depth, heads: of the blocks.
    """

    def __init__(self, items, length, rng, dtype=np.float32, *, width=48, depth=1, heads=2):
        self.table, self.map = None, None
        if isinstance(items, int):
            self.table = Embedding(items, width, rng, dtype=dtype)
        else:
            self.register_buffer("items", items.astype(dtype))
            self.map = Linear(items.shape[1], width, rng, dtype=dtype)
        self.positions = Tensor(truncated_normal(rng, (length, width), dtype), requires_grad=True)
        self.blocks = [Block(width, heads, 2.0, rng, dtype=dtype) for _ in range(depth)]
        self.norm = LayerNorm(width, dtype=dtype)

    def rows(self):
        """(N, width): a row for every item."""
        return self.table.weight if self.map is None else self.map(self.items)

    def forward(self, visits):
        """Scores (B, T, N) of visits (B, T), host integers.

        Raises:
            ValueError: a visit that is longer than ``length``, or an item that there is not.
        """
        rows = self.rows()
        if visits.shape[1] > len(self.positions) or visits.min() < 0 or visits.max() >= len(rows):
            came = f"shape {visits.shape}, items {visits.min()} to {visits.max()}"
            raise ValueError(
                f"NextItem: visits: got {came}, expected (B, T) of at most {len(self.positions)} items, 0 to "
                f"{len(rows) - 1}"
            )
        backend = backend_of(rows.data)
        x = rows[backend.asarray(visits).reshape(-1)].reshape(*visits.shape, -1) + self.positions[: visits.shape[1]]
        for block in self.blocks:
            x, _ = block(x, backend.xp.tri(visits.shape[1], dtype=bool))
        return self.norm(x) @ rows.T
