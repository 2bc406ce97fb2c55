"""Names by which the field knows a loss with settings and a way to train it: SimCLR is InfoNCE, NT-Xent, two views."""

from typing import NamedTuple

from mini_repr.pages.names import UnknownName, choose_folded, find_loss, folded
from mini_repr.pages.page import KINDS
from mini_repr.pages.registry import all_losses, pages_of


class Meant(NamedTuple):
    """What a name stands for: a loss, and where the name says so its variant, the method, and settings of that."""

    loss: str
    variant: str | None = None
    method: str | None = None
    settings: dict = {}  # noqa: RUF012  (never changed)

    def options(self):
        """As one types it: the loss, then options of ``mini-repr train``."""
        parts = [self.loss]
        parts += [f"--variant {self.variant}"] if self.variant else []
        parts += [f"--method {self.method}"] if self.method else []
        return " ".join([*parts, *(f"--set method.{name}={value}" for name, value in self.settings.items())])


FIELD_NAMES = {
    "simclr": Meant("infonce", "nt_xent", "simclr"),
    "nt_xent": Meant("infonce", "nt_xent"),
    "clip": Meant("infonce"),
    "moco": Meant("infonce", "moco", "momentum"),
    "dcl": Meant("infonce", "decoupled"),
    "multiple_negatives_ranking": Meant("infonce", "one_direction"),
    "mnrl": Meant("infonce", "one_direction"),
    "simcse": Meant("infonce", "one_direction", "simcse"),
    "byol": Meant("negative_cosine", "byol", "momentum"),
    "simsiam": Meant("negative_cosine", None, "simsiam"),
    "barlow": Meant("barlow_twins"),
    "supervised_contrastive": Meant("supcon"),
    "triplet_margin": Meant("triplet"),
    "batch_hard": Meant("triplet", "batch_hard"),
    "am_softmax": Meant("circle_scores", "am_softmax"),
    "normface": Meant("circle_scores", "normface"),
    "ce": Meant("cross_entropy"),
    "label_smoothing": Meant("cross_entropy", "smoothed"),
    "sne": Meant("icon", "sne"),
    "t_sne": Meant("icon", "t_sne"),
    "mae": Meant("masked_regression", None, "masked"),
    "simmim": Meant("masked_regression", "simmim", "masked", {"style": "simmim"}),
    "ddpm": Meant("flow_matching", "noise", "flow"),
    "rectified_flow": Meant("flow_matching", None, "flow"),
    "mlm": Meant("cross_entropy", None, "language"),
    "mae_lm": Meant("cross_entropy", None, "language", {"style": "mae_lm"}),
}


# So many losses are named where a variant is that of several.
MOST_OWNERS = 8


def called(name):
    """(pages of every kind that are called so, what the field means by it or None); the loss it means comes first."""
    pages = [page for kind in KINDS for page in pages_of(kind).values()]
    found = [page for page in pages if name in (page.name, *page.aliases)]
    found = found or [page for page in pages if folded(name) in map(folded, (page.name, *page.aliases))]
    known_as = {folded(field): one for field, one in FIELD_NAMES.items()}.get(folded(name))
    owners = variants_called(name)
    if not found and len(owners) == 1:
        known_as = known_as or owners[0]
    if known_as and not any(page.kind == "loss" for page in found):
        found.insert(0, find_loss(known_as.loss))
    return found, known_as


def variants_called(name):
    """Every loss that has a variant of that name, with it."""
    losses = all_losses().values()
    return [Meant(loss.name, own) for loss in losses for own in loss.variants if folded(own) == folded(name)]


def meant(name):
    """What a name stands for: a loss of that name, else what the field means by it, else a variant of one loss.

    Raises:
        UnknownName: none of these, which names the nearest loss; or a variant of several losses.
    """
    try:
        return Meant(find_loss(name).name)
    except UnknownName:
        if not isinstance(name, str):
            raise
    by_fold = {folded(known): known for known in FIELD_NAMES}
    owners = [] if folded(name) in by_fold else variants_called(name)
    if len(owners) > 1:
        losses = ", ".join(one.loss for one in owners[:MOST_OWNERS]) + ", ..." * (len(owners) > MOST_OWNERS)
        raise UnknownName(
            f"loss {name!r}: is a variant of {losses}; expected one of these, such as {owners[0].options()}"
        )
    return owners[0] if owners else FIELD_NAMES[choose_folded("loss", name, [*all_losses(), *FIELD_NAMES])]
