"""Best alignment: two sequences of different length agree along the monotone alignment that suits them best.

Definition. For a long sequence a_1..a_T (frames) and a short one b_1..b_S (tokens) of the same content, d_ij the
distance of a_i and b_j, and P the paths of pairs (i, j) from (1, 1) to (T, S) whose steps are

    "frame"   (1, 1) or (1, 0): each frame has one token, each token one frame or more (T >= S)
    "dtw"     those or (0, 1): a frame may serve several tokens (dynamic time warping, any T and S)

    cost = min over P of sum_{(i,j) in P} d_ij,        L = mean over the batch (``reduction``) of cost / T

    "squared"  d = |a_i - b_j|²;   "euclidean"  d = |a_i - b_j|;   "cosine"  d = 1 - cos(a_i, b_j)

The recursion is C_ij = d_ij + min(C_i-1,j-1, C_i-1,j [, C_i,j-1]), C_11 = d_11; ties go to the first of these.
``alignment`` returns the path. Samples may be shorter than the arrays: ``a_lengths`` and ``b_lengths`` say how many
frames and tokens they have. What lies beyond has no part in value or gradient.

Gradient. The best path is the same all around nearly every point, so it counts as fixed: with W_ij = r / T on
the path (r the sample's weight in the reduction), dL/da_i = sum_j W_ij dd_ij/da_i and likewise for b. Squared: da_i =
sum_j 2 W_ij (a_i - b_j). Euclidean: W/d in place of 2 W, 0 where d = 0. Cosine: du = -W v, da = (du - u (u·du)) / |a|.

Shapes: a (B, T, D), b (B, S, D); lengths (B,), 1 to T and 1 to S. Range: >= 0; 0 where a repeats the rows of b. Time
O(B T S), in T + S vector steps; memory O(B T S), as the path back needs every C. A zero row has cosine 0.

Source. Peyser, Meng, Hu, Prabhavalkar, Rosenberg, Sainath, Picheny, Cho 2023, arXiv 2308.06125. Only its abstract could
be read (a consistency loss between speech and text may disregard their lengths and assume the best alignment); no
official code was found. The distance, the end points and the gradient to both sides are this page's reading. "frame" is
the monotonic alignment search of Glow-TTS (arXiv 2005.11129), which maximises a likelihood; "dtw" is classic.
"""

from mini_repr.autograd import sqrt, stack, unit_rows
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows, elementwise
from mini_repr.pages.arguments import Choice, Labels, Optional, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import lengths_of, reduce_rows, reduced

