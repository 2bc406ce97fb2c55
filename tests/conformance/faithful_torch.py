"""Faithful implementations in PyTorch, in the style of public code: `check` must pass each and name no slip."""

import math

import torch
import torch.nn.functional as F


def clip_loss(image_features, text_features, temperature=0.1):
    u, v = F.normalize(image_features, dim=-1), F.normalize(text_features, dim=-1)
    logits = u @ v.t() / temperature
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def nt_xent(z_i, z_j, temperature=0.1):
    n = len(z_i)
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    logits = (z @ z.t() / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    return F.cross_entropy(logits, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


class MoCo(torch.nn.Module):
    """A module that holds its temperature."""

    def __init__(self):
        super().__init__()
        self.temperature = 0.07

    def forward(self, q, k, queue):
        q, k, queue = F.normalize(q, dim=1), F.normalize(k, dim=1), F.normalize(queue, dim=1)
        positive = (q * k).sum(dim=1, keepdim=True)
        logits = torch.cat([positive, q @ queue.t()], dim=1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


class SigLIP(torch.nn.Module):
    """A module that learns both its scalars."""

    def __init__(self):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(10)))
        self.bias = torch.nn.Parameter(torch.tensor(-10.0))

    def forward(self, image, text):
        u, v = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
        logits = u @ v.t() * self.log_scale.exp() + self.bias
        signs = 2 * torch.eye(len(u), dtype=logits.dtype) - 1
        return -F.logsigmoid(signs * logits).sum() / len(u)


def vicreg(x, y):
    n, d = x.shape

    def parts(z):
        z = z - z.mean(dim=0)
        covariance = z.t() @ z / (n - 1)
        off = covariance - torch.diag(torch.diag(covariance))
        return F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean(), off.pow(2).sum() / d

    (var_x, cov_x), (var_y, cov_y) = parts(x), parts(y)
    return 25 * F.mse_loss(x, y) + 25 * (var_x + var_y) + (cov_x + cov_y)


def barlow_twins(z1, z2, lambd=0.0051):
    n, d = z1.shape
    norm = torch.nn.BatchNorm1d(d, affine=False, dtype=z1.dtype)
    c = norm(z1).t() @ norm(z2) / n
    on = (torch.diagonal(c) - 1).pow(2).sum()
    off = c.flatten()[:-1].view(d - 1, d + 1)[:, 1:].flatten() if d > 1 else c.new_zeros(0)
    return on + lambd * off.pow(2).sum()


def uniformity(x, t=2):
    x = F.normalize(x, dim=1)
    return torch.pdist(x, p=2).pow(2).mul(-t).exp().mean().log()


def align_uniform(x, y, alpha=2, t=2):
    x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
    align = (x - y).norm(dim=1).pow(alpha).mean()
    spread = [torch.pdist(z).pow(2).mul(-t).exp().mean().log() for z in (x, y)]
    return align + sum(spread) / 2


def supcon(features, labels, temperature=0.1):
    n = len(features)
    z = F.normalize(features, dim=1)
    own = torch.eye(n, dtype=torch.bool)
    logits = (z @ z.t() / temperature).masked_fill(own, -math.inf)
    positive = (labels[:, None] == labels[None]) & ~own
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    per_row = -log_p.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
    return per_row.sum() / (positive.sum(dim=1) > 0).sum()


def triplet_all(embeddings, labels, margin=0.2):
    z = F.normalize(embeddings, dim=1)
    d = (z[:, None] - z[None]).pow(2).sum(dim=2)
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(z), dtype=torch.bool)
    chosen = positive[:, :, None] & ~same[:, None, :]
    return F.relu(d[:, :, None] - d[:, None, :] + margin)[chosen].mean()


def cross_entropy(logits, target, temperature=1.0, label_smoothing=0.0):
    return F.cross_entropy(logits / temperature, target, label_smoothing=label_smoothing)


def sparsemax(logits, target):
    ordered, _ = logits.sort(dim=1, descending=True)
    ranks = torch.arange(1, logits.shape[1] + 1, dtype=logits.dtype)
    k = (1 + ranks * ordered > ordered.cumsum(dim=1)).sum(dim=1, keepdim=True)
    tau = (ordered.cumsum(dim=1).gather(1, k - 1) - 1) / k
    p = (logits - tau).clamp(min=0)
    inside = ((logits.pow(2) - tau.pow(2)) * (p > 0)).sum(dim=1)
    return (-logits.gather(1, target[:, None])[:, 0] + inside / 2 + 0.5).mean()


def simsiam(p1, p2, z1, z2):
    similarity = torch.nn.CosineSimilarity(dim=1)
    return -(similarity(p1, z2.detach()).mean() + similarity(p2, z1.detach()).mean()) * 0.5


def byol(p1, p2, z1, z2):
    def distance(p, z):
        return 2 - 2 * (F.normalize(p, dim=1) * F.normalize(z.detach(), dim=1)).sum(dim=1)

    return (distance(p1, z2) + distance(p2, z1)).mean()


def dispersive(z, tau=0.5):
    n = len(z)
    d = torch.pdist(z).pow(2)
    d = torch.cat([d, d, z.new_zeros(n)])
    return torch.log(torch.exp(-d / tau).mean())


def mae(pred, target, mask):
    mean, var = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
    target = (target - mean) / (var + 1e-6) ** 0.5
    loss = (pred - target).pow(2).mean(dim=-1)
    return (loss * mask).sum() / mask.sum()
