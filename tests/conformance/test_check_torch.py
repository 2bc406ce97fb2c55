"""`check` on PyTorch implementations: functions, modules, learned scalars, and slips written in torch."""

import inspect
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402  (after the skip)

from mini_repr.conformance import assert_matches  # noqa: E402
from mini_repr.conformance.check import check  # noqa: E402
from mini_repr.conformance.user_code import Target, Unusable, framework_of  # noqa: E402

pytestmark = [pytest.mark.crosscheck, pytest.mark.filterwarnings("ignore:Converting a tensor")]
FILE = Path(__file__).parent / "faithful_torch.py"
FAITHFUL = [
    ("clip_loss", "infonce", {}),
    ("nt_xent", "infonce", {"variant": "nt_xent"}),
    ("MoCo", "infonce", {"variant": "moco"}),
    ("SigLIP", "siglip", {}),
    ("vicreg", "vicreg", {}),
    ("barlow_twins", "barlow_twins", {"mapping": {"redundancy_weight": "lambd"}}),
    ("uniformity", "uniformity", {}),
    ("align_uniform", "align_uniform", {}),
    ("supcon", "supcon", {}),
    ("triplet_all", "triplet", {}),
    ("cross_entropy", "cross_entropy", {}),
    ("sparsemax", "sparsemax", {}),
    ("simsiam", "negative_cosine", {}),
    ("byol", "negative_cosine", {"variant": "byol"}),
    ("dispersive", "dispersive", {"mapping": {"temperature": "tau"}}),
    ("mae", "masked_regression", {}),
]


@pytest.mark.parametrize("function, loss, options", FAITHFUL)
def test_faithful_torch_passes_and_no_slip_is_named(function, loss, options):
    report = check(f"{FILE}:{function}", loss, **options)
    assert report.framework == "torch"
    assert report.exit_code == 0, report.text()
    assert report.explanation is None
    gradients = {part for row in report.rows if row.comparison for part in row.comparison.errors} - {"value"}
    assert gradients, "gradients were compared"


def test_the_faithful_cover_at_least_twelve_losses():
    assert len({loss for _, loss, _ in FAITHFUL}) >= 12


def test_a_module_is_compared_at_its_own_number_and_its_learned_scalars_have_gradients():
    assert check(f"{FILE}:MoCo", "infonce", variant="moco").settings["temperature"] == 0.07
    report = check(f"{FILE}:SigLIP", "siglip")
    ordinary = next(row for row in report.rows if row.case.id == "ordinary")
    assert {"grad log_scale", "grad bias"} <= set(ordinary.comparison.errors)


def faithful_nt_xent(z_i, z_j, temperature):
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    n = len(z_i)
    logits = (z @ z.t() / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(2 * n).roll(n))


def self_pair_kept(z_i, z_j, temperature):
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    n = len(z_i)
    return F.cross_entropy(z @ z.t() / temperature, torch.arange(2 * n).roll(n))


def one_direction_sum(z_i, z_j, temperature):
    logits = F.normalize(z_i, dim=1) @ F.normalize(z_j, dim=1).t() / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)), reduction="sum")


def keys_detached(z_i, z_j, temperature):
    logits = F.normalize(z_i, dim=1) @ F.normalize(z_j, dim=1).detach().t() / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)))


def norm_detached(z_i, z_j, temperature):
    u, v = (z / z.norm(dim=1, keepdim=True).detach() for z in (z_i, z_j))
    logits = u @ v.t() / temperature
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def simsiam_without_stop(p1, p2, z1, z2):
    return -(F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean()) / 2


def siglip_mean(a, b, log_scale, bias):
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() * log_scale.exp() + bias
    return -F.logsigmoid((2 * torch.eye(len(a), dtype=a.dtype) - 1) * logits).mean()


def vicreg_biased(x, y):
    def parts(z):
        z = z - z.mean(dim=0)
        covariance = z.t() @ z / len(z)
        off = covariance - torch.diag(torch.diag(covariance))
        return 25 * F.relu(1 - torch.sqrt(z.var(dim=0, unbiased=False) + 1e-4)).mean() + off.pow(2).sum() / z.shape[1]

    return 25 * F.mse_loss(x, y) + parts(x) + parts(y)


def uniformity_unnormalised(x, t=2):
    return torch.pdist(x, p=2).pow(2).mul(-t).exp().mean().log()


