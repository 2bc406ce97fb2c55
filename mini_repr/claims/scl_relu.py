"""SupCon with ReLU features: class means at right angles, whether classes are large or small.

Kini et al. 2023, arXiv 2306.07960: with a ReLU on the features, supervised contrast ends in an orthogonal frame under
class imbalance; without it the geometry depends on the class sizes. Binding one row of each class into every batch
makes that end point the only one and is reached sooner. Digits, five classes of 100 rows and five of 10; the distance
of the training rows' class means from an orthogonal frame, and the accuracy of the nearest training row on test rows.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad, relu
from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.data import Batches, BoundBatches, load
from mini_repr.losses.labels.supcon import supcon
from mini_repr.metrics import knn_accuracy, orthogonal_frame
from mini_repr.nn import MLP
from mini_repr.optim import AdamW

STEPS, BATCH = 1500, 50


def rows_after_training(data, with_relu, bound, seed):
    """Rows of the training and the test images."""
    net = MLP((64, 256, 256, 64), np.random.default_rng(seed), norm="batch")
    labels = data.train.labels
    batches = BoundBatches(labels, BATCH, seed) if bound else Batches(len(labels), BATCH, seed)
    optimizer = AdamW(net.named_parameters(), 1e-3)

    def rows(images):
        features = net(Tensor(images.reshape(len(images), -1)))
        return relu(features) if with_relu else features

    for _ in range(STEPS):
        index = next(batches)
        optimizer.zero_grad()
        supcon(rows(data.train.images[index]), labels[index]).backward()
        optimizer.step()
    net.eval()
    with no_grad():
        return [rows(part.images).data for part in (data.train, data.test)]


def measure(seed):
    data = at_most(load("digits"), [100, 10] * 5, np.random.default_rng(seed))
    arms = {}
    for name, with_relu, bound in (
        ("without ReLU", False, False),
        ("ReLU", True, False),
        ("ReLU, bound batches", True, True),
    ):
        train, test = rows_after_training(data, with_relu, bound, seed)
        arms[name] = {
            "distance": orthogonal_frame(train, data.train.labels),
            "nearest": knn_accuracy(train, data.train.labels, test, data.test.labels, k=1),
        }
    return arms


CLAIM = Claim(
    paper="013",
    says="with a ReLU, supervised contrast makes class means orthogonal under imbalance",
    measure=measure,
    expects=(
        lower("distance", "ReLU", "without ReLU"),
        lower("distance", "ReLU, bound batches", "ReLU"),
    ),
    seeds=8,
)
