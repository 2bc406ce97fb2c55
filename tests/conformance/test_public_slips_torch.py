"""Slips of public PyTorch code and tutorials, each named by the line of the formula that computes what it computes."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402  (after the skip)

from mini_repr.conformance.check import check  # noqa: E402

pytestmark = pytest.mark.crosscheck


def others(matrix):
    """(N, N - 1): the rows of a square matrix without its diagonal."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)].view(len(matrix), -1)


def partners(labels):
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool), ~same


def distances(z):
    z = F.normalize(z, dim=1)
    return (z[:, None] - z).square().sum(dim=2)


# Pairs of views.


def nt_xent_with_official_supcon_factor(a, b, temperature):
    z = F.normalize(torch.cat([a, b]), dim=1)
    logits = (z @ z.t() / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(a))) * temperature / 0.07


def negatives_of_the_own_view_only(a, b, temperature):
    u, v = F.normalize(a, dim=1), F.normalize(b, dim=1)

    def over(x, y):
        candidates = torch.cat([(x * y).sum(dim=1, keepdim=True), others(x @ x.t())], dim=1)
        return F.cross_entropy(candidates / temperature, torch.zeros(len(x), dtype=torch.long))

    return (over(u, v) + over(v, u)) / 2


def one_side_normalised(a, b, temperature):
    logits = F.normalize(a, dim=1) @ b.t() / temperature
    target = torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def queue_not_normalised(a, b, queue, temperature):
    u, v = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = torch.cat([(u * v).sum(dim=1, keepdim=True), u @ queue.t()], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(a), dtype=torch.long))


def bias_inside_the_scale(a, b, log_scale, bias):
    logits = (F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() + bias) * log_scale.exp()
    return -F.logsigmoid((2 * torch.eye(len(a), dtype=a.dtype) - 1) * logits).sum() / len(a)


def teacher_and_student_exchanged(a, b, teacher_a, teacher_b, temperature):
    def log_share(x, y):
        return F.log_softmax(F.normalize(x, dim=1) @ F.normalize(y, dim=1).t() / temperature, dim=1)

    student, teacher = log_share(a, b), log_share(teacher_a, teacher_b)
    return (student.exp() * (student - teacher)).sum(dim=1).mean()


# Statistics of columns.


def _vicreg(a, b, covariance):
    def variance(z):
        return F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean()

    return 25 * F.mse_loss(a, b) + 25 * (variance(a) + variance(b)) + covariance(a) + covariance(b)


def covariance_not_divided_by_columns(a, b):
    return _vicreg(a, b, lambda z: torch.triu(torch.cov(z.t()), 1).square().sum() * 2)


def covariance_not_squared(a, b):
    return _vicreg(a, b, lambda z: torch.triu(torch.cov(z.t()), 1).abs().sum() * 2 / z.shape[1])


def deviation_plus_epsilon(a, b, redundancy_weight):
    def standardised(x):
        return (x - x.mean(dim=0)) / (x.std(dim=0, unbiased=False) + 1e-5)

    correlation = standardised(a).t() @ standardised(b) / len(a)
    off = correlation - torch.diag(torch.diag(correlation))
    return (1 - torch.diagonal(correlation)).square().sum() + redundancy_weight * off.square().sum()


def whitened_rows_not_of_length_1(a, b):
    def white(x):
        centred = x - x.mean(dim=0)
        factor = torch.linalg.cholesky(centred.t() @ centred / (len(x) - 1))
        return torch.linalg.solve_triangular(factor, centred.t(), upper=False).t()

    return (2 - 2 * (white(a) * white(b)).sum(dim=1)).mean()


# Labels.


def n_pairs_with_the_row_itself(z, labels, temperature):
    z = F.normalize(z, dim=1)
    log_p = F.log_softmax(z @ z.t() / temperature, dim=1)
    same = labels[:, None] == labels
    return -((log_p * same).sum(dim=1) / same.sum(dim=1)).mean()


def denominator_of_negatives_only(z, labels, temperature):
    z = F.normalize(z, dim=1)
    positive, negative = partners(labels)
    logits = z @ z.t() / temperature
    log_p = logits - logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1, keepdim=True)
    return (-(log_p * positive).sum(dim=1) / positive.sum(dim=1).clamp(min=1)).sum() / positive.any(dim=1).sum()


def easiest_positive(z, labels, margin):
    d = distances(z)
    positive, negative = partners(labels)
    near = d.masked_fill(~positive, torch.inf).amin(dim=1)
    nearest = d.masked_fill(~negative, torch.inf).amin(dim=1)
    return F.relu(near - nearest + margin)[positive.any(dim=1) & negative.any(dim=1)].mean()


