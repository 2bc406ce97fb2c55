"""Tables: the sum of parts, each of them by loops, and what a run says of itself."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.cli import main
from mini_repr.data import load
from mini_repr.kernels.pair_products import pair_products
from mini_repr.methods import Batch, build_method
from mini_repr.methods.column_search import searched_columns
from mini_repr.metrics.auc import auc_of_scores
from mini_repr.nn.cross_network import CrossNetwork
from mini_repr.nn.fields import long_tailed_step
from mini_repr.training import config, session

DATA = load("clicks", count=80)


def method_for(numbers="linear", selected=False, **method):
    chosen = {
        "loss": {"name": "cross_entropy"},
        "method": {"name": "click_through", **method},
        "encoder": {"name": "fields", "dimensions": 3, "numbers": numbers, "bins": 4, "selected": selected},
    }
    made = build_method(config.resolve(chosen, "tables"), DATA, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += rng.uniform(-0.5, 0.5, parameter.shape).astype(np.float32)
    return made


def test_products_of_all_pairs_by_loops():
    v = np.random.default_rng(0).standard_normal((4, 5, 3))
    expected = [sum(row[f] @ row[g] for g in range(5) for f in range(g)) for row in v]
    np.testing.assert_allclose(pair_products(v).data, expected, rtol=1e-12)


def test_crosses_by_loops():
    network, x = CrossNetwork(4, 3, np.random.default_rng(0), np.float64), np.random.default_rng(1).random((2, 4))
    for parameter in network.parameters():
        parameter.data += 0.3
    for row, found in zip(x, network(x).data, strict=True):
        crossed = row
        for weight, bias in zip(network.weights, network.biases, strict=True):
            crossed = row * sum(a * b for a, b in zip(crossed, weight.data[:, 0], strict=True)) + bias.data + crossed
        np.testing.assert_allclose(found, crossed, rtol=1e-12)


@pytest.mark.parametrize("numbers", ["linear", "equal_frequency"])
def test_the_logit_is_the_sum_of_its_parts(numbers):
    method = method_for(numbers, pairs=True, cross_layers=2, hidden=8).eval()
    rows = DATA.test.rows
    tokens = method.encoder(rows).tokens
    linear = method.linear(rows).tokens.data[:, :, 0].sum(axis=1)
    deep, crossed = method.mlp(tokens.reshape(len(rows), -1)), method.out(method.cross(tokens.reshape(len(rows), -1)))
    expected = method.bias.data + linear + pair_products(tokens).data + (deep.data + crossed.data)[:, 0]
    np.testing.assert_allclose(method.logits(rows), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_log_loss_and_parts_can_be_left_out():
    method = method_for(pairs=False, hidden=0)
    rows = method.load(DATA.train, CPU)[0]
    step = method.step(Batch((rows,), DATA.train.labels), np.random.default_rng(0))
    z = method.logits(rows).astype(np.float64)
    p = np.where(DATA.train.labels == 1, 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z)))
    assert float(step.total.data) == pytest.approx(-np.log(p).mean(), rel=1e-5)
    assert not any(name.startswith(("mlp", "cross")) for name in method.named_parameters())
    step.total.backward()
    assert method.encoder.values.weight.grad is None, "linear terms alone do not use the field vectors"


def test_bins_of_equal_frequency_do_not_change_under_monotone_maps():
    bent = load("clicks", count=80)
    for part in (bent.train, bent.test):
        part.rows[:, 12:] = np.exp(part.rows[:, 12:])
    rng = np.random.default_rng
    made = [type(method_for().encoder)(one.train, rng(0), numbers="equal_frequency", bins=4) for one in (DATA, bent)]
    # Quantiles lie between two training numbers: training rows keep their bins.
    np.testing.assert_array_equal(made[0](DATA.train.rows).pooled.data, made[1](bent.train.rows).pooled.data)


def test_soft_bins_at_a_low_temperature_are_one_bin():
    encoder = method_for("soft_bins").encoder
    encoder.temperature = 1e-5
    tokens = encoder(DATA.test.rows).tokens.data[:, 12:]
    distance = np.abs(tokens[:, :, None] - encoder.vectors.data).max(axis=-1).min(axis=-1)
    assert distance.max() < 1e-4


def test_a_run_says_how_well_it_answers(tmp_path):
    args = ["train", "--method", "click_through", "--data", "clicks", "--set", "data.count=200", "--epochs", "1"]
    result = CliRunner().invoke(main, [*args, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0 and "AUC" in result.output and "log loss" in result.output, result.output
    report = session.compare(*session.opened(tmp_path / "run"))
    assert report["share of yes"]["auc"] == 0.5 and 0 < report["trained"]["log_loss"] < 2
    _, data = session.opened(tmp_path / "run")
    share, test = data.train.labels.mean(), data.test.labels.mean()
    assert report["share of yes"]["log_loss"] == pytest.approx(-test * np.log(share) - (1 - test) * np.log(1 - share))
    assert session.embed(tmp_path / "run", None, tmp_path / "z.npz") == {"z": (250, 14 * 8)}
    with pytest.raises(ValueError, match=r"data digits: the run in .* knows the values of its own table alone"):
        session.opened(tmp_path / "run", "digits")


def test_a_resumed_run_on_a_file_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"s{rng.integers(4)},{rng.random():.3f},{rng.integers(2)}" for _ in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["site,price,click", *lines]))
    chosen = {
        "loss": {"name": "cross_entropy"},
        "data": {"name": str(tmp_path / "t.csv"), "categories": "site", "numbers": ["price"]},
        "encoder": {"numbers": "equal_frequency"},
        "train": {"batch_size": 12, "epochs": 2},
    }
    states = []
    for stop in (False, True):
        run, home = session.start(chosen, tmp_path / f"run{stop}")
        epochs = session.remaining_epochs(run, home)
        next(epochs)
        if stop:
            home.close()
            run, home = session.resume(tmp_path / f"run{stop}", {})
            epochs = session.remaining_epochs(run, home)
        for _ in epochs:
            pass
        home.close()
        states.append(run.method.state_dict())
    assert all(np.array_equal(states[0][name], array) for name, array in states[1].items())


def test_the_slope_of_the_step_is_the_official_codes():
    """BinaryStep of fuyuanlyu/OptEmbed, models/layer.py, number by number."""
    u = Tensor(np.linspace(-1.5, 1.5, 31), requires_grad=True)
    step = long_tailed_step(u)
    np.testing.assert_array_equal(step.data, u.data > 0)
    (step * np.arange(31.0)).sum().backward()
    for k, x in enumerate(u.data):
        slope = 0 if abs(x) > 1 else 0.4 if abs(x) > 0.4 else 2 - 4 * abs(x)
        assert u.grad[k] == pytest.approx(slope * k)


def test_values_below_their_threshold_do_not_count():
    method = method_for(selected=True, pairs=True, threshold_weight=0.5)
    encoder = method.encoder
    encoder.thresholds.data[:] = 1e3
    tokens = encoder(DATA.test.rows).tokens.data
    assert not tokens[:, :12].any() and tokens[:, 12:].any() and encoder.kept() == 0
    encoder.thresholds.data[:] = -1.0
    codes = DATA.test.rows[:, :12].astype(int) + np.cumsum([0, *DATA.train.sizes[:-1]])
    np.testing.assert_array_equal(encoder(DATA.test.rows).tokens.data[:, :12], encoder.values.weight.data[codes])
    assert encoder.kept() == 1
    encoder.thresholds.data[:] = 0.1
    step = method.step(Batch((DATA.train.rows,), DATA.train.labels), np.random.default_rng(0))
    log_loss = float(step.total.terms["cross_entropy"])
    assert float(step.total.data) == pytest.approx(log_loss + 0.5 * 12 * np.exp(-0.1), rel=1e-5)
    step.total.backward()
    assert encoder.thresholds.grad.any()


def test_columns_beyond_those_that_count_do_nothing():
    method = method_for(sampled_columns=True)
    rows, columns = method.sample(DATA.train.rows, np.random.default_rng(0))
    assert columns.shape == rows.shape and columns.min() == 1 and columns.max() == 3
    tokens = method.encoder(rows, columns).tokens.data
    np.testing.assert_array_equal(tokens != 0, np.arange(3) < columns[..., None])
    full = method.encoder(rows).tokens.data
    np.testing.assert_array_equal(tokens[tokens != 0], full[tokens != 0])
    method.encoder.columns[...] = 2
    np.testing.assert_array_equal(method.encoder(rows).tokens.data[..., 2], 0)


def test_the_search_finds_the_columns_that_tell():
    """Labels are the logits' own with two columns of the first field and one of the others: nothing else ranks so."""
    method = method_for(hidden=0).eval()
    rows, wanted = DATA.train.rows, np.array([3, *[1] * 13])
    z = method.logits(rows, wanted)
    labels = (z > np.median(z)).astype(np.int64)
    found = searched_columns(method, rows, labels, np.random.default_rng(0), share=0.4, rounds=8)
    assert found.sum() <= 0.4 * 14 * 3 and found.min() >= 1
    random = np.random.default_rng(1)
    few = [np.minimum(random.integers(1, 4, 14), random.integers(1, 3, 14)) for _ in range(20)]
    scores = [auc_of_scores(method.logits(rows, c).astype(float), labels == 1) for c in (found, *few)]
    assert scores[0] >= max(one for one, c in zip(scores[1:], few, strict=True) if c.sum() <= 16)
    for share in (0.1, 1.5):
        with pytest.raises(ValueError, match=f"searched_columns: share: got {share}, expected a number"):
            searched_columns(method, rows, labels, np.random.default_rng(0), share=share)


def test_other_data_and_losses_are_refused():
    with pytest.raises(ValueError, match="method click_through: takes tables, the data holds images"):
        config.resolve({"method": {"name": "click_through"}, "loss": {"name": "cross_entropy"}}, "images")
    with pytest.raises(ValueError, match="method click_through: cannot train infonce"):
        config.resolve({"method": {"name": "click_through"}, "loss": {"name": "infonce"}}, "tables")