_TOKENS = [[[1.0, 0.0], [0.0, 2.0]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum \frac{1}{T} \min_{P} \sum_{(i,j) \in P} d_{ij}

C_{ij} = d_{ij} + \min \bigl( C_{i-1,j-1}, \, C_{i-1,j} \, [, \, C_{i,j-1}] \bigr)

d_{ij} = \lVert a_i - b_j \rVert^2 \ \text{or} \ \lVert a_i - b_j \rVert \ \text{or} \ 1 - \cos(a_i, b_j)
""",
    "gradient": r"""
\mathrm{d}a_i = \sum_j W_{ij} \frac{\mathrm{d}d_{ij}}{\mathrm{d}a_i}

W_{ij} = \frac{r}{T} \, [(i, j) \in P]
""",
}


@loss(
    paper="101",
    tex=_TEX,
    sequences=True,
    variants={
        "dtw": variant("dynamic time warping: a frame may serve several tokens", moves="dtw"),
        "euclidean": variant("distances, not squared", distance="euclidean"),
        "cosine": variant("cosine distances", distance="cosine"),
        "sum": variant("summed over the batch", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        translation("a", "b"),
        row_scaling("a", "b", distance="cosine"),
        at_least(0),
        exact("repeated tokens cost nothing", 0.0, a=[[[1.0, 0], [0, 2.0], [0, 2.0]]], b=_TOKENS),
        exact("a frame between two tokens goes to the nearer", 1 / 3, a=[[[1.0, 0], [0, 1.0], [0, 2.0]]], b=_TOKENS),
    ],
    sizes={"T": 6, "S": 3},
)
def best_alignment(
    a: Rows("B T D"),
    b: Rows("B S D"),
    a_lengths: Optional(Labels("B", stays=True)) = None,
    b_lengths: Optional(Labels("B", stays=True)) = None,
    distance: Choice("squared", "euclidean", "cosine") = "squared",
    moves: Choice("frame", "dtw") = "frame",
    reduction: Reduction = "mean",
):
    xp = backend_of(a).xp
    path = alignment(a, b, a_lengths, b_lengths, distance, moves)
    d, back = _distances(a, b, distance)
    frames = path.any(axis=2).sum(axis=1).astype(a.dtype)
    value, spread = reduce_rows(xp.where(path, d, 0).sum(axis=(1, 2)) / frames, reduction)
    return value, lambda g: back(xp.where(path, (spread(g) / frames)[:, None, None], 0))


def alignment(a, b, a_lengths=None, b_lengths=None, distance="squared", moves="frame"):
    """The best path of every sample, (B, T, S) booleans: whether frame i and token j belong together.

    Raises:
        ValueError: a length outside the arrays, or with "frame" fewer frames than tokens.
    """
    backend = backend_of(a)
    xp, count, long, short = backend.xp, len(a), a.shape[1], b.shape[1]
    ends = lengths_of("best_alignment", count, {"a_lengths": (a_lengths, long), "b_lengths": (b_lengths, short)})
    if moves == "frame" and bool((ends[0] < ends[1]).any()):
        sample = int((ends[1] - ends[0]).argmax())
        came = f"{int(ends[0][sample])} frames for {int(ends[1][sample])} tokens in sample {sample}"
        raise ValueError(f"best_alignment: a: got {came}, expected no fewer frames than tokens with moves='frame'")

    d, _ = _distances(a, b, distance)
    total = xp.full((count, (long + 1) * (short + 1)), xp.inf, dtype=a.dtype)
    path = xp.zeros((count, long, short), dtype=bool)
    best_paths(backend, d, *map(backend.asarray, ends), long, short, int(moves == "dtw"), total, path)
    return path


@by_rows(
    "T d, raw int64 frames, raw int64 tokens, int64 length, int64 across, int64 dtw",
    "T total, bool path",
    """
    const long long corner = row * width, step = across + 1;
    if (lane == 0) total[corner] = 0;
    __syncwarp();
    for (long long both = 2; both <= length + across; ++both) {
        const long long first = both > across ? both - across : 1, last = both > length ? length : both - 1;
        for (long long i = first + lane; i <= last; i += 32) {
            const long long j = both - i, above = corner + (i - 1) * step + j;
            const T diagonal = total[above - 1], stay = total[above], other = total[above + step - 1];
            // A NaN is the least of all, as NumPy has it.
            T best = diagonal < stay || diagonal != diagonal ? diagonal : stay;
            if (dtw) best = best < other || best != best ? best : other;
            total[above + step] = d[(row * length + i - 1) * across + j - 1] + best;
        }
        __syncwarp();
    }
    if (lane == 0) {
        long long i = frames[row], j = tokens[row];
        path[(row * length + i - 1) * across + j - 1] = true;
        for (long long move = 2; move < length + across; ++move) {  // so many at most, whatever the numbers are
            const long long above = corner + (i - 1) * step + j;
            const T diagonal = total[above - 1], stay = total[above], other = dtw ? total[above + step - 1] : INFINITY;
            const bool back_i = diagonal <= other || stay <= other, back_j = diagonal <= stay || !back_i;
            if (back_i && i > 1) --i;
            if (back_j && j > 1) --j;
            path[(row * length + i - 1) * across + j - 1] = true;
        }
    }
    """,
)
def best_paths(backend, d, frames, tokens, length, across, dtw, total, path):
    """Mark the best path of each sample's distances d (B, T, S) = (B, length, across) in ``path``, False before.

    ``total`` (B, (T + 1) (S + 1)), infinite before: C_ij, with a border. frames, tokens: (B,), where the paths end.
    """
    xp, count = backend.xp, len(d)
    # Cells with the same i + j do not depend on each other.
    total = total.reshape(count, length + 1, across + 1)
    total[:, 0, 0] = 0
    for both in range(2, length + across + 1):
        i = xp.arange(max(1, both - across), min(length, both - 1) + 1)
        j = both - i
        best = xp.minimum(total[:, i - 1, j - 1], total[:, i - 1, j])
        if dtw:
            best = xp.minimum(best, total[:, i, j - 1])
        total[:, i, j] = d[:, i - 1, j - 1] + best

    samples, i, j = xp.arange(count), frames, tokens
    for _ in range(length + across - 1):
        # A sample that has arrived stays at (1, 1): from there its diagonal step leads to C_00 = 0, the least of all.
        path[samples, i - 1, j - 1] = True
        diagonal, stay = total[samples, i - 1, j - 1], total[samples, i - 1, j]
        other = total[samples, i, j - 1] if dtw else xp.full_like(stay, xp.inf)
        back_i = (diagonal <= other) | (stay <= other)
        back_j = (diagonal <= stay) | ~back_i
        i, j = xp.maximum(i - back_i, 1), xp.maximum(j - back_j, 1)


def _distances(a, b, distance):
    """d (B, T, S) and ``back(weights)``, the gradients of a and b from those of d."""
    backend = backend_of(a)
    xp = backend.xp
    if distance == "cosine":
        (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
        return 1 - u @ v.swapaxes(1, 2), lambda w: (to_a(-(w @ v)), to_b(-(w.swapaxes(1, 2) @ u)))
    d = xp.empty((*a.shape[:2], b.shape[1]), dtype=a.dtype)
    rows, columns = xp.ascontiguousarray(a), xp.ascontiguousarray(b)
    squared_gaps(backend, rows, columns, *a.shape[1:], b.shape[1], d)
    if distance == "euclidean":
        d = xp.sqrt(d)

    def back(w):
        w = w * 2 if distance == "squared" else w / xp.where(d == 0, xp.inf, d)
        w_back = w.swapaxes(1, 2)
        return w.sum(axis=2)[:, :, None] * a - w @ b, w_back.sum(axis=2)[:, :, None] * b - w_back @ a

    return d, back


@elementwise(
    "raw T a, raw T b, int64 length, int64 depth, int64 across",
    "T d",
    """
    const long long sample = i / (length * across), frame = i / across, token = sample * across + i % across;
    T sum = 0;
    for (long long k = 0; k < depth; ++k) {
        const T gap = a[frame * depth + k] - b[token * depth + k];
        sum += gap * gap;
    }
    d = sum;
    """,
)
def squared_gaps(backend, a, b, length, depth, across, d):
    """Fill d (B, T, S) with |a_i - b_j|² of rows a (B, T, D) and b (B, S, D), (T, D, S) = (length, depth, across).

    By differences, not products: they are exact where rows are equal.
    """
    for j in range(across):
        gap = a - b[:, j, None]
        d[:, :, j] = (gap * gap).sum(axis=2)


@definition(best_alignment)
def best_alignment_definition(a, b, a_lengths, b_lengths, distance, moves, reduction):
    if distance == "cosine":
        a, b = unit_rows(a), unit_rows(b)

    def cost(x, y, frames, tokens):
        total = {}  # C, only where a path can be
        for i in range(frames):
            for j in range(tokens):
                gap = x[i] - y[j]
                squared = (gap * gap).sum()
                if distance == "cosine":
                    d = 1 - (x[i] * y[j]).sum()
                else:
                    d = sqrt(squared) if distance == "euclidean" and squared.data != 0 else squared
                before = [(i - 1, j - 1), (i - 1, j)] + ([(i, j - 1)] if moves == "dtw" else [])
                before = [total[cell] for cell in before if cell in total]
                if before or i == j == 0:
                    total[i, j] = d + min(before, key=lambda c: c.data.real) if before else d
        return total[frames - 1, tokens - 1] / frames

    per_sample = []
    for n in range(a.shape[0]):
        frames = a.shape[1] if a_lengths is None else int(a_lengths[n])
        tokens = b.shape[1] if b_lengths is None else int(b_lengths[n])
        per_sample.append(cost(a[n], b[n], frames, tokens))
    return reduced(stack(*per_sample), reduction)
