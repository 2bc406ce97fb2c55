"""What a training step costs a GPU, whatever its speed: launches, waits, and kernels in double precision."""

from typing import NamedTuple

import numpy as np
import pytest
import stub
from moved import on_device, uploaded

from mini_repr.kernels.nearest import nearest_rows
from mini_repr.kernels.supervision import gaussian_neighbours
from mini_repr.pages.check_page import differentiable, sampled_arguments
from mini_repr.pages.registry import all_losses
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

VIT = {"name": "vit", "width": 32, "depth": 4, "heads": 4, "patch": 2}
TEXT_TRANSFORMER = {"name": "text_transformer", "width": 32, "depth": 4, "heads": 4}
SENTENCES = {"data": {"name": "sentences"}, "encoder": {**TEXT_TRANSFORMER, "dropout": 0.1}}
# What is read from the device at once is a float64 array; a share of the words of a text comes from integers.
DOUBLE = {"cupy_copy__float32_float64", "cupy_copy__float64_float64"}
SHARES = {"cupy_true_divide__bool_int64_float64", "cupy_copy__float64_float32"}


class Job(NamedTuple):
    """A run, and the most that a step of it may cost.

    The one wait of a step reads loss, terms and gradient norm. Labels, masks, words and numbers of patches are checked
    and counted on the host, before they are moved.
    """

    settings: dict
    launches: int
    waits: int
    double: set = DOUBLE


