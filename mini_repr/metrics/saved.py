"""Every metric that saved embeddings have the arrays for."""

from mini_repr.metrics import METRICS

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
        ValueError: an is_test that is none, or none of a metric's arrays.
    """
    arrays = {name: arrays[name] for name in READ if name in arrays}
    is_test = arrays.pop("is_test", None)
    if is_test is not None and (is_test.dtype.kind != "b" or is_test.ndim != 1):
        raise ValueError(f"{source}: is_test: got {is_test.dtype} {is_test.shape}, expected booleans (N,)")
    test = {}
    for name, array in arrays.items():
        whole = is_test is None or name in ("queries", "candidates", "relevance")
        if not whole and len(array) != len(is_test):
            raise ValueError(f"{source}: {name}: got {len(array)} rows, expected the {len(is_test)} of is_test")
        test[name] = array if whole else array[is_test]
    if is_test is not None and "labels" in arrays and "z" in arrays:
        test |= {"train_z": arrays["z"][~is_test], "train_labels": arrays["labels"][~is_test]}
        test |= {"test_z": test["z"], "test_labels": test["labels"]}
    numbers, failed = {}, {}
    for name, metric in METRICS.items():
        for label, needs in _ways(name, metric.needs.split(","), test):
            rows = len(test[needs[0]])
            if metric.most_rows and rows > metric.most_rows:
                failed[label] = (
                    f"{rows} rows, of which it takes {metric.most_rows} in reasonable time; call it yourself"
                )
                continue
            try:
                value = metric.function(*(test[one] for one in needs))
            except ValueError as error:
                failed[label] = str(error)
            else:
                numbers[label] = value[0] if isinstance(value, tuple) else value
    if not numbers and not failed:
        found = ", ".join(arrays) or "none of these"
        raise ValueError(
            f"{source}: holds {found}, expected z (with labels), a and b, or queries, candidates, relevance"
        )
    return numbers, failed


def _ways(name, needs, arrays):
    """(label, names of the arrays) of each way in which a metric applies."""
    if set(needs) <= arrays.keys():
        return [(name, needs)]
    if "z" in needs and {"a", "b"} <= arrays.keys() and set(needs) - {"z"} <= arrays.keys():
        return [(f"{name} of {side}", [side if one == "z" else one for one in needs]) for side in "ab"]
    return []
