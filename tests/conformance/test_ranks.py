"""The distributed oracle: the factors of the schemes, by theory; and a rank's loss held against the whole batch's."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.autograd import Tensor
from mini_repr.cli import main
from mini_repr.conformance.compare import expected_outcome
from mini_repr.conformance.ranks import check_ranks
from mini_repr.conformance.schemes import CLOSE, cross_gradients, effective, scheme_fits, shards
from mini_repr.pages.registry import all_losses
from mini_repr.pages.samples import sample_inputs

DECOMPOSABLE = ("infonce", "siglip", "supcon")
WORLDS = (1, 2, 4)


def batch(name, rows=8):
    loss = all_losses()[name]
    rng = np.random.default_rng(0)
    sizes = {"B": rows, "N": rows, "D": 5, "K": 7}
    return loss, loss.complete(sample_inputs(loss, rng, sizes=sizes))


@pytest.mark.parametrize("name", DECOMPOSABLE)
@pytest.mark.parametrize("world", WORLDS)
def test_anchors_dealt_to_ranks_give_the_whole_loss(name, world):
    loss, arguments = batch(name)
    values, gradients = cross_gradients(loss, arguments, world)
    exact = expected_outcome(loss, arguments)
    assert values.shape == (world,)
    assert values.mean() == pytest.approx(exact.value, rel=1e-12)
    found = effective(gradients, shards(8, world), gather_gradient=True)
    for n, gradient in found.items():
        np.testing.assert_allclose(gradient, exact.gradients[n], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [*DECOMPOSABLE, "barlow_twins", "vicreg"])
@pytest.mark.parametrize("world", WORLDS)
def test_factors_of_the_schemes(name, world):
    loss, arguments = batch(name)
    factors = {scheme.name: fit for scheme, fit in scheme_fits(loss, arguments, world)}
    expected = {
        "local_gather_grad": 1,
        "local_gather_grad_sum": world,
        "local_divided": 1 / world,
        "whole_gather_grad": 1,
        "whole_gather_grad_sum": world,
        "whole_gather": 1 / world,
        "whole_gather_sum": 1,
    }
    for scheme, factor in expected.items():
        if scheme in factors:
            assert factors[scheme].exact and factors[scheme].factor == pytest.approx(factor, rel=1e-9), scheme
    for scheme in ("local_gather", "alone"):
        if scheme in factors:
            assert factors[scheme].exact == (world == 1), scheme
    assert ("local_gather" in factors) == (name in DECOMPOSABLE)


def test_gather_without_gradient_misses_what_other_ranks_send():
    """By hand for two ranks: the missing part of rank 0's rows is the gradient of rank 1's loss for them."""
    loss, arguments = batch("infonce", rows=4)
    _, gradients = cross_gradients(loss, arguments, 2)
    parts = shards(4, 2)
    whole = effective(gradients, parts, True)["a"]
    cut = effective(gradients, parts, False)["a"]
    other = Tensor(arguments["a"], requires_grad=True)
    loss(other, arguments["b"], reduction="none")[2:].mean().backward()
    np.testing.assert_allclose((whole - cut)[:2], other.grad[:2] / 2, rtol=1e-12, atol=1e-15)


def test_rows_must_divide():
    with pytest.raises(ValueError, match="got 7 rows for 2 ranks"):
        shards(7, 2)


CODE = """
import numpy as np
import torch
import torch.nn.functional as F

def local(a, b, all_a, all_b, rank, temperature=0.1):
    a, b, all_a, all_b = (F.normalize(x, dim=1) for x in (a, b, all_a, all_b))
    target = rank * len(a) + torch.arange(len(a))
    return (F.cross_entropy(a @ all_b.T / temperature, target) + F.cross_entropy(b @ all_a.T / temperature, target)) / 2

