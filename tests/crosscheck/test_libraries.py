"""Public libraries against our pages: which of our parameters gives exactly what a library computes, gradients too.

The extra ``crosscheck`` installs torch, pytorch-metric-learning, entmax, pytorch-msssim and torchmetrics. lightly,
open_clip_torch and sentence-transformers demand torchvision or transformers, though their losses do not need them:
install them by ``pip install --no-deps lightly lightly-utils open_clip_torch sentence-transformers``. A test skips
where its library is missing.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mini_repr.pages.registry import all_losses

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.crosscheck

LOSSES = all_losses()
B, D, C = 8, 5, 4
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 3])  # the last row is alone in its class


def metric_learning(path):
    """An object of pytorch-metric-learning."""
    pytest.importorskip("pytorch_metric_learning")
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(f"pytorch_metric_learning.{module}"), name)


def without_its_packages(module, name, packages=(), **stubs):
    """What a module holds, imported without the ``__init__`` of its packages, which pull in what its losses don't need.

    Args:
        packages: others whose ``__init__`` is left out.
        stubs: {dotted name, "." as "__": {name: value}}, modules that stand in for what the module imports.
    """
    parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
    spec = importlib.util.find_spec(parents[-1])
    if spec is None:
        pytest.skip(f"{parents[-1]} is not installed")
    root = Path(spec.submodule_search_locations[0]).parent
    made = {package: types.ModuleType(package) for package in (*parents, *packages)}
    for package, own in made.items():
        own.__path__ = [str(root.joinpath(*package.split(".")))]
    for stub, contents in stubs.items():
        made[stub.replace("__", ".")] = types.SimpleNamespace(**contents)
    before = {n: sys.modules.get(n) for n in made}
    sys.modules.update(made)
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        for package, module_before in before.items():
            if module_before is None:
                del sys.modules[package]
            else:
                sys.modules[package] = module_before


def lightly_loss(module, name):
    return without_its_packages(
        f"lightly.loss.{module}",
        name,
        ("lightly.models", "lightly.models.modules", "torchvision"),
        torchvision__ops={"StochasticDepth": torch.nn.Identity},
    )


def sentence_loss(module, name):
    return without_its_packages(
        f"sentence_transformers.{module}",
        name,
        sentence_transformers__util=dict.fromkeys(
            ("pytorch_cos_sim", "cos_sim", "all_gather_with_grad", "get_rank", "similarity_fct_name")
        ),
        sentence_transformers__base__losses__merged_forward={"embed_columns": None},
        sentence_transformers__sentence_transformer__model={"SentenceTransformer": None},
        sentence_transformers__sparse_encoder__model={"SparseEncoder": None},
    )


def open_clip_loss(name):
    """A loss of open_clip, from its file alone."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None:
        pytest.skip("open_clip_torch is not installed")
    path = Path(spec.submodule_search_locations[0]) / "loss.py"
    spec = importlib.util.spec_from_file_location("open_clip_loss", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def entmax_loss():
    return pytest.importorskip("entmax").SparsemaxLoss()


def views(rng):
    return {"a": rng.standard_normal((B, D)), "b": rng.standard_normal((B, D))}


def with_hard_negatives(rng):
    return {**views(rng), "hard_negatives": rng.standard_normal((2 * B, D))}


def labelled(rng):
    return {"z": rng.standard_normal((B, D)), "labels": LABELS}


def scored(rng):
    return {"scores": 2 * rng.standard_normal((B, C)), "labels": rng.integers(0, C, B)}


def predicted(rng):
    prediction, target = 2 * rng.standard_normal((2, B, 3, D))
    return {"prediction": prediction, "target": target, "mask": rng.random((B, 3)) < 0.6}


def joined(loss):
    """A library loss of rows and labels as one of two views: rows stacked, partners share a label."""
    return lambda a, b: loss(torch.cat([a, b]), torch.arange(len(a)).repeat(2))


def normal(x):
    return F.normalize(x, dim=1)


def pml_triplet(z, labels, power=1, miner=None, **options):
    distance = metric_learning("distances.LpDistance")(power=power)
    loss = metric_learning("losses.TripletMarginLoss")(margin=0.2, distance=distance, **options)
    chosen = metric_learning(f"miners.{miner}")(distance=distance)(z, labels) if miner else None
    return loss(z, labels, chosen)


def st_semihard(z, labels):
    """Its own distances lose half the digits (they subtract squares), so they are torch's here."""
    loss = sentence_loss("sentence_transformer.losses.batch_semi_hard_triplet", "BatchSemiHardTripletLoss")
    return loss(None, distance_metric=exact_distances, margin=5.0).batch_semi_hard_triplet_loss(labels, z)


BOTH = ("query_to_doc", "doc_to_query")


def st_ranking(**options):
    """Its loss of the columns' embeddings, with the exact cosines of float64 (its own function is of its package)."""
    made = sentence_loss("sentence_transformer.losses.multiple_negatives_ranking", "MultipleNegativesRankingLoss")
    return made(None, similarity_fct=lambda x, y: normal(x) @ normal(y).T, **options).compute_loss_from_embeddings


def exact_distances(z):
    """Euclidean distances of all pairs, with a gradient of 0 where one is 0."""
    apart = (z[:, None] - z[None]).square().sum(dim=2)
    return torch.where(apart > 0, torch.where(apart > 0, apart, 1.0).sqrt(), 0.0)


def st_flops(z):
    return sentence_loss("sparse_encoder.losses.flops", "FlopsLoss")(None).compute_loss_from_embeddings(z)


def mean_reducer():
    return metric_learning("reducers.MeanReducer")()


def torch_triplet(z, labels):
    """torch's loss takes the triplets ready: all of them, on unit rows."""
    u = normal(z)
    same = labels[:, None] == labels
    a, p, n = torch.where((same & ~torch.eye(len(z), dtype=torch.bool))[:, :, None] & ~same[:, None, :])
    return F.triplet_margin_loss(u[a], u[p], u[n], margin=0.2, eps=0.0)


# name: (our loss, its settings, inputs, the library's call)
SAME = {
    "pytorch-metric-learning NTXentLoss, two views": (
        "infonce",
        {"negatives": "views", "temperature": 0.07},
        views,
        lambda a, b: joined(metric_learning("losses.NTXentLoss")())(a, b),
    ),
    "pytorch-metric-learning NTXentLoss, ref_emb": (
        "infonce",
        {"symmetric": False, "temperature": 0.07},
        views,
        lambda a, b: metric_learning("losses.NTXentLoss")()(
            a, torch.arange(len(a)), ref_emb=b, ref_labels=torch.arange(len(a))
        ),
    ),
    "pytorch-metric-learning SupConLoss": (
        "supcon",
        {},
        labelled,
        lambda z, labels: metric_learning("losses.SupConLoss")()(z, labels),
    ),
    "pytorch-metric-learning SupConLoss, MeanReducer": (
        "supcon",
        {"mean_over": "rows"},
        labelled,
        lambda z, labels: metric_learning("losses.SupConLoss")(reducer=mean_reducer())(z, labels),
    ),
    "pytorch-metric-learning TripletMarginLoss": (
        "triplet",
        {"distance": "euclidean", "reduction": "mean_active"},
        labelled,
        pml_triplet,
    ),
    "pytorch-metric-learning TripletMarginLoss, power 2": (
        "triplet",
        {"reduction": "mean_active"},
        labelled,
        lambda z, labels: pml_triplet(z, labels, power=2),
    ),
    "pytorch-metric-learning TripletMarginLoss, MeanReducer": (
        "triplet",
        {"distance": "euclidean"},
        labelled,
        lambda z, labels: pml_triplet(z, labels, reducer=mean_reducer()),
    ),
    "pytorch-metric-learning TripletMarginLoss, BatchHardMiner": (
        "triplet",
        {"distance": "euclidean", "mining": "hard", "reduction": "mean_active"},
        labelled,
        lambda z, labels: pml_triplet(z, labels, miner="BatchHardMiner"),
    ),
    "pytorch-metric-learning TripletMarginLoss, smooth_loss": (
        "triplet",
        {"distance": "euclidean", "penalty": "softplus"},
        labelled,
        lambda z, labels: pml_triplet(z, labels, smooth_loss=True),
    ),
    "pytorch-metric-learning VICRegLoss": (
        "vicreg",
        {"variance_views": "mean"},
        views,
        lambda a, b: metric_learning("losses.VICRegLoss")()(a, ref_emb=b),
    ),
    "lightly NTXentLoss": (
        "infonce",
        {"negatives": "views", "temperature": 0.5},
        views,
        lambda a, b: lightly_loss("ntx_ent_loss", "NTXentLoss")()(a, b),
    ),
    "lightly DCLLoss": (
        "infonce",
        {"negatives": "views", "decoupled": True},
        views,
        lambda a, b: lightly_loss("dcl_loss", "DCLLoss")()(a, b),
    ),
    "lightly TiCoLoss": (
        "tico",
        {"offset": 1.0},
        views,
        lambda a, b: lightly_loss("tico_loss", "TiCoLoss")()(a, b),
    ),
    "sentence-transformers MultipleNegativesRankingLoss, two columns of hard negatives": (
        "infonce",
        {"symmetric": False, "temperature": 0.05},
        with_hard_negatives,
        lambda a, b, hard: st_ranking()([a, b, hard[:B], hard[B:]], None),
    ),
    "sentence-transformers MultipleNegativesRankingLoss, both directions": (
        "infonce",
        {"temperature": 0.05},
        with_hard_negatives,
        lambda a, b, hard: st_ranking(directions=BOTH, partition_mode="per_direction")(
            [a, b, hard[:B], hard[B:]], None
        ),
    ),
    "sentence-transformers BatchSemiHardTripletLoss": (
        "triplet",
        {"mining": "semihard_fallback", "distance": "euclidean", "normalize": False, "margin": 5.0},
        labelled,
        lambda z, labels: st_semihard(z, labels),
    ),
    "sentence-transformers FlopsLoss of rows >= 0": (
        "flops",
        {},
        lambda rng: {"z": np.abs(rng.standard_normal((B, D)))},
        lambda z: st_flops(z),
    ),
    "lightly BarlowTwinsLoss": (
        "barlow_twins",
        {"redundancy_weight": 5e-3},
        views,
        lambda a, b: lightly_loss("barlow_twins_loss", "BarlowTwinsLoss")()(a, b),
    ),
    "lightly VICRegLoss": (
        "vicreg",
        {"variance_views": "mean"},
        views,
        lambda a, b: lightly_loss("vicreg_loss", "VICRegLoss")()(a, b),
    ),
    "lightly HypersphereLoss": (
        "align_uniform",
        {},
        views,
        lambda a, b: lightly_loss("hypersphere_loss", "HypersphereLoss")(t=2.0, lam=1.0, alpha=2.0)(a, b),
    ),
    "open_clip ClipLoss": (
        "infonce",
        {"temperature": 0.07},
        views,
        lambda a, b: open_clip_loss("ClipLoss")()(normal(a), normal(b), 1 / 0.07),
    ),
    "open_clip SigLipLoss": (
        "siglip",
        {},
        views,
        lambda a, b: open_clip_loss("SigLipLoss")()(normal(a), normal(b), 10.0, -10.0),
    ),
    "entmax SparsemaxLoss": ("sparsemax", {}, scored, lambda scores, labels: entmax_loss()(scores, labels)),
    "torch cross_entropy": ("cross_entropy", {}, scored, F.cross_entropy),
    "torch cross_entropy, smoothed": (
        "cross_entropy",
        {"label_smoothing": 0.2, "temperature": 0.5, "reduction": "sum"},
        scored,
        lambda scores, labels: F.cross_entropy(scores / 0.5, labels, label_smoothing=0.2, reduction="sum"),
    ),
    "torch triplet_margin_loss": ("triplet", {"distance": "euclidean"}, labelled, torch_triplet),
    "torch mse_loss of hidden patches": (
        "masked_regression",
        {"normalize_target": False},
        predicted,
        lambda prediction, target, mask: F.mse_loss(prediction[mask], target[mask]),
    ),
    "torch l1_loss of hidden patches": (
        "masked_regression",
        {"normalize_target": False, "norm": "l1"},
        predicted,
        lambda prediction, target, mask: F.l1_loss(prediction[mask], target[mask]),
    ),
    "torch smooth_l1_loss of hidden patches": (
        "masked_regression",
        {"normalize_target": False, "norm": "smooth_l1", "beta": 0.5},
        predicted,
        lambda prediction, target, mask: F.smooth_l1_loss(prediction[mask], target[mask], beta=0.5),
    ),
}


def of_library(call, inputs, names):
    """Value and gradients of a library's loss in float64."""
    tensors = {n: torch.from_numpy(x.copy()).requires_grad_(n in names) for n, x in inputs.items()}
    value = call(*tensors.values())
    value.backward()
    return value.item(), {n: tensors[n].grad.numpy() for n in names}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("what", SAME)
def test_library_equals_our_variant(what, seed):
    name, settings, draw, call = SAME[what]
    inputs = draw(np.random.default_rng(seed))
    value, gradients = LOSSES[name].value_and_grad(**inputs, **settings)
    names = [n for n in gradients if n in inputs]
    theirs, their_gradients = of_library(call, inputs, names)
    assert theirs == pytest.approx(float(value), rel=1e-9)
    for n in names:
        bound = 1e-8 * np.abs(gradients[n]).max()
        np.testing.assert_allclose(their_gradients[n], gradients[n], rtol=0, atol=bound, err_msg=n)


def test_lightly_negative_cosine_is_one_direction_and_leaves_the_stop_gradient_to_the_caller():
    rng = np.random.default_rng(0)
    p, z = rng.standard_normal((2, B, D))
    loss = lightly_loss("negative_cosine_similarity", "NegativeCosineSimilarity")()
    theirs, gradients = of_library(loss, {"x0": p, "x1": z}, ["x0", "x1"])
    value, ours = LOSSES["negative_cosine"].value_and_grad(p, p, z, z)
    assert theirs == pytest.approx(float(value), rel=1e-12)
    np.testing.assert_allclose(gradients["x0"], ours["p1"] + ours["p2"], atol=1e-12)
    assert np.abs(gradients["x1"]).max() > 1e-2


def test_lightly_ntxent_with_a_memory_bank_is_moco():
    rng = np.random.default_rng(0)
    inputs = views(rng)
    loss = lightly_loss("ntx_ent_loss", "NTXentLoss")(temperature=0.2, memory_bank_size=(7, D))
    loss.double()
    loss(*(torch.from_numpy(x) for x in views(rng).values()))  # the bank is made at the first call
    queue = loss.memory_bank.bank.double().numpy().copy()
    settings = {"queue": queue, "negatives": "queue", "symmetric": False, "temperature": 0.2}
    value, gradients = LOSSES["infonce"].value_and_grad(**inputs, **settings)
    theirs, their_gradients = of_library(loss, inputs, ["a", "b"])
    assert theirs == pytest.approx(float(value), rel=1e-6)
    np.testing.assert_allclose(their_gradients["a"], gradients["a"], atol=1e-6)


def test_pytorch_metric_learning_ntxent_with_classes_is_not_supcon():
    """With several positives a row, NT-Xent there leaves an anchor's other positives out of each denominator."""
    inputs = labelled(np.random.default_rng(0))
    z = inputs["z"] / np.linalg.norm(inputs["z"], axis=1, keepdims=True)
    e = np.exp(z @ z.T / 0.1)
    per_pair = []
    for i in range(B):
        others = e[i][LABELS[i] != LABELS].sum()
        per_pair += [-np.log(e[i, j] / (e[i, j] + others)) for j in range(B) if j != i and LABELS[j] == LABELS[i]]
    loss = metric_learning("losses.NTXentLoss")(temperature=0.1)
    theirs, _ = of_library(lambda z, labels: loss(z, labels), inputs, ["z"])
    assert np.mean(per_pair) == pytest.approx(theirs, rel=1e-9)
    for form in ("out", "in"):
        assert abs(theirs - float(LOSSES["supcon"](**inputs, form=form).data)) > 0.01


def test_torch_triplet_margin_loss_adds_its_eps_to_every_difference():
    """The default eps 1e-6 is added to each coordinate's difference: not symmetric, and off by about 1e-6."""
    inputs = labelled(np.random.default_rng(0))
    u = torch.from_numpy(inputs["z"])
    value = F.triplet_margin_loss(u[:1], u[3:4], u[1:2], margin=50.0).item()
    a, p, n = inputs["z"][[0, 3, 1]]
    expected = np.linalg.norm(a - p + 1e-6) - np.linalg.norm(a - n + 1e-6) + 50.0
    assert value == pytest.approx(expected, rel=1e-12)


def test_sentence_transformers_flops_takes_no_absolute_value():
    z = np.array([[1.0, -2.0], [-1.0, 2.0]])
    assert st_flops(torch.from_numpy(z)).item() == 0 < float(LOSSES["flops"](z).data)


def test_torchmetrics_ssim_averages_over_reflected_borders():
    """It pads the images by reflection before the window and leaves as many places out of the mean again."""
    ssim = pytest.importorskip("torchmetrics.functional.image").structural_similarity_index_measure
    x, y = np.random.default_rng(0).random((2, 1, 1, 24, 24))
    theirs = ssim(torch.from_numpy(x), torch.from_numpy(y), data_range=1.0).item()
    padded = [np.pad(image, ((0, 0), (0, 0), (5, 5), (5, 5)), mode="reflect") for image in (x, y)]
    assert 1 - theirs == pytest.approx(float(LOSSES["ms_ssim"](*padded, scales=1).data), rel=1e-4)
    assert abs(1 - theirs - float(LOSSES["ms_ssim"](x, y, scales=1).data)) > 1e-3


def test_the_official_orthogonal_projection_takes_one_mean_over_all_pairs():
    """Its loss is the graph cut of averages where classes are of one size, and another where they are not."""
    rng = np.random.default_rng(0)
    for labels, same in ((np.arange(12) % 3, True), (np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2]), False)):
        z = rng.standard_normal((12, 4))
        u = z / np.linalg.norm(z, axis=1, keepdims=True)
        s, equal = u @ u.T, labels[:, None] == labels
        expected = s[~equal].mean() - s[equal & ~np.eye(12, dtype=bool)].mean()
        ours = LOSSES["score_graph_cut"](z, labels, form="information", balance=2.0, average=True)
        assert (float(ours.data) == pytest.approx(expected)) == same
