"""Label-agnostic forgetting: an extractor forgets rows without reading a label, of these or of any others.

Rows e = g(x) of the extractor g; g⁰ is g as it was, and stays. A variational autoencoder h is trained on g⁰'s rows of
the remaining inputs, another one, h_f, on those of the inputs to forget; then both stay as they are. Two losses are
descended in turn, each by its own optimiser:

    L_UE = sum over remaining of s(e; h)  -  sum over forgotten of s(e; h_f),
           s(e; h) = exp( d / (1 + d) ) in [1, e),  d = |e - h(e)|²

           remaining rows stay in reach of their autoencoder, forgotten ones leave the reach of theirs;

    L_RA = sum over remaining i of log( e^{c_i} / sum over forgotten j of e^{c_j / T} ),   c = 1 - cos(e, g⁰(x))

           remaining rows stay where they were, forgotten ones move away from there.

Gradient: ds/dd = s / (1 + d)²; dc/de = -(u⁰ - cos u) / |e|, u = e/|e|, orthogonal to e; of the second sum, per i, each
c_j receives -softmax_j(c_j / T) / T.

Source: Shen et al. 2024, arXiv 2404.00506; github.com/ShaofeiShen768/LAF, VUnlearning.py, whose two losses were run
beside these on random rows and equal them. There: sums over the batch, as here; a decoder that ends in a sigmoid, here
linear, since rows are unbounded, and rows are divided by one deviation first; a KL weight of 0.025, latent 8,
rates 5e-5 and 1e-4, T = 20 to forget a class, 5 for random rows.
"""

from copy import deepcopy

import numpy as np

from mini_repr.autograd import Tensor, exp, logsumexp, no_grad, unit_rows
from mini_repr.nn import MLP, Module
from mini_repr.optim import AdamW, descended
from mini_repr.pages.arguments import Count, NonNegative, Positive, Rows
from mini_repr.pages.declare import procedure


class RowAutoencoder(Module):
    """A variational autoencoder of rows (N, D) divided by ``scale``; encoder and decoder have a hidden layer each."""

    def __init__(self, width, scale, rng, latent=8, hidden=64):
        self.encoder = MLP((width, hidden, 2 * latent), rng)
        self.decoder = MLP((latent, hidden, width), rng)
        self.latent, self.scale = latent, scale

    def forward(self, rows, noise):
        """(rows rebuilt, mean, log-variance); noise (N, latent), standard normal, draws the latent numbers."""
        both = self.encoder(rows * (1 / self.scale))
        mean, log_variance = both[:, : self.latent], both[:, self.latent :]
        return self.decoder(mean + exp(log_variance * 0.5) * noise) * self.scale, mean, log_variance

    def distance(self, rows, noise):
        """d (N,), of rows divided by the scale."""
        return (((rows - self(rows, noise)[0]) * (1 / self.scale)) ** 2).sum(axis=1)


@procedure(paper="054")
def forget_without_labels(
    extractor,
    forget: Rows("F D", frozen=True),
    remain: Rows("R D", frozen=True),
    temperature: Positive = 20.0,
    lr_leave: Positive = 5e-4,
    lr_align: Positive = 1e-3,
    epochs: Count() = 60,
    batch_size: Count() = 16,
    autoencoder_steps: Count() = 1500,
    kl: NonNegative = 0.1,
    seed: Count(least=0) = 0,
):
    """Change an extractor in place until it has forgotten some inputs, without any label; returns it.

    An epoch is as many batches of both kinds as the inputs to forget fill, as in the official code, where these are
    many: of few, batches should be small and epochs more, for it takes some hundred steps.

    Args:
        extractor: a module from inputs (N, D) to rows. temperature: T. lr_leave, lr_align: of L_UE and of L_RA.
        autoencoder_steps, kl: of the training of both autoencoders, and the weight of the divergence in it.
    """
    rng = np.random.default_rng(seed)
    before = deepcopy(extractor).eval()
    extractor.eval()
    fitted = [fit_autoencoder(rows_before(before, x), rng, autoencoder_steps, kl) for x in (remain, forget)]
    parameters = extractor.named_parameters()
    leave, align = (AdamW(parameters, lr, weight_decay=0.0) for lr in (lr_leave, lr_align))
    for _ in range(epochs):
        order = rng.permutation(len(forget))
        for start in range(0, len(order), batch_size):
            gone = forget[order[start : start + batch_size]]
            kept = remain[rng.choice(len(remain), min(batch_size, len(remain)), replace=False)]
            noises = [rng.standard_normal((len(x), fitted[0].latent)).astype(x.dtype) for x in (kept, gone)]
            leave.zero_grad()
            leaving_loss(extractor(Tensor(kept)), extractor(Tensor(gone)), *fitted, *noises).backward()
            leave.step()
            align.zero_grad()
            old = rows_before(before, kept), rows_before(before, gone)
            alignment_loss(extractor(Tensor(kept)), old[0], extractor(Tensor(gone)), old[1], temperature).backward()
            align.step()
    return extractor


def leaving_loss(remain, forget, of_remain, of_forget, remain_noise, forget_noise):
    """L_UE of rows; the autoencoders pass gradients on and take none."""
    reach = [
        exp(d / (d + 1)).sum()
        for d in (of_remain.distance(remain, remain_noise), of_forget.distance(forget, forget_noise))
    ]
    return reach[0] - reach[1]


def alignment_loss(remain, remain_before, forget, forget_before, temperature):
    """L_RA of rows (N, D) and (M, D) and those that g⁰ gives."""
    kept, gone = (
        1 - (unit_rows(e) * unit_rows(old)).sum(axis=1) for e, old in ((remain, remain_before), (forget, forget_before))
    )
    return kept.sum() - logsumexp(gone.reshape(1, -1) / temperature, axis=1).sum() * len(remain)


def fit_autoencoder(rows, rng, steps, kl):
    """A ``RowAutoencoder`` of rows: squared error plus ``kl`` times the divergence from N(0, I), per row."""
    made = RowAutoencoder(rows.shape[1], float(rows.std()) or 1.0, rng)

    def loss():
        batch = rows[rng.choice(len(rows), min(64, len(rows)), replace=False)]
        rebuilt, mean, log_variance = made(batch, rng.standard_normal((len(batch), made.latent)).astype(batch.dtype))
        divergence = (exp(log_variance) + mean**2 - 1 - log_variance).sum() * 0.5
        return ((((rebuilt - batch) * (1 / made.scale)) ** 2).sum() + divergence * kl) / len(batch)

    descended(made.named_parameters(), loss, steps=steps, lr=1e-3)
    return made.eval()


def rows_before(extractor, x):
    """Rows (N, D) as an array, without a gradient."""
    with no_grad():
        return extractor(Tensor(x)).data
