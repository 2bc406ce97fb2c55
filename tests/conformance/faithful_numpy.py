"""Faithful implementations in plain NumPy, written from the papers: `check` must pass each and name no slip.

Those that return ``(value, gradients)`` are compared in both; the others in their values.
"""

import math

import numpy as np
from scipy.special import expit, logsumexp, softmax


def _norms(x):
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.where(lengths > 0, lengths, 1)


def _through_norm(x, g):
    u = x / _norms(x)
    return (g - u * (u * g).sum(axis=1, keepdims=True)) / _norms(x)


def infonce(a, b, temperature=0.1):
    u, v = a / _norms(a), b / _norms(b)
    s = u @ v.T
    logits = s / temperature
    n = len(a)
    value = (logsumexp(logits, axis=1) + logsumexp(logits, axis=0) - 2 * np.diag(logits)).mean() / 2
    g = (softmax(logits, axis=1) + softmax(logits, axis=0) - 2 * np.eye(n)) / (2 * n)
    gradients = {
        "a": _through_norm(a, g @ v / temperature),
        "b": _through_norm(b, g.T @ u / temperature),
        "temperature": -(g * s).sum() / temperature**2,
    }
    return value, gradients


def nt_xent(a, b, temperature=0.1):
    z = np.concatenate([a / _norms(a), b / _norms(b)])
    n = len(a)
    logits = z @ z.T / temperature
    own = np.concatenate([np.diag(logits, n), np.diag(logits, -n)])
    np.fill_diagonal(logits, -np.inf)
    return (logsumexp(logits, axis=1) - own).mean()


def siglip(a, b, log_scale, bias):
    u, v = a / _norms(a), b / _norms(b)
    scale = np.exp(log_scale)
    sign = 2 * np.eye(len(a)) - 1
    logits = scale * (u @ v.T) + bias
    g = -sign * expit(-sign * logits) / len(a)
    value = np.logaddexp(0, -sign * logits).sum() / len(a)
    g_u = scale * g @ v
    return value, (_through_norm(a, g_u), _through_norm(b, scale * g.T @ u), (u * g_u).sum(), g.sum())


def vicreg(a, b):
    n, d = a.shape

    def parts(x):
        centred = x - x.mean(axis=0)
        c = centred.T @ centred / (n - 1)
        deviation = np.sqrt(np.diag(c) + 1e-4)
        off = c - np.diag(np.diag(c))
        g = -25 * (deviation < 1) * centred / (d * (n - 1) * deviation) + 4 * centred @ off / (d * (n - 1))
        return 25 * np.maximum(0, 1 - deviation).mean() + (off**2).sum() / d, g

    (value_a, g_a), (value_b, g_b) = parts(a), parts(b)
    pull = 50 * (a - b) / a.size
    return 25 * ((a - b) ** 2).mean() + value_a + value_b, {"a": g_a + pull, "b": g_b - pull}


def barlow_twins(a, b):
    def white(x):
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)

    c = white(a).T @ white(b) / len(a)
    off = c - np.diag(np.diag(c))
    return ((1 - np.diag(c)) ** 2).sum() + 0.0051 * (off**2).sum()


def _log_mean_potential(x, t):
    exponents = [-t * ((x[i] - x[j]) ** 2).sum() for i in range(len(x)) for j in range(i)]
    return logsumexp(exponents) - math.log(len(exponents))


def uniformity(z, t=2.0):
    return _log_mean_potential(z / _norms(z), t)


def align_uniform(a, b, alpha=2.0, t=2.0):
    u, v = a / _norms(a), b / _norms(b)
    alignment = (np.linalg.norm(u - v, axis=1) ** alpha).mean()
    return alignment + (_log_mean_potential(u, t) + _log_mean_potential(v, t)) / 2


def supcon(z, labels, temperature=0.1):
    u = z / _norms(z)
    logits = u @ u.T / temperature
    losses = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        positives = [k for k in others if labels[k] == labels[i]]
        if positives:
            losses.append(logsumexp(logits[i, others]) - logits[i, positives].mean())
    return np.mean(losses)


def triplet(z, labels, margin=0.2):
    u = z / _norms(z)
    d = ((u[:, None] - u[None]) ** 2).sum(axis=2)
    rows = range(len(z))
    pairs = [(i, p) for i in rows for p in rows if p != i and labels[p] == labels[i]]
    costs = [max(0.0, d[i, p] - d[i, n] + margin) for i, p in pairs for n in rows if labels[n] != labels[i]]
    return np.mean(costs)


def cross_entropy(scores, labels, temperature=1.0):
    n = len(labels)
    logits = scores / temperature
    value = (logsumexp(logits, axis=1) - logits[np.arange(n), labels]).mean()
    g = (softmax(logits, axis=1) - np.eye(scores.shape[1])[labels]) / n
    return value, (g / temperature, -(g * scores).sum() / temperature**2)


def sparsemax(scores, labels):
    projected = []
    for row in scores:
        ordered = np.sort(row)[::-1]
        sums = np.cumsum(ordered)
        k = max(j for j in range(1, len(row) + 1) if 1 + j * ordered[j - 1] > sums[j - 1])
        projected.append((sums[k - 1] - 1) / k)
    tau = np.array(projected)[:, None]
    p = np.maximum(scores - tau, 0)
    own = np.arange(len(labels)), labels
    value = (-scores[own] + 0.5 * ((scores**2 - tau**2) * (p > 0)).sum(axis=1) + 0.5).mean()
    p[own] -= 1
    return value, p / len(labels)


def negative_cosine(p1, p2, z1, z2):
    def cosines(p, z):
        return (p / _norms(p) * z / _norms(z)).sum(axis=1)

    n = len(p1)
    gradients = {
        "p1": _through_norm(p1, -z2 / _norms(z2) / (2 * n)),
        "p2": _through_norm(p2, -z1 / _norms(z1) / (2 * n)),
    }
    return -(cosines(p1, z2) + cosines(p2, z1)).mean() / 2, gradients


def dispersive(z):
    d = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    return logsumexp(-d / 0.5) - math.log(d.size)


def masked_regression(prediction, target, mask):
    mean, deviation = target.mean(axis=-1, keepdims=True), np.sqrt(target.var(axis=-1, ddof=1, keepdims=True) + 1e-6)
    error = prediction - (target - mean) / deviation
    value = (error**2).mean(axis=-1)[mask].mean()
    return value, 2 * error * mask[:, :, None] / (mask.sum() * target.shape[-1])