def distillation(scores, labels, temperature):
    log_p = F.log_softmax(scores / temperature, dim=1)
    return -(log_p * F.one_hot(labels, scores.shape[1])).mean() * temperature**2


SLIPS = [
    (self_pair_kept, "infonce", {"variant": "nt_xent"}, "off_diagonal is left out"),
    (one_direction_sum, "infonce", {}, "equals infonce(symmetric=False, reduction='sum')"),
    (keys_detached, "infonce", {"variant": "one_direction"}, "no gradient reaches b"),
    (norm_detached, "infonce", {}, "division by lengths that receive no gradient"),
    (simsiam_without_stop, "negative_cosine", {}, "stop_gradient is left out"),
    (siglip_mean, "siglip", {}, "variant mean_over_pairs"),
    (vicreg_biased, "vicreg", {}, "equals vicreg(unbiased=False)"),
    (distillation, "cross_entropy", {}, "value and gradient are 1/C temperature² times those of cross_entropy"),
    (uniformity_unnormalised, "uniformity", {}, "equals uniformity(normalize=False)"),
]


@pytest.mark.parametrize("function, loss, options, words", SLIPS, ids=[f.__name__ for f, *_ in SLIPS])
def test_slips_in_torch_are_named(function, loss, options, words):
    report = check(
        function, loss, mapping={"a": "z_i", "b": "z_j"} if "z_i" in _parameters(function) else None, **options
    )
    assert report.exit_code == 1
    assert words in report.verdict


def doubled_with_self_pair(z_i, z_j, temperature):
    return 2 * self_pair_kept(z_i, z_j, temperature)


def siglip_mean_without_exp(a, b, log_scale, bias):
    """With torch's softplus, which is a straight line above 20."""
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() * log_scale + bias
    return F.softplus((1 - 2 * torch.eye(len(a), dtype=a.dtype)) * logits).mean()


def root_of_temperature_one_direction(z_i, z_j, temperature):
    logits = F.normalize(z_i, dim=1) @ F.normalize(z_j, dim=1).t() / temperature.sqrt()
    return F.cross_entropy(logits, torch.arange(len(logits)))


def byol_by_mse(p1, p2, z1, z2):
    def distance(p, z):
        return F.mse_loss(F.normalize(p, dim=1), F.normalize(z.detach(), dim=1))

    return distance(p1, z2) + distance(p2, z1)


def uneven_directions(z_i, z_j, temperature):
    logits = F.normalize(z_i, dim=1) @ F.normalize(z_j, dim=1).t() / temperature
    target = torch.arange(len(logits))
    return 0.3 * F.cross_entropy(logits, target) + 0.7 * F.cross_entropy(logits.t(), target)


TOGETHER = [
    (doubled_with_self_pair, "infonce", {"variant": "nt_xent"}, ("are 2 times those", "off_diagonal is left out")),
    (siglip_mean_without_exp, "siglip", {}, ("1/B times those", "exp is left out")),
    (root_of_temperature_one_direction, "infonce", {}, ("symmetric=False", "the root of temperature")),
    (byol_by_mse, "negative_cosine", {}, ("1/D times those of negative_cosine(form='squared', views='sum')",)),
    (uneven_directions, "infonce", {}, ("no known variant or slip fits",)),
]


@pytest.mark.parametrize("function, loss, options, words", TOGETHER, ids=[f.__name__ for f, *_ in TOGETHER])
def test_two_slips_together_are_named_and_what_has_no_name_gets_none(function, loss, options, words):
    report = check(
        function, loss, mapping={"a": "z_i", "b": "z_j"} if "z_i" in _parameters(function) else None, **options
    )
    assert report.exit_code == 1
    assert all(word in report.verdict for word in words), report.verdict


def _parameters(function):
    return inspect.signature(function).parameters


def test_targets_that_the_caller_detaches_need_no_stop_gradient():
    report = check(simsiam_without_stop, "negative_cosine", detached=("z1", "z2"))
    assert report.exit_code == 0, report.text()


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda a, b: a.detach().sum(), "its value does not depend on a, b through torch autograd"),
        (lambda a, b: 1.0, "returned a float, expected a torch tensor"),
        (lambda a, b: a @ b.t(), "returned a tensor of shape"),
        (lambda a, b: (b, a.sum()), "returned a tensor of shape"),
        (lambda a, b: {"total": a.sum()}, "returned a dict, expected a torch tensor"),
        (lambda a, b: torch.nope(a), "raised AttributeError"),
    ],
)
def test_unusable_torch_functions(function, words):
    with pytest.raises(Unusable, match=words):
        check(function, "infonce", framework="torch")


