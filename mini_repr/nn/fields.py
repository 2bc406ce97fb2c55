"""Rows of a table as vectors, one for each field: embeddings of categories, and of numbers."""

import numpy as np

from mini_repr.autograd import Tensor, absolute, concatenate, maximum, primitive, softmax
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import truncated_normal, xavier_uniform
from mini_repr.nn.layers import Embedding
from mini_repr.nn.module import Module
from mini_repr.pages.arguments import Choice, Count, Flag, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition

NUMBERS = ("linear", "equal_frequency", "equal_width", "soft_bins")


@primitive
def long_tailed_step(u, /):
    """1 where u > 0, else 0; backward as if the slope were 2 - 4 |u| up to |u| = 0.4, 0.4 up to 1, and 0 beyond.

    A step has no slope of its own. Source: Xu, Cheung 2019 (trained binarization), as Lyu et al. 2022, arXiv
    2208.04482, take it.
    """
    xp = backend_of(u).xp
    size = xp.abs(u)
    slope = xp.where(size > 1, 0, xp.where(size > 0.4, 0.4, 2 - 4 * size)).astype(u.dtype)
    return (u > 0).astype(u.dtype), lambda g: g * slope


@part("encoder", "fields", paper="043")
class Fields(Module):
    """A vector for each field of a table's row, of categories and of numbers.

    Rows (B, F) as ``TableSet`` has them to ``Encoded``: tokens (B, F, D), pooled (B, F D) all of them in one row. With
    z a number, brought to mean 0 and variance 1 over the training rows, and vectors v, m of its field

        linear           z v
        equal_frequency  v_k of the k-th of ``bins`` bins that hold as many training rows each (ties in one)
        equal_width      v_k of the k-th of as many bins of one width, from the least to the largest training number
        soft_bins        sum_k softmax((W2 h + 0.5 h)/t)_k m_k with h = LeakyReLU(w1 z): AutoDis

    ``selected``: the vector of a category's value counts only where the sum of its absolute numbers is above a learned
    threshold of its field, as 1 or 0 times it (``long_tailed_step``), else it is 0 (OptEmbed). The buffer ``columns``
    (F,) says how many leading columns of each field's vector count, all of them at first: see ``searched_columns``.

    Args:
        train: the training part of a table: its fields, and the numbers from which bins are made.
        rng: host generator. dimensions: D. numbers, bins, selected: as above. temperature: t of soft bins.

    Source: the taxonomy of Lyu et al. 2023, arXiv 2302.02241; AutoDis: Guo et al. 2021,
    arXiv 2012.08986, from memory (the constants 0.01 and 0.5 are own choices); selection: Lyu et al. 2022, arXiv
    2208.04482. Compared with fuyuanlyu/OptEmbed, models/modules_super.py and models/layer.py (the slope of its step is
    repeated in a test): the same thresholds by field, started at 0, and with ``mode_oov="zero"`` the same vectors.
    """

    takes = "tables"

    def __init__(
        self,
        train,
        rng,
        dtype=np.float32,
        *,
        dimensions: Count() = 8,
        numbers: Choice(*NUMBERS) = "linear",
        bins: Count(least=2) = 16,
        temperature: Positive = 0.1,
        selected: Flag = False,
    ):
        self.register_buffer("columns", np.full(len(train.fields), dimensions, dtype=dtype))
        self._sizes, self.numbers, self.bins, self.temperature = train.sizes, numbers, bins, temperature
        fields, count = len(train.fields), len(train.fields) - len(train.sizes)
        self.width, self.dimensions = fields * dimensions, dimensions
        if self._sizes:
            self.values = Embedding(sum(self._sizes), dimensions, rng, dtype=dtype)
            self.register_buffer("first", np.cumsum([0, *self._sizes[:-1]]).astype(dtype))
        if selected and not self._sizes:
            raise ValueError("encoder fields: selected: got True for a table without categories, expected False")
        self.thresholds = Tensor(np.zeros(len(self._sizes), dtype), True) if selected else None
        if count:
            measured = train.rows[:, len(self._sizes) :].astype(np.float64)
            deviation = measured.std(axis=0)
            self.register_buffer("mean", measured.mean(axis=0).astype(dtype))
            self.register_buffer("deviation", np.where(deviation > 0, deviation, 1).astype(dtype))
            vectors = (count, dimensions) if numbers == "linear" else (count, bins, dimensions)
            self.vectors = Tensor(truncated_normal(rng, vectors, dtype), True)
            if numbers == "equal_frequency":
                self.register_buffer("edges", np.quantile(measured, np.arange(1, bins) / bins, axis=0).astype(dtype))
            elif numbers == "equal_width":
                self.register_buffer("edges", np.linspace(*_ends(measured), bins + 1)[1:-1].astype(dtype))
            elif numbers == "soft_bins":
                self.slope = Tensor(truncated_normal(rng, (count, 1, bins), dtype) * 50, True)
                self.mixing = Tensor(np.stack([xavier_uniform(rng, (bins, bins), dtype) for _ in range(count)]), True)

    def forward(self, rows, columns=None):
        """rows (B, F) floating-point; columns (B, F) or (F,) in place of the buffer; both on the weights' device."""
        xp, split = backend_of(rows).xp, len(self._sizes)
        if rows.ndim != 2 or rows.shape[1] * self.dimensions != self.width:
            raise ValueError(f"Fields: rows: got shape {rows.shape}, expected (B, {self.width // self.dimensions})")
        tokens = []
        if split:
            of_values = self.values.weight[(rows[:, :split] + self.first).astype("int64")]
            if self.thresholds is not None:
                above = absolute(of_values).sum(axis=2) - self.thresholds
                of_values = of_values * long_tailed_step(above).reshape(*above.shape, 1)
            tokens.append(of_values)
        if split < rows.shape[1]:
            tokens.append(self._of_numbers(xp, rows[:, split:]))
        tokens = tokens[0] if len(tokens) == 1 else concatenate(*tokens, axis=1)
        counts = xp.arange(self.dimensions) < (self.columns if columns is None else columns)[..., None]
        tokens = tokens * counts.astype(tokens.dtype)
        return Encoded(tokens.reshape(len(rows), -1), tokens)

    def _of_numbers(self, xp, numbers):
        """(B, M, D) of numbers (B, M)."""
        if self.numbers in ("equal_frequency", "equal_width"):
            bins = (numbers[:, None] > self.edges).sum(axis=1)  # the edges below a number
            return self.vectors[xp.arange(numbers.shape[1]), bins]
        z = (numbers - self.mean) / self.deviation
        if self.numbers == "linear":
            return z[:, :, None] * self.vectors
        h = z.T[:, :, None] * self.slope  # (M, B, bins)
        h = maximum(h, 0.01 * h)
        shares = softmax((h @ self.mixing + 0.5 * h) / self.temperature)
        return (shares @ self.vectors).transpose(1, 0, 2)

    def kept(self):
        """The share of all values of categories whose vectors count."""
        thresholds = np.repeat(backend_of(self.thresholds.data).to_numpy(self.thresholds.data), self._sizes)
        norms = np.abs(backend_of(self.values.weight.data).to_numpy(self.values.weight.data)).sum(axis=1)
        return float((norms > thresholds).mean())

    def layer_rows(self, rows):
        """One row for each of a table's after its only layer: a list of one (B, width)."""
        return [self.forward(rows).pooled]