QUEUE = {"name": "infonce", "negatives": "queue", "symmetric": False}
JOBS = {
    "two views": Job({"loss": {"name": "infonce"}, "encoder": VIT}, 300, 1),
    "two views, MLP": Job({"loss": {"name": "infonce"}, "encoder": {"name": "mlp"}}, 190, 1),
    "momentum": Job({"loss": {"name": "infonce"}, "encoder": VIT, "method": {"name": "momentum"}}, 520, 1),
    "queue": Job({"loss": QUEUE, "encoder": VIT, "method": {"name": "momentum", "queue_size": 64}}, 530, 1),
    "BYOL": Job({"loss": {"name": "negative_cosine"}, "encoder": VIT, "method": {"name": "momentum"}}, 760, 1),
    "masked patches": Job({"loss": {"name": "masked_regression"}, "encoder": VIT}, 340, 1),
    "classifier": Job({"loss": {"name": "cross_entropy"}, "encoder": VIT}, 250, 1),
    "supervised contrast": Job({"loss": {"name": "supcon"}, "encoder": VIT}, 350, 1),
    "CIP": Job({"loss": {"name": "cip"}, "encoder": VIT}, 300, 1),
    "SigLIP": Job({"loss": {"name": "siglip"}, "encoder": VIT}, 310, 1),
    "learned temperature": Job({"loss": {"name": "infonce", "learn": ["temperature"]}, "encoder": VIT}, 320, 1),
    "triplets": Job({"loss": {"name": "triplet"}, "encoder": VIT}, 770, 1),
    "latent MIM": Job({"loss": {"name": "patch_discrimination"}, "encoder": VIT}, 510, 1),
    "CAPI": Job({"loss": {"name": "cluster_prediction"}, "encoder": VIT}, 670, 1),
    "masked contrast": Job(
        {"loss": {"name": "infonce"}, "encoder": VIT, "method": {"name": "masked_contrast"}}, 870, 1
    ),
    "masked clips": Job(
        {"loss": {"name": "masked_regression"}, "data": {"name": "moving", "count": 80}, "encoder": VIT}, 340, 1
    ),
    "masked token optimisation": Job(
        {"loss": {"name": "masked_regression"}, "encoder": VIT, "method": {"name": "mto"}}, 660, 1
    ),
    "adaptive length": Job(
        {
            "loss": {"name": "masked_regression", "normalize_target": False},
            "encoder": {"name": "alit"},
            "method": {"name": "alit", "halting": 0.1},
        },
        *(1440, 1),
    ),
    "jigsaw": Job(
        {
            "loss": {"name": "cross_entropy"},
            "data": {"name": "coloured", "count": 80},
            "encoder": {"name": "tiles"},
            "method": {"name": "jigsaw", "views": ""},
        },
        *(170, 1),
    ),
    "flow": Job({"method": {"name": "flow"}, "encoder": {"name": "denoiser", "depth": 2, "patch": 4}}, 280, 1),
    # The host draws which patches to hide from scores that it reads.
    "HPM": Job({"loss": {"name": "patch_order"}, "encoder": VIT}, 460, 2),
    "texts": Job(
        {"loss": {"name": "infonce"}, "data": {"name": "glosses"}, "encoder": TEXT_TRANSFORMER},
        *(520, 1, DOUBLE | SHARES),
    ),
    "graded pairs": Job(
        {"loss": {"name": "cosent"}, "data": {"name": "glosses", "kind": "graded"}, "encoder": TEXT_TRANSFORMER},
        *(510, 1, DOUBLE | SHARES),
    ),
    "images and captions": Job(
        {
            "loss": {"name": "infonce", "learn": ["temperature"]},
            "data": {"name": "captions", "count": 64},
            "encoder": {**VIT, "pooling": "max"},
        },
        *(320, 1, DOUBLE | SHARES),
    ),
    # The host draws negatives from similarities that it reads, and a word of each caption.
    "soft masks": Job(
        {
            "method": {"name": "soft_masks"},
            "data": {"name": "captions", "count": 64},
            "encoder": VIT,
        },
        *(690, 2, DOUBLE | SHARES),
    ),
    "SimCSE": Job({"loss": {"name": "infonce"}, **SENTENCES}, *(640, 1, DOUBLE | SHARES)),
    "masked words": Job({"loss": {"name": "cross_entropy"}, **SENTENCES}, *(360, 1, DOUBLE | SHARES)),
    "token dropping": Job(
        {"loss": {"name": "cross_entropy"}, "method": {"keep": 4}, **SENTENCES}, *(520, 1, DOUBLE | SHARES)
    ),
    "ExLM": Job({"loss": {"name": "dag_likelihood"}, **SENTENCES}, *(750, 1, DOUBLE | SHARES)),
    # The encoder checks the words that were drawn on the device.
    "ELECTRA": Job({"loss": {"name": "replaced_tokens"}, **SENTENCES}, *(620, 2, DOUBLE | SHARES)),
    "clicks": Job(
        {"loss": {"name": "cross_entropy"}, "data": {"name": "clicks", "count": 200}, "method": {"cross_layers": 2}},
        *(200, 1),
    ),
    # That no count is negative and no variance too large is read from the device.
    "topics of documents": Job(
        {"loss": {"name": "topic_elbo"}, "data": {"name": "documents"}, "encoder": {"name": "text"}},
        *(500, 3, DOUBLE | SHARES),
    ),
    "MAE-LM": Job(
        {"loss": {"name": "cross_entropy"}, "method": {"style": "mae_lm"}, **SENTENCES}, *(440, 1, DOUBLE | SHARES)
    ),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_step_keeps_to_its_budget(name, backend):
    job = JOBS[name]
    settings, data = prepare({**job.settings, "train": {"batch_size": 32}})
    run = Run(settings, data, backend)
    batches = iter(run.batches.epoch_batches(0))
    run.train_step(next(batches))  # makes arrays that later steps keep
    stub.reset()
    run.train_step(next(batches))
    kernels = {what.removeprefix("kernel ") for what in stub.counts() if what.startswith("kernel ")}
    assert stub.launches() <= job.launches and stub.waits() <= job.waits, (stub.launches(), stub.waits())
    assert {kernel for kernel in kernels if "float64" in kernel} <= job.double


LOSSES = all_losses()
VARIANTS = [(name, variant) for name, loss in LOSSES.items() for variant in ("default", *loss.variants)]
OF_LEARNED = [
    (name, variant) for name, variant in VARIANTS if any(p.annotation.differentiable for p in LOSSES[name].settings)
]
# Why some losses wait all the same, and with which variants.
WAITING = {
    "numbers that come with the rows must be in their range": {
        "a_mim": ["default", "vae", "sum"],
        "dclr": ["weighted", "weights_only", "official_code"],
        "icon": ["supcon", "cross_entropy", "sne", "t_sne", "clustering", "debiased", "cross_term"],
        "isogclr": ["with_state", "official_code", "two_modalities"],
        "opinion_emd": ["default", "root"],
        "sparsemax_multilabel": ["default", "sum"],
        "flow_matching": ["masked", "over_mask"],
        "topic_elbo": ["default", "per_word"],
        "attention_conflict": ["default"],
        "entity_missing": ["default", "official_code"],
        "error_contrast": ["default", "negative", "with_denoising"],
        "map_count": ["default", "squared"],
        "map_in_mask": ["default"],
        "map_overlap": ["default", "together", "iou"],
        "spatial_relation": ["default", "right_of", "above", "below"],
    },
    "a singular covariance is refused": {"wmse": ["default", "sub_batches", "shrunk", "not_normalized"]},
    "a constant column is refused with eps 0": {"barlow_twins": ["unbiased", "equation"]},
    "a logarithm whose exponential is beyond float32 is refused": {"mrl_kl": ["log_variance"]},
}
WAITING_FOR_LEARNED = {
    **WAITING,
    "the temperature decides how many cells there are": {"mw_loss": ["default", "own_negatives", "sum"]},
}


def waits_of(name, variant, backend, learned):
    """How often the host waits for value and gradient of a loss, its scalars on the device where they are learned."""
    loss = LOSSES[name]
    arguments = sampled_arguments(loss, variant, np.random.default_rng(0))
    moved = {n: on_device(backend, loss, n, value, "float32") for n, value in arguments.items()}
    if learned:
        moved |= {n: uploaded(backend, moved[n], "float32") for n in differentiable(loss, moved)}
    stub.reset()
    with stub.answers(True, (False, False, True)):  # nothing is out of its range, and some row has a target
        value, backward, *_ = loss.thing(**loss.checked(loss.bind((), moved)))
    backward(backend.xp.ones(value.shape, dtype="float32"))
    return stub.waits()


def waiting(reasons):
    return {(name, variant) for of_reason in reasons.values() for name, own in of_reason.items() for variant in own}


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_losses_do_not_wait(name, variant, backend):
    assert (waits_of(name, variant, backend, learned=False) > 0) == ((name, variant) in waiting(WAITING))


@pytest.mark.parametrize("name, variant", OF_LEARNED)
def test_losses_do_not_read_what_is_learned(name, variant, backend):
    found = waits_of(name, variant, backend, learned=True) > 0
    assert found == ((name, variant) in waiting(WAITING_FOR_LEARNED))


def test_nearest_rows_are_found_without_a_wait(backend):
    x = backend.asarray(np.random.default_rng(0).standard_normal((20, 3), dtype=np.float32))
    stub.reset()
    nearest_rows(x, 4)
    assert stub.waits() == 0


def test_what_goes_step_by_step_is_one_launch(backend):
    """Launches that do not grow with the steps of a bisection or with the length of sequences."""
    rng = np.random.default_rng(0)
    x, long, short = (
        backend.asarray(rng.standard_normal(s, dtype=np.float32)) for s in ((20, 3), (4, 60, 3), (4, 30, 3))
    )
    stub.reset()
    gaussian_neighbours(x, 5.0)
    assert stub.launches() <= 30 and stub.counts()["kernel of_entropy"] == 1
    stub.reset()
    all_losses()["best_alignment"].value_and_grad(long, short)
    assert stub.launches() <= 50 and stub.counts()["kernel best_paths"] == 1
