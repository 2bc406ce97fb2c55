"""Every metric that saved embeddings have the arrays for."""

import numpy as np

from mini_repr.pages.arguments import finite
from mini_repr.pages.registry import pages_of

ROWS = ("z", "a", "b", "queries", "candidates")
READ = ("z", "a", "b", "labels", "is_test", "queries", "candidates", "relevance", "tokens", "mask")


def metrics_of_arrays(arrays, source):
    """{metric: number} of arrays such as ``mini-repr embed`` writes.

    With ``is_test`` (N,) the probes fit on the other rows, and every metric is of the test rows. With ``a`` and ``b``
    and no ``z``, what needs one set of rows is given for each side. ``few_label_probe`` gives its mean alone.

    Args:
        arrays: {name: array}; names that no metric takes are left aside. source: where they came from, for errors.
    Returns:
        (numbers, {metric: why it could not be computed}).
    Raises:
        ValueError: rows, labels or an is_test that are none, or none of a metric's arrays.
    """
    found = ", ".join(arrays) or "nothing"
    arrays = {name: arrays[name] for name in READ if name in arrays}
    _check(arrays, source)
    is_test = arrays.pop("is_test", None)
    tested = None if is_test is None else _places(is_test)
    test = {}
    for name, array in arrays.items():
        whole = is_test is None or name in ("queries", "candidates", "relevance")
        if not whole and len(array) != len(is_test):
            raise ValueError(f"{source}: {name}: got {len(array)} rows, expected the {len(is_test)} of is_test")
        test[name] = array if whole else array[tested]
    numbers, failed = {}, {}
    if "labels" in arrays and "z" in arrays and (is_test is None or is_test.all()):
        probes = [metric.name for metric in pages_of("metric").values() if "train_z" in metric.needs]
        failed[", ".join(probes)] = (
            "every row is a test row; is_test (N,) with some false rows names those to learn from"
        )
    elif "labels" in arrays and "z" in arrays:
        others = _places(~is_test)
        test |= {"train_z": arrays["z"][others], "train_labels": arrays["labels"][others]}
        test |= {"test_z": test["z"], "test_labels": test["labels"]}
    for metric in pages_of("metric").values():
        for label, needs in _ways(metric, test).items():
            rows = len(test[next(iter(needs.values()))])
            if metric.most_rows and rows > metric.most_rows:
                failed[label] = (
                    f"{rows} rows, of which it takes {metric.most_rows} in reasonable time; call it yourself"
                )
                continue
            try:
                value = metric(**{argument: test[one] for argument, one in needs.items()})
            except ValueError as error:
                failed[label] = str(error)
            else:
                numbers[label] = value[0] if isinstance(value, tuple) else value
    if not numbers and not failed:
        expected = "z (with labels), a and b, queries, candidates and relevance, or tokens and mask"
        raise ValueError(f"{source}: holds {found}, expected {expected}")
    return numbers, failed


def _places(mask):
    """Where a mask is True: a slice if that is one run of places, as ``embed`` writes it, so that no row is copied."""
    places = np.flatnonzero(mask)
    together = len(places) and places[-1] - places[0] + 1 == len(places)
    return slice(int(places[0]), int(places[-1]) + 1) if together else mask


def _check(arrays, source):
    """What all metrics ask of an array alone: refused once, and not by each of them."""
    for name in arrays.keys() & set(ROWS):
        z = arrays[name]
        if z.ndim != 2 or z.size == 0 or z.dtype not in ("float32", "float64") or not finite(z):
            got = "NaN or infinity" if z.dtype.kind == "f" and not finite(z) else f"{z.dtype} {z.shape}"
            raise ValueError(f"{source}: {name}: got {got}, expected finite float32 or float64 rows (N, D)")
    labels, is_test = arrays.get("labels"), arrays.get("is_test")
    if is_test is not None and (is_test.dtype.kind != "b" or is_test.ndim != 1 or not is_test.any()):
        got = "no test row" if is_test.dtype.kind == "b" and is_test.ndim == 1 else f"{is_test.dtype} {is_test.shape}"
        raise ValueError(f"{source}: is_test: got {got}, expected booleans (N,), some of them true")
    if labels is not None:
        rows = next((len(arrays[name]) for name in "zab" if name in arrays), None)
        if labels.dtype.kind not in "iu" or labels.ndim != 1 or rows not in (None, len(labels)):
            expected = f"integers ({'N' if rows is None else rows},), one per row"
            raise ValueError(f"{source}: labels: got {labels.dtype} {labels.shape}, expected {expected}")


def _ways(metric, arrays):
    """{label: {argument: name of its array}} of each way in which a metric applies."""
    own = {p.name: p.name for p in metric.arrays if p.name in arrays}
    missing = set(metric.needs) - own.keys()
    if missing == {"z"} and {"a", "b"} <= arrays.keys():
        return {f"{metric.name} of {side}": own | {"z": side} for side in "ab"}
    return {} if missing else {metric.name: own}