def own_rows_put_back(a, b, all_a, all_b, rank):
    own = slice(rank * len(a), (rank + 1) * len(a))
    all_a, all_b = all_a.detach().clone(), all_b.detach().clone()
    all_a[own], all_b[own] = a, b
    return all_a, all_b

def no_gradient(a, b, all_a, all_b, rank, temperature=0.1):
    return local(a, b, *own_rows_put_back(a, b, all_a, all_b, rank), rank, temperature)

def all_detached(a, b, all_a, all_b, rank, temperature=0.1):
    return local(a, b, all_a.detach(), all_b.detach(), rank, temperature)

def whole(a, b, all_a, all_b, rank, temperature=0.1):
    return local(all_a, all_b, all_a, all_b, 0, temperature)

def whole_no_gradient(a, b, all_a, all_b, rank, temperature=0.1):
    return whole(a, b, *own_rows_put_back(a, b, all_a, all_b, rank), rank, temperature)

def gradient_times_w(a, b, all_a, all_b, rank, temperature=0.1):
    value, world = local(a, b, all_a, all_b, rank, temperature), len(all_a) // len(a)
    return world * value - ((world - 1) * value).detach()

def no_offset(a, b, all_a, all_b, rank, temperature=0.1):
    return local(a, b, all_a, all_b, 0, temperature)

def summed(a, b, all_a, all_b, rank, temperature=0.1):
    return local(a, b, all_a, all_b, rank, temperature) * len(a)
"""


@pytest.mark.crosscheck
@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize(
    "function, code, words",
    [
        ("local", 0, "value and gradient are those of the whole batch"),
        ("whole", 0, "value and gradient are those of the whole batch"),
        ("no_gradient", 1, "own anchors, gather without gradient, averaged"),
        ("all_detached", 1, "no gradient reaches the gathered rows, the rank's own among them"),
        ("whole_no_gradient", 1, "the gradient is 1/W"),
        ("gradient_times_w", 1, "the gradient is W times"),
        ("no_offset", 1, "right on rank 0 only"),
        ("summed", 1, "is not the whole batch's loss"),
    ],
)
def test_a_ranks_loss_is_judged_and_the_scheme_named(tmp_path, world, function, code, words):
    pytest.importorskip("torch")
    path = tmp_path / "distributed.py"
    path.write_text(CODE)
    result = CliRunner().invoke(main, ["check", f"{path}:{function}", "--against", "infonce", "--ranks", str(world)])
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())


def test_the_table_of_schemes_is_printed():
    result = CliRunner().invoke(main, ["check", "--against", "infonce", "--ranks", "4"])
    assert result.exit_code == 0, result.output
    rows = result.output.replace("\n      ", "  ").splitlines()[1:]  # what has no room stands below
    lines = {row.rsplit("  ", 1)[0].strip(): row.rsplit("  ", 1)[1] for row in rows}
    assert lines["own anchors, gather with gradient, averaged"] == "equal"
    assert lines["own anchors, gather with gradient, summed"] == "W times (W = 4)"
    assert lines["own anchors, gather with gradient, loss / W, averaged"] == "1/W (W = 4)"
    assert lines["own anchors, gather without gradient, averaged"].startswith("no multiple")


def test_labels_are_dealt_too_and_values_alone_are_compared():
    def local(z, labels, all_z, all_labels, rank, temperature):
        u = all_z / np.linalg.norm(all_z, axis=1, keepdims=True)
        logits = u @ u.T / temperature
        np.fill_diagonal(logits, -np.inf)
        same = (all_labels[:, None] == all_labels) & ~np.eye(len(u), dtype=bool)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        per_row = -np.where(same, log_p, 0).sum(axis=1) / same.sum(axis=1)
        return per_row[rank * len(z) : (rank + 1) * len(z)].mean()

    report = check_ranks(local, "supcon", 2, framework="numpy")
    assert report.exit_code == 0 and report.value_error < CLOSE
    assert report.verdict == "the values agree; no gradients came back"
