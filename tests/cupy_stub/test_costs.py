"""What a training step costs a GPU, whatever its speed: launches, waits, and kernels in double precision."""

from typing import NamedTuple

import numpy as np
import pytest
import stub

from mini_repr.kernels.nearest import nearest_rows
from mini_repr.kernels.supervision import gaussian_neighbours
from mini_repr.pages.check_page import sampled_arguments
from mini_repr.pages.registry import all_losses
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

VIT = {"name": "vit", "width": 32, "depth": 4, "heads": 4, "patch": 2}
TEXT_TRANSFORMER = {"name": "text_transformer", "width": 32, "depth": 4, "heads": 4}
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
    "two views": Job({"loss": {"name": "infonce"}, "encoder": VIT}, 400, 1),
    "two views, MLP": Job({"loss": {"name": "infonce"}, "encoder": {"name": "mlp"}}, 210, 1),
    "momentum": Job({"loss": {"name": "infonce"}, "encoder": VIT, "method": {"name": "momentum"}}, 670, 1),
    "queue": Job({"loss": QUEUE, "encoder": VIT, "method": {"name": "momentum", "queue_size": 64}}, 670, 1),
    "BYOL": Job({"loss": {"name": "negative_cosine"}, "encoder": VIT, "method": {"name": "momentum"}}, 900, 1),
    "masked patches": Job({"loss": {"name": "masked_regression"}, "encoder": VIT}, 420, 1),
    "classifier": Job({"loss": {"name": "cross_entropy"}, "encoder": VIT}, 330, 1),
    "supervised contrast": Job({"loss": {"name": "supcon"}, "encoder": VIT}, 450, 1),
    "CIP": Job({"loss": {"name": "cip"}, "encoder": VIT}, 450, 1),
    "texts": Job(
        {"loss": {"name": "infonce"}, "data": {"name": "glosses"}, "encoder": TEXT_TRANSFORMER},
        *(620, 1, DOUBLE | SHARES),
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


OF_LABELS = {name: loss for name, loss in all_losses().items() if loss.compares == "labels"}
# How many triplets count depends on their distances.
COUNTING = {"triplet", "gfss_triplet"}


@pytest.mark.parametrize("name", sorted(OF_LABELS))
def test_labels_are_counted_on_the_host(name, backend):
    loss = OF_LABELS[name]
    arguments = sampled_arguments(loss, "default", np.random.default_rng(0))
    z = backend.asarray(arguments.pop("z").astype("float32"))
    stub.reset()
    loss.thing(**loss.checked({**loss.bind((z,), arguments)}))[1](backend.xp.ones((), dtype="float32"))
    assert stub.waits() == (name in COUNTING), stub.counts()


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
