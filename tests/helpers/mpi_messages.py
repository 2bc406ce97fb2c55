"""A program for tests/distributed: every rank asks everything of its ``World``, with host arrays and with the device
double, and holds the answers against what it can compute alone. A wrong one is an AssertionError on that rank.
"""

import numpy as np
from device_double import DOUBLE

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.pages.registry import all_losses
from mini_repr.training.distributed import joined
from mini_repr.training.distributed.over_ranks import OVER_RANKS, form_over_ranks
from mini_repr.training.distributed.sharding import gather_rows

INFONCE = all_losses()["infonce"]
# Where learned scalars stand.
START = {"temperature": 0.3, "log_scale": 1.0, "bias": -0.5}
# Averages of past batches.
STATE = ("covariance", "covariance_a", "covariance_b", "mean_a", "mean_b")
FORMS = [
    ("infonce", {}),
    ("infonce", {"symmetric": False}),
    ("infonce", {"negatives": "views"}),
    ("infonce", {"negatives": "views", "symmetric": False, "decoupled": True}),
    ("infonce", {"decoupled": True, "reduction": "sum", "normalize": False}),
    ("siglip", {}),
    ("siglip", {"per_row": "mean"}),
    ("siglip", {"reduction": "sum", "normalize": False}),
    ("supcon", {}),
    ("supcon", {"mean_over": "rows", "base_temperature": 0.07}),
    ("supcon", {"base_temperature": 1.0, "normalize": False}),
    ("supcon", {"reduction": "sum"}),
    ("align_uniform", {}),
    ("align_uniform", {"alpha": 1.0, "t": 0.5, "normalize": False, "uniformity_weight": 3.0}),
    ("uniformity", {}),
    ("uniformity", {"self_pairs": True, "normalize": False}),
    ("circle", {}),
    ("circle", {"margin": 0.25, "scale": 8.0, "reduction": "sum", "normalize": False}),
    ("circle", {"over": "batch", "scale": 8.0}),
    ("circle", {"over": "batch", "weighted": False, "scale": 8.0, "reduction": "sum"}),
    ("corinfomax", {}),
    ("corinfomax", {"normalize": True, "decay": 0.3, "mean_decay": 0.6, "eps": 0.1}),
    ("tico", {}),
    ("tico", {"through_covariance": True, "offset": 1.0, "reduction": "sum", "decay": 0.3}),
    ("triplet", {"mining": "hard"}),
    ("triplet", {"mining": "hard", "distance": "euclidean", "penalty": "softplus", "reduction": "sum"}),
    ("triplet", {"mining": "hard", "margin": 1.0, "normalize": False, "reduction": "mean_active"}),
    ("dispersive", {}),
    ("dispersive", {"per_dimension": True, "self_pairs": False, "temperature": 0.3}),
    ("dispersive", {"form": "cosine"}),
    ("dispersive", {"form": "cosine", "self_pairs": False}),
    ("dispersive", {"form": "covariance"}),
    ("cmim_contrast", {}),
    ("cmim_contrast", {"over": "sum", "normalize": False, "temperature": 0.5}),
    ("flops", {}),
    ("flops", {"form": "l1", "normalize": True}),
    ("focal_itc", {}),
    ("focal_itc", {"gamma": 0.5, "reduction": "sum"}),
    ("llave", {}),
    ("llave", {"symmetric": False, "hardness": 2.0, "reduction": "sum"}),
    ("negative_cosine", {}),
    ("negative_cosine", {"form": "squared", "views": "sum", "reduction": "sum"}),
    ("tribyol", {}),
    ("tribyol", {"pairs": "all", "reduction": "sum"}),
    ("best_alignment", {}),
    ("best_alignment", {"moves": "dtw", "distance": "cosine", "reduction": "sum"}),
    ("align", {}),
    ("align", {"label_smoothing": 0.4, "reduction": "sum"}),
    ("contrastive_gap", {}),
    ("contrastive_gap", {"sharpness": 0.7, "clip_weight": 0.5, "uniformity_weight": 2.0, "alignment_weight": 3.0}),
    ("vicreg", {}),
    ("vicreg", {"invariance": "rows", "variance_views": "mean", "unbiased": False, "target_std": 1.2}),
    ("wmse", {}),
    ("wmse", {"normalize": False, "eps": 0.1, "reduction": "sum"}),
    ("barlow_twins", {}),
    ("barlow_twins", {"unbiased": True, "redundancy_weight": 0.1, "scale_loss": 0.5}),
]


def check_messages(world, backend):
    ranks = np.arange(world.size)
    own = backend.asarray(np.full((2, 3), world.rank, dtype=np.float32))

    def same(array, expected):
        assert backend.to_numpy(array).dtype == expected.dtype
        np.testing.assert_array_equal(backend.to_numpy(array), expected)

    everyone = np.repeat(ranks, 2)[:, None] * np.ones(3, np.int64)
    same(world.gather(own), everyone.astype(np.float32))
    same(world.gather(own > 0), everyone > 0)
    turned = world.gather(own.T)  # not contiguous
    same(turned, np.repeat(ranks, 3)[:, None].astype(np.float32) * np.ones(2, np.float32))
    total = world.sum(own)
    same(total, np.full((2, 3), ranks.sum(), np.float32))
    same(own, np.full((2, 3), world.rank, np.float32))  # untouched

    sizes = [(700, 1000), (), (5,), (900, 1000), (0, 4)]  # three buckets
    arrays = [backend.asarray(np.full(size, world.rank + k, dtype=np.float32)) for k, size in enumerate(sizes)]
    world.sum_in_place(arrays)
    for k, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
        same(array, np.full(size, ranks.sum() + k * world.size, np.float32))

    before = (world.rank - 1) % world.size
    first, second = world.pass_on([own, own[0] * 10])
    same(first, np.full((2, 3), before, np.float32))
    same(second, np.full(3, before * 10, np.float32))


