"""scikit-learn's side of what ``eval`` measures. See ``ours`` for what a row is."""

import numpy as np

from bench_sides.common import labelled_rows


def knn():
    inputs = labelled_rows()
    return lambda: knn_accuracy(*inputs)


def knn_accuracy(train, labels, test, test_labels, k=20, temperature=0.07):
    """The same votes: a distance is 1 - the cosine, and a common factor of all votes changes no winner."""
    from sklearn.neighbors import KNeighborsClassifier

    def weights(distance):
        return np.exp(-distance / temperature)

    classifier = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
    return classifier.fit(train, labels).score(test, test_labels)


def probe():
    inputs = labelled_rows()
    return lambda: linear_probe(*inputs)[0]


def linear_probe(train, labels, test, test_labels):
    """(accuracy, weight (D, C)) of the same minimum, by the same L-BFGS in float64.

    Two things differ: scikit-learn stops too when a step gains less than 64 roundings of the loss, where ours goes on
    until the gradient is small; and it sums by its own compiled loops.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.astype("float64"))
    classifier = LogisticRegression(C=1.0, tol=1e-5, max_iter=1000)
    classifier.fit(scaler.transform(train.astype("float64")), labels)
    return classifier.score(scaler.transform(test.astype("float64")), test_labels), classifier.coef_.T
