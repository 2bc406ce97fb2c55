"""Procedures with fit and transform keep scikit-learn's manners, and what they fitted is a file."""

import numpy as np
import pytest

from mini_repr.data.readers.npz import read_arrays
from mini_repr.pages.registry import pages_of
from mini_repr.posthoc.estimator import Estimator, load_fitted

ESTIMATORS = {
    name: page.thing
    for name, page in pages_of("procedure").items()
    if isinstance(page.thing, type) and issubclass(page.thing, Estimator)
}
# Settings with which a fit takes no time.
QUICK = {
    "inlp": {"rounds": 2},
    "pca": {"components": 2},
    "tldr": {"dimensions": 2, "epochs": 1, "hidden": 8, "projected": 4},
    "csr": {"k": 2, "epochs": 2},
    "class_gaussians": {"per_class": 3},
    "mixture_vae": {"charts": 2, "steps": 3, "hidden": 4},
    "orbit": {"group": "so2", "steps": 2, "hidden": 8},
}


def answer(fitted, z):
    """The rows transformed; samples of what makes new ones."""
    return fitted.transform(z) if hasattr(fitted, "transform") else fitted.sample(5, np.random.default_rng(0)).z


def rows(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(80) % 2
    return rng.normal(size=(80, 6)) + labels[:, None] * [1.0, 0.5, 0, 0, 0, 0], labels


@pytest.fixture(params=ESTIMATORS)
def quick(request):
    return ESTIMATORS[request.param](**QUICK[request.param])


def test_settings_are_stored_as_they_came_and_checked_by_fit(quick):
    first = next(iter(quick.get_params()))
    wrong = object()
    changed = type(quick)(**{first: wrong})
    assert changed.get_params()[first] is wrong
    with pytest.raises(ValueError, match=f"{first}: got "):
        changed.fit(*rows())
    with pytest.raises(ValueError, match="no such setting"):
        quick.set_params(nonsense=1)
    assert quick.set_params(**{first: 3}).get_params()[first] == 3
    assert repr(quick).startswith(f"{type(quick).__name__}({first}=3")
    assert repr(type(quick)()) == f"{type(quick).__name__}()"


def test_what_is_fitted_is_a_file(quick, tmp_path):
    z, labels = rows()
    quick.fit(z, labels).save(tmp_path / "fitted.npz")
    again = load_fitted(read_arrays(tmp_path / "fitted.npz"), "fitted.npz")
    assert type(again) is type(quick) and again.get_params() == quick.get_params()
    np.testing.assert_array_equal(answer(again, z), answer(quick, z))
    with pytest.raises(ValueError, match=r"rows.npz: holds z, expected what a procedure's --out wrote"):
        load_fitted({"z": z}, "rows.npz")


def test_a_second_fit_forgets_the_first(quick):
    first, second = rows(0), rows(1)
    expected = answer(type(quick)(**quick.get_params()).fit(*second), second[0])
    np.testing.assert_array_equal(answer(quick.fit(*first).fit(*second), second[0]), expected)


def test_scikit_learn_clones_searches_and_pipes_it(quick):
    base = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    copy = base.clone(quick)
    assert copy is not quick and copy.get_params() == quick.get_params()
    z, labels = rows()
    if not hasattr(quick, "transform"):
        return
    piped = make_pipeline(copy, LogisticRegression()).fit(z, labels)
    assert piped.predict(z).shape == (80,)
    np.testing.assert_allclose(piped[0].transform(z), quick.fit(z, labels).transform(z))
    name, first = type(quick).__name__.lower(), next(iter(quick.get_params()))
    assert piped.set_params(**{f"{name}__{first}": 4}).named_steps[name].get_params()[first] == 4