def check_near(world):
    alone = world.near(1)
    assert (alone.size, alone.rank) == (1, 0)
    np.testing.assert_array_equal(alone.gather(np.array([world.rank])), [world.rank])
    assert world.near(world.size) is world


def check_over_ranks(world, backend, name, settings):
    """Value and gradients of a loss over ranks against its page on all rows; ragged tiles, learned scalars."""
    page = all_losses()[name]
    rng = np.random.default_rng(0)
    count = 5 * world.size
    names = [n for n in page.required if n != "labels"]
    # Some classes are on one rank alone.
    labels = {"labels": np.arange(count) * 7 % count // 3} if page.compares == "labels" else {}
    arrays = {n: rng.standard_normal((count, *[4] * (len(page.parameters[n].annotation.axes) - 1))) for n in names}
    learned = {p.name: START[p.name] for p in page.settings if p.annotation.differentiable}
    state = {p.name: rng.random((4,) * len(p.annotation.letters)) for p in page.arrays if p.name in STATE}
    tile = {"tile": 3} if "tile" in page.parameters else {}
    expected, gradients = page.value_and_grad(**arrays, **labels, **state, **learned, **settings)

    own = slice(world.rank * 5, (world.rank + 1) * 5)
    tensors = {n: Tensor(backend.asarray(x[own]), requires_grad=True) for n, x in arrays.items()}
    tensors |= {n: Tensor(backend.asarray(np.array(x)), requires_grad=True) for n, x in learned.items()}
    labels = {n: x[own] for n, x in labels.items()} | {n: backend.asarray(x) for n, x in state.items()}
    total = form_over_ranks(page, world)(**tensors, **labels, **settings, **tile)
    (total * 2).backward()
    np.testing.assert_allclose(backend.to_numpy(total.data), expected, rtol=1e-13)
    for n, tensor in tensors.items():
        if n not in gradients:  # a target
            assert tensor.grad is None
            continue
        whole = gradients[n][own] if n in arrays else gradients[n]
        round_off = 1e-13 * np.abs(gradients[n]).max()
        np.testing.assert_allclose(backend.to_numpy(tensor.grad), 2 * whole, rtol=0, atol=round_off, err_msg=n)


def check_one_row_a_rank(world):
    """Without partner or self there is nothing on the own block: its sum is empty, and no NaN comes of it."""
    a, b = np.random.default_rng(0).standard_normal((2, world.size, 4))
    for settings in ({"decoupled": True}, {"negatives": "views"}):
        expected, gradients = INFONCE.value_and_grad(a, b, **settings)
        own = slice(world.rank, world.rank + 1)
        ta, tb = Tensor(a[own], requires_grad=True), Tensor(b[own], requires_grad=True)
        total = form_over_ranks(INFONCE, world)(ta, tb, **settings)
        total.backward()
        np.testing.assert_allclose(total.data, expected, rtol=1e-14)
        np.testing.assert_allclose(ta.grad, gradients["a"][own], rtol=0, atol=1e-14)


def check_equally_far_rows(world):
    """Of equally hard rows on several ranks the first in the batch counts, as on one rank."""
    page, settings = all_losses()["triplet"], {"mining": "hard", "normalize": False, "margin": 3.0}
    corners = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])  # of mean 0: no rounding tells equal distances apart
    rows, labels = np.tile(corners, (world.size, 1)), np.arange(4 * world.size) % 2
    expected, gradients = page.value_and_grad(rows, labels, **settings)
    own = slice(4 * world.rank, 4 * world.rank + 4)
    z = Tensor(rows[own], requires_grad=True)
    total = form_over_ranks(page, world)(z, labels[own], **settings)
    total.backward()
    np.testing.assert_allclose(total.data, expected, rtol=1e-14)
    np.testing.assert_allclose(z.grad, gradients["z"][own], rtol=0, atol=1e-14)


def check_gather_rows(world, backend):
    z = Tensor(backend.asarray(np.full((2, 3), world.rank + 1.0)), requires_grad=True)
    (gather_rows(z, world=world) ** 2).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(z.grad), np.full((2, 3), 2 * (world.rank + 1.0)))


with joined() as world:
    assert {name for name, _ in FORMS} == OVER_RANKS.keys()
    assert world.from_first(f"said by {world.rank}") == "said by 0"
    check_near(world)
    check_one_row_a_rank(world)
    check_equally_far_rows(world)
    for backend in (CPU, DOUBLE):
        check_messages(world, backend)
        check_gather_rows(world, backend)
        for name, settings in FORMS:
            check_over_ranks(world, backend, name, settings)
