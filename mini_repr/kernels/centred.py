"""Rows less their mean, for losses that normalise what is left."""


def centred(x):
    """(x - mean, mean) of rows x (N, D). A constant column is exactly 0, whatever its mean rounds to."""
    mean = x.mean(axis=0)
    return (x - mean) * (x != x[0]).any(axis=0), mean
