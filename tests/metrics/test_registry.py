import numpy as np
import pytest

from mini_repr.metrics import METRICS


def make_argument(name):
    z = np.random.default_rng(len(name)).normal(size=(40, 3)).astype("float32")
    if name in ("tokens", "mask"):
        return z.reshape(5, 8, 3) if name == "tokens" else np.arange(8) < np.arange(4, 9)[:, None]
    if name.endswith("labels"):
        return np.arange(40) % 3
    return np.ones((40, 40)) if name == "relevance" else z


@pytest.mark.parametrize("name", METRICS)
def test_metric_runs_on_what_it_says_it_needs(name):
    metric = METRICS[name]
    result = metric.function(*map(make_argument, metric.needs.split(",")))
    assert metric.function.__name__ == name
    assert metric.function.__doc__
    assert metric.description
    assert all(type(value) is float for value in (result if isinstance(result, tuple) else (result,)))
