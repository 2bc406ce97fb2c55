"""Noise from which no subject of a caption is neglected, and which is still such as could have been drawn."""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, no_grad, softmax
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import parse
from mini_repr.losses.maps.attention_conflict import attention_conflict
from mini_repr.losses.maps.subject_neglect import subject_neglect
from mini_repr.nn.denoiser import mean_map
from mini_repr.optim import AdamW
from mini_repr.pages.declare import part

SHARPNESS = 100.0  # of the softmax over words: a word that gets 0.05 more than the others has nearly all of it
MOST_STEPS_BACK = 1000  # towards the standard normal distribution, after one step on the scores


class NoiseScores(NamedTuple):
    """How well images will hold the subjects of their captions, one number in [0, 1] and [0, 1/2] each; 0 is best."""

    neglect: np.ndarray
    conflict: np.ndarray


@part("procedure", "optimised_noise", paper="074")
def optimised_noise(denoiser, noise, captions, *, steps=50, lr=0.01, neglect=0.2, conflict=0.3, limit=1e-3, prune=None):
    """Noise moved, by a mean and a log-variance for each number, until the image will neglect no subject.

    z' = m + exp(v / 2) z from m = v = 0. A pass at t = 1 gives each image the scores of ``noise_scores``. An image with
    both below their thresholds stays as it is; the others take one step of Adam (eps 1e-3) on the sum of both,
    dm = g and dv = g z exp(v / 2) / 2 with g the gradient for z', and then steps on ``standard_kl`` alone until it is
    at most ``limit``, so that z' stays a draw from nearly the standard normal distribution.

    Source: LatentMapper of OptiPrune, 2025, arXiv 2507.00789, of which no code was found. The update, thresholds, rate
    and limit are those of InitNO (Guo et al. 2024, arXiv 2404.04650; code read: xiefan-guo/initno,
    initno/pipelines/pipeline_sd_initno.py, fn_initno), which draws anew, up to five times, where this did not succeed.
    OptiPrune leaves tokens out while noise is scored, to save time (``prune``); how the scores then read where those
    look that were left out is this page's choice.

    Args:
        denoiser: ``nn.CaptionDenoiser``, whose weights should want no gradient. noise: (B, C, H, W) array at t = 1.
        captions: list of B texts. neglect, conflict: the thresholds. limit: of the divergence, None for none.
        prune: which tokens look at each other, see ``Denoiser.denoise`` and ``tokens.representatives``; None for all.
    Returns:
        (B, C, H, W).
    Raises:
        ValueError: as many captions as noises are expected, each as ``data.generated.scenes.parse`` reads it.
    """
    if len(noise) != len(captions):
        raise ValueError(f"optimised_noise: captions: got {len(captions)} for {len(noise)} noises, expected one each")
    xp, scores_of = backend_of(noise).xp, _scorer(denoiser, captions, prune)
    moves = [
        {name: Tensor(xp.zeros_like(one), requires_grad=True) for name in ("mean", "log_variance")} for one in noise
    ]
    optimizers = [AdamW(move, lr, eps=1e-3, weight_decay=0.0) for move in moves]

    def moved():
        pairs = zip(moves, noise, strict=True)
        return xp.stack([m["mean"].data + xp.exp(m["log_variance"].data / 2) * drawn for m, drawn in pairs])

    for _ in range(steps):
        z = Tensor(moved(), requires_grad=True)
        scores = scores_of(z)
        unmet = [k for k, (a, b) in enumerate(scores) if not (float(a.data) < neglect and float(b.data) < conflict)]
        if not unmet:
            break
        sum(score for k in unmet for score in scores[k]).backward()
        for k in unmet:
            mean, log_variance = moves[k]["mean"], moves[k]["log_variance"]
            mean.grad = z.grad[k]
            log_variance.grad = z.grad[k] * noise[k] * xp.exp(log_variance.data / 2) / 2
            optimizers[k].step()
            for _ in range(MOST_STEPS_BACK if limit is not None else 0):
                divergence, mean.grad, log_variance.grad = standard_kl(mean.data, log_variance.data)
                if float(divergence) <= limit:
                    break
                optimizers[k].step()
    return moved()


