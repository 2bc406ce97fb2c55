"""A training loop by hand: an encoder, a head, a loss and an optimiser, and nothing else of this package.

    python scripts/loop_by_hand.py

SimCLR on the embedded digits. Prints the loss of each epoch, then the accuracy of the 20 nearest training rows.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.metrics import knn_accuracy
from mini_repr.nn import ImageMLP, ProjectionHead
from mini_repr.optim import AdamW


def two_views(images, rng):
    """Each image twice, with noise of its own."""
    return [images + 0.2 * rng.standard_normal(images.shape, dtype=np.float32) for _ in range(2)]


def train(data, epochs=5, batch=256, seed=0):
    """The trained encoder."""
    rng = np.random.default_rng(seed)
    encoder = ImageMLP(data.train.images.shape[1:], rng, width=64, hidden=256)
    head = ProjectionHead(encoder.width, 256, 64, rng)
    parts = {"encoder": encoder, "head": head}
    parameters = {f"{name}.{n}": p for name, part in parts.items() for n, p in part.named_parameters().items()}
    optimizer = AdamW(parameters, lr=3e-3)
    for epoch in range(epochs):
        losses = []
        for index in np.split(rng.permutation(len(data.train)), range(batch, len(data.train), batch)):
            first, second = (head(encoder(view).pooled) for view in two_views(data.train.images[index], rng))
            loss = infonce(first, second, temperature=0.2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}")
    return encoder.eval()


def main():
    data = load("digits")
    encoder = train(data)
    with no_grad():
        train_rows, test_rows = (encoder(part.images).pooled.data for part in (data.train, data.test))
    accuracy = knn_accuracy(train_rows, data.train.labels, test_rows, data.test.labels)
    print(f"20 nearest neighbours: {accuracy:.3f}")


if __name__ == "__main__":
    main()