def test_nan_on_ordinary_rows_is_a_wrong_answer():
    report = check(lambda a, b: a.sum() * b.sum() * float("nan"), "infonce", framework="torch")
    assert report.exit_code == 1 and "its value is not finite on ordinary rows" in report.verdict


def test_values_only_needs_no_gradient():
    def detached(a, b, temperature):
        return faithful_nt_xent(a, b, temperature).detach()

    report = check(detached, "infonce", variant="nt_xent", values_only=True)
    assert report.exit_code == 0
    assert "Only values are compared" in report.notes[0]


def test_a_temperature_taken_as_a_number_is_passed_as_one():
    def with_float(a, b, temperature):
        return faithful_nt_xent(a, b, float(temperature))

    def float_only(a, b, temperature):
        assert isinstance(temperature, float)
        return faithful_nt_xent(a, b, temperature)

    for function in (with_float, float_only):
        report = check(function, "infonce", variant="nt_xent")
        assert report.exit_code == 0, report.text()
        assert all("grad temperature" not in row.comparison.errors for row in report.rows if row.comparison)


def test_the_framework_is_seen():
    assert framework_of(Target.of(faithful_nt_xent)) == "torch"
    assert framework_of(Target.of(torch.nn.CosineEmbeddingLoss())) == "torch"
    assert framework_of(Target.of(F.mse_loss)) == "torch"


def test_assert_matches():
    assert_matches(faithful_nt_xent, "infonce", framework="torch", negatives="views")
    with pytest.raises(AssertionError, match="off_diagonal is left out"):
        assert_matches(self_pair_kept, "infonce", framework="torch", negatives="views")


def _circle_sums(z, labels, margin, scale):
    """Log-sum-exp over positive plus over negative pairs of the batch."""
    z = F.normalize(z, dim=1)
    s = z @ z.t()
    same = labels[:, None] == labels
    below = torch.ones_like(same).tril(-1).bool()
    s_p, s_n = s[same & below], s[~same & below]
    w_p, w_n = (1 + margin - s_p.detach()).clamp(min=0), (s_n.detach() + margin).clamp(min=0)
    logit_p, logit_n = -scale * w_p * (s_p - (1 - margin)), scale * w_n * (s_n - margin)
    return logit_p.logsumexp(dim=0) + logit_n.logsumexp(dim=0)


def circle_by_torch_softplus(z, labels, margin, scale):
    return F.softplus(_circle_sums(z, labels, margin, scale))


def circle_without_softplus(z, labels, margin, scale):
    return _circle_sums(z, labels, margin, scale)


@pytest.mark.parametrize("scale", [16.0, 80.0, 256.0])
def test_circle_with_its_softplus_conforms_and_without_it_does_not(scale):
    settings = {"over": "batch", "margin": 0.25, "scale": scale}
    faithful = check(circle_by_torch_softplus, "circle", settings=settings)
    assert faithful.exit_code == 0 and faithful.explanation is None, faithful.text()
    slip = check(circle_without_softplus, "circle", settings=settings)
    assert slip.exit_code == 1 and "softplus is left out" in slip.verdict


def test_a_rounding_of_the_framework_is_said_with_how_much_it_is():
    report = check(circle_by_torch_softplus, "circle", settings={"over": "batch", "margin": 0.25, "scale": 16.0})
    assert report.exit_code == 0, report.text()
    assert any("torch's softplus is a straight line above 20: off by" in note for note in report.notes)


def test_a_float32_constant_inside_has_a_verdict_of_its_own():
    def with_float32_temperature(a, b):
        temperature = torch.tensor(0.1, dtype=torch.float32).double()
        return faithful_nt_xent(a, b, temperature)

    report = check(with_float32_temperature, "infonce", variant="nt_xent")
    assert report.exit_code == 4
    assert "as a float32 constant inside would give" in report.verdict


def test_the_pasted_case_is_python():
    report = check(lambda prediction, target, mask: prediction.sum(), "masked_regression", framework="torch")
    pasted = report.text().partition("The smallest failing case:\n")[2]
    exec(pasted, {"np": __import__("numpy")})
