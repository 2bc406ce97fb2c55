"""`check` on the signatures that public PyTorch code has: one side, stacked views, queues, modules, extra returns."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402  (after the skip)

from mini_repr.conformance.check import check  # noqa: E402
from mini_repr.conformance.layouts import Layout  # noqa: E402
from mini_repr.conformance.user_code import Unusable  # noqa: E402

pytestmark = [pytest.mark.crosscheck, pytest.mark.filterwarnings("ignore:Converting a tensor")]


def clip_of(a, b, temperature):
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() / temperature
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def one_sided_cosine(p, z):
    return -F.cosine_similarity(p, z.detach(), dim=1).mean()


def stacked_views(features, temperature):
    return clip_of(*features.unbind(dim=1), temperature)


def list_of_views(views, temperature):
    assert isinstance(views, list)
    return clip_of(*views, temperature)


class OfficialSignature(torch.nn.Module):
    """The signature of the official SupConLoss: features (B, V, D), labels (B,)."""

    def __init__(self, temperature=0.1):
        super().__init__()
        self.temperature = temperature

    def forward(self, features, labels=None):
        if features.dim() < 3:
            raise ValueError("`features` needs to be [bsz, n_views, ...]")
        views = features.shape[1]
        z = F.normalize(torch.cat(features.unbind(dim=1)), dim=1)
        labels = labels.repeat(views)
        logits = z @ z.t() / self.temperature
        own = torch.eye(len(z), dtype=torch.bool)
        positive = (labels[:, None] == labels) & ~own
        log_p = logits - torch.logsumexp(logits.masked_fill(own, -torch.inf), dim=1, keepdim=True)
        count = positive.sum(dim=1)
        return (-(positive * log_p).sum(dim=1) / count.clamp(min=1)).sum() / (count > 0).sum()


def moco(q, k, queue, temperature):
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    queue = F.normalize(queue, dim=0)  # (D, K)
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def keyword_only(*, a, b, temperature):
    return clip_of(a, b, temperature)


def with_logits(a, b, temperature):
    return clip_of(a, b, temperature), {"logits": a @ b.t()}


def in_a_dict(a, b, temperature):
    return {"loss": clip_of(a, b, temperature), "accuracy": 0.5}


def single_precision_only(a, b, temperature):
    assert a.dtype == torch.float32
    return clip_of(a, b, temperature)


@pytest.mark.parametrize(
    "function, loss, options, said",
    [
        (one_sided_cosine, "negative_cosine", {}, "--views one-sided"),
        (stacked_views, "infonce", {}, "--views stacked"),
        (list_of_views, "infonce", {}, "--views list"),
        (OfficialSignature, "supcon", {}, "--views stacked"),
        (moco, "infonce", {"variant": "moco"}, "--transposed queue"),
        (keyword_only, "infonce", {}, ""),
        (with_logits, "infonce", {}, ""),
        (in_a_dict, "infonce", {}, ""),
        (single_precision_only, "infonce", {}, "--dtype float32"),
    ],
)
def test_public_signatures_are_called_and_it_is_said_how(function, loss, options, said):
    report = check(function, loss, **options)
    assert report.exit_code in (0, 3), report.text()
    assert said in " ".join(report.notes)
    gradients = {part for row in report.rows if row.comparison for part in row.comparison.errors} - {"value"}
    assert gradients, "gradients were compared"


def test_an_option_chooses_the_layout():
    assert check(stacked_views, "infonce", layout=Layout(views="stacked")).exit_code == 0
    with pytest.raises(Unusable):
        check(stacked_views, "infonce", layout=Layout(views="list"))


def test_what_was_given_stands_in_the_message_with_the_options_that_change_it():
    def wants_images(a, b):
        raise RuntimeError("expected 4 dimensions")

    with pytest.raises(Unusable) as raised:
        check(wants_images, "infonce", framework="torch")
    for words in ("expected 4 dimensions", "a: float64 (6, 5)", "--views", "--dtype"):
        assert words in str(raised.value)


def test_keys_that_receive_no_gradient_anywhere_are_said_to_be_detached():
    def detached_keys(a, b, temperature):
        logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).detach().t() / temperature
        return F.cross_entropy(logits, torch.arange(len(logits)))

    report = check(detached_keys, "infonce", variant="one_direction")
    assert report.exit_code == 1
    assert "No gradient reaches b in any case, all else is equal: as with --detached." in report.notes
    assert check(detached_keys, "infonce", variant="one_direction", detached=("b",)).exit_code == 0


def test_an_exception_on_some_cases_is_a_verdict():
    def fragile(a, b, temperature):
        assert len(a) != 7
        return clip_of(a, b, temperature)

    report = check(fragile, "infonce")
    assert report.exit_code == 1 and {row.verdict for row in report.rows if row.bad} == {"raised"}