def _ends(measured):
    return measured.min(axis=0), measured.max(axis=0)


@definition(Fields)
def fields_definition(encoder, rows):
    """Row by row and field by field, from the arrays of the encoder's state."""
    state, sizes, way = encoder.state_dict(), encoder._sizes, encoder.numbers
    found = []
    for row in rows:
        vectors = [state["values.weight"][sum(sizes[:k]) + int(row[k])] for k in range(len(sizes))]
        if "thresholds" in state:
            vectors = [v * (sum(map(abs, v)) > t) for v, t in zip(vectors, state["thresholds"], strict=True)]
        for k, number in enumerate(row[len(sizes) :]):
            z, own = (number - state["mean"][k]) / state["deviation"][k], state["vectors"][k]
            if way == "linear":
                vectors.append(z * own)
            elif way == "soft_bins":
                h = np.array([max(z * w, 0.01 * z * w) for w in state["slope"][k, 0]])
                e = np.exp((h @ state["mixing"][k] + 0.5 * h) / encoder.temperature)
                vectors.append(sum(share * m for share, m in zip(e / e.sum(), own, strict=True)))
            else:
                vectors.append(own[sum(number > edge for edge in state["edges"][:, k])])
        counts = state["columns"]
        found.append(
            np.concatenate([np.where(np.arange(len(v)) < c, v, 0) for v, c in zip(vectors, counts, strict=True)])
        )
    return np.stack(found)