def standard_kl(mean, log_variance):
    """(mean of (m² + e^v - v - 1) / 2 over all numbers, its gradients m / n and (e^v - 1) / 2n): arrays, n numbers.

    The Kullback-Leibler divergence from normal distributions to the standard one, per number.
    """
    xp, count = backend_of(mean).xp, mean.size
    variance = xp.exp(log_variance)
    value = (mean * mean + variance - log_variance - 1).mean() / 2
    return value, mean / count, (variance - 1) / (2 * count)


def noise_scores(denoiser, noise, captions, prune=None):
    """``NoiseScores`` of noise (B, C, H, W), (B,) arrays on the host, from one pass at t = 1.

    neglect: ``subject_neglect`` of the nouns' maps. conflict: ``attention_conflict`` of how the places where these are
    largest look at the image. Both kinds of attention are means over blocks and heads. A noun's map is its part of the
    softmax, with sharpness 100, over what a place gives the words of the caption: so is InitNO's, which smooths maps
    (these have few patches), adds a loss of what lies outside a noun's region and counts no conflict above neglect 1/2.
    Where ``prune`` leaves tokens out, these look where those do whose output they take, and share what these get.
    """
    with no_grad():
        scores = _scorer(denoiser, captions, prune)(noise)
    return NoiseScores(*(np.array([float(x.data) for x in column]) for column in zip(*scores, strict=True)))


def _scorer(denoiser, captions, prune=None):
    """A function of noise (B, C, H, W), an array or a tensor, to a ``NoiseScores`` of tensors for each image."""
    with no_grad():
        text = denoiser.read(denoiser.ids(captions))
    places = [[noun.place for noun in parse(caption).nouns] for caption in captions]
    hidden = np.ones((len(captions), 1, denoiser.vocabulary.length), dtype=np.float32)
    for k, caption in enumerate(captions):
        hidden[k, :, 1 : len(caption.split()) + 1] = 0  # begin, end and padding are no words

    def scores_of(z):
        pruned = []

        def remembered(tokens):
            pruned.append(prune(tokens))
            return pruned[-1]

        denoised = denoiser.denoise(z, np.ones(len(z)), text=text, prune=remembered if prune else None)
        own = [unpruned(*one) for one in zip(denoised.own, pruned, strict=True)] if prune else denoised.own
        cross, own = mean_map(denoised.maps), mean_map(own)
        backend = backend_of(cross.data)
        share = softmax(SHARPNESS * cross - 1e4 * backend.asarray(hidden.astype(cross.data.dtype)))
        found = []
        for k, nouns in enumerate(places):
            maps = share[k][:, backend.asarray(np.array(nouns))].T
            where = maps.data.argmax(axis=1)
            neglect = subject_neglect(maps.reshape(1, len(nouns), *denoiser.grid))
            found.append(NoiseScores(neglect, attention_conflict(own[k][where].reshape(1, len(nouns), -1))))
        return found

    return scores_of


def unpruned(weights, pruned):
    """Weights (B, heads, N, N) of all tokens on each other, of those (B, heads, n, n) of the n that were left.

    Args:
        pruned: (keep (B, n), source (B, N)), as a ``prune`` of a denoiser returns them.
    """
    source = pruned[1]
    xp = backend_of(source).xp
    every, heads = xp.arange(len(source))[:, None, None], xp.arange(weights.shape[1])[None, :, None]
    takes = source[:, None] == xp.arange(weights.shape[2])[:, None]  # (B, n, N)
    shares = (takes / takes.sum(axis=2, keepdims=True)).astype(weights.dtype)
    return weights[every, heads, source[:, None]] @ shares[:, None]