def margin_subtracted(z, labels, margin):
    d = distances(z)
    positive, negative = partners(labels)
    chosen = positive[:, :, None] & negative[:, None, :]
    return F.relu(d[:, :, None] - d[:, None, :] - margin)[chosen].mean()


# Scores, reconstruction, regularisers.


def log_left_out(scores, labels, temperature=1.0):
    return F.nll_loss(F.softmax(scores / temperature, dim=1), labels)


def softmax_twice(scores, labels):
    return F.cross_entropy(F.softmax(scores, dim=1), labels)


def sigmoids_in_place_of_one_softmax(scores, labels):
    return F.binary_cross_entropy_with_logits(scores, F.one_hot(labels, scores.shape[1]).to(scores.dtype))


def smoothing_added_in_single_precision(scores, labels, label_smoothing):
    q = F.one_hot(labels, scores.shape[1]) + label_smoothing / scores.shape[1]  # whole numbers and a float: float32
    return -(F.log_softmax(scores, dim=1) * q).sum(dim=1).mean()


def unbiased_deviation(scores, labels):
    z = (scores - scores.mean(dim=1, keepdim=True)) / scores.std(dim=1, keepdim=True)
    return F.softplus(-z[torch.arange(len(labels)), labels]).mean()


def divided_by_all_patches(prediction, target, mask):
    normal = (target - target.mean(dim=-1, keepdim=True)) / (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
    return ((prediction - normal).square().mean(dim=-1) * mask).sum() / mask.numel()


def absolute_value_left_out(z):
    return z.mean(dim=0).square().sum()


def mean_of_exponentials(z, t):
    return torch.pdist(F.normalize(z, dim=1)).square().mul(-t).exp().mean()


SLIPS = [
    (nt_xent_with_official_supcon_factor, "infonce", {"variant": "nt_xent"}, "14.2857143 temperature times those"),
    (
        negatives_of_the_own_view_only,
        "infonce",
        {"variant": "nt_xent"},
        "the term negative is left out",
    ),
    (one_side_normalised, "infonce", {}, "in v, unit_rows is left out"),
    (queue_not_normalised, "infonce", {"variant": "moco"}, "in keys, unit_rows is left out"),
    (bias_inside_the_scale, "siglip", {}, "exp(log_scale) over both terms"),
    (teacher_and_student_exchanged, "similarity_kl", {}, "log_t and log_p exchanged"),
    (
        covariance_not_divided_by_columns,
        "vicreg",
        {"settings": {"invariance": "elements"}},
        "division by width is left",
    ),
    (
        covariance_not_squared,
        "vicreg",
        {"settings": {"invariance": "elements"}},
        "the absolute value in place of the square",
    ),
    (deviation_plus_epsilon, "barlow_twins", {}, "eps outside sqrt, not inside"),
    (whitened_rows_not_of_length_1, "wmse", {}, "unit_rows is left out, at 2 places"),
    (n_pairs_with_the_row_itself, "supcon", {}, "in positive, logits, off_diagonal is left out"),
    (denominator_of_negatives_only, "supcon", {}, "logsumexp over ~positive only"),
    (easiest_positive, "triplet", {"settings": {"mining": "hard"}}, "in farthest, argmin in place of argmax"),
    (margin_subtracted, "triplet", {}, "- in place of +"),
    (log_left_out, "cross_entropy", {}, "softmax in place of log_softmax"),
    (softmax_twice, "cross_entropy", {}, "log_softmax after softmax"),
    (
        sigmoids_in_place_of_one_softmax,
        "cross_entropy",
        {},
        "1/C times those of cross_entropy, but binary cross-entropy",
    ),
    (smoothing_added_in_single_precision, "cross_entropy", {}, "the term label_smoothing is left out, to 6 digits"),
    (unbiased_deviation, "z_loss", {}, "the mean divides by N - 1"),
    (divided_by_all_patches, "masked_regression", {}, "the mean over all in place of sum / count"),
    (absolute_value_left_out, "flops", {}, "absolute is left out"),
    (mean_of_exponentials, "uniformity", {}, "log is left out"),
]


@pytest.mark.parametrize("function, loss, options, words", SLIPS, ids=[f.__name__ for f, *_ in SLIPS])
def test_a_public_slip_is_named_by_a_line_of_the_formula(function, loss, options, words):
    report = check(function, loss, **options)
    assert report.exit_code == 1
    assert words in report.verdict
    assert report.explanation.diff or "times those" in words
    for before, after in report.explanation.diff:
        assert f"  - {before}\n  + {after}" in report.text()
