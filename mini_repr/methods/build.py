"""From settings to a method: which one trains a loss, its encoder, its parts."""

from mini_repr.data import CaptionedSet, ImageSet, PairSet, RowSet, TableSet, TextSet, parse_views
from mini_repr.methods.method import Parts, needs_queue
from mini_repr.methods.objective import Objective
from mini_repr.nn import Heads
from mini_repr.pages.names import choose
from mini_repr.pages.registry import all_losses, pages_of

# Where the loss alone decides, the first of these that can train it does.
BY_DEFAULT = [
    "simclr",
    "simsiam",
    "hybrid_distill",
    "metric_learning",
    "classifier",
    "masked",
    "hpm",
    "latent_mim",
    "capi",
    "autoencoder",
    "topic_model",
    "variational",
    "flow",
    "two_tower",
    "image_text",
    "simcse",
    "language",
    "electra",
    "exlm",
    "unsee",
    "click_through",
    "momentum",
]


def find_method(name, loss, takes="images"):
    """The class of the method called ``name``, or where ``name`` is None of the first one that can train the loss.

    An alias may stand for several methods ("siamese", "supervised"): the loss decides between them.

    Raises:
        ValueError: no such method, or none of that name that trains the loss on what ``takes`` says.
    """
    methods = {page.name: page.thing for page in pages_of("method").values()}
    fit = [n for n, method in methods.items() if method.fits(loss)]
    if name is None:
        queue = needs_queue(loss, {})
        for default in BY_DEFAULT:
            method = methods[default]
            if default in fit and method.takes == takes and (method.keeps_queue or not queue):
                return method
        raise ValueError(f"loss {loss.name} (folder {loss.compares}): no method trains it on {takes}")
    aliases = {alias for method in methods.values() for alias in method.page.aliases}
    choose("method", name, [*methods, *sorted(aliases)])
    named = [n for n, method in methods.items() if name in (n, *method.page.aliases)]
    able = [n for n in named if n in fit]
    if not able:
        raise ValueError(
            f"method {name}: cannot train {loss.name} (folder {loss.compares}), expected --method {' or '.join(fit)}"
        )
    if methods[able[0]].takes != takes:
        others = [n for n in fit if methods[n].takes == takes]
        hint = f"expected --method {' or '.join(others)}" if others else f"no method trains {loss.name} on {takes}"
        raise ValueError(f"method {name}: takes {methods[able[0]].takes}, the data holds {takes}: {hint}")
    return methods[able[0]]


def default_loss(method):
    """Name of the loss that a run of the method called ``method`` (or None) takes unless told otherwise."""
    page = pages_of("method").get(method)
    return page.thing.default_loss if page and page.thing.default_loss else "infonce"


def default_encoder(takes, method):
    """Name of the encoder that a run of a method (a class) takes, of what it takes, unless told otherwise."""
    encoders = {"images": "vit", "captions": "vit", "texts": "text", "sentences": "text", "tables": "fields"}
    return method.default_encoder or encoders[takes]


def kind_of(data):
    """What a run can be trained on in a data set.

    "images", "texts" (pairs), "sentences" (one by one), "captions" (images with a text each), "tables"; or "rows", on
    which none can.
    """
    kinds = {
        ImageSet: "images",
        PairSet: "texts",
        TextSet: "sentences",
        CaptionedSet: "captions",
        TableSet: "tables",
        RowSet: "rows",
    }
    return kinds[type(data.train)]


def encoded_kind(data):
    """What an encoder of this data takes: "images", with or without captions, "tables", or "texts", pairs or not."""
    return {"sentences": "texts", "captions": "images"}.get(kind_of(data), kind_of(data))


def build_encoder(settings, data, rng):
    """The encoder of a run, for the shape of its images or for texts. The same ``rng`` state gives the same weights.

    Raises:
        ValueError: the encoder does not take what the data holds, or a setting does not fit.
    """
    name = settings["encoder"]["name"]
    encoders = {name: page.thing for name, page in pages_of("encoder").items()}
    make, takes = encoders[name], encoders[name].takes
    if takes != encoded_kind(data):
        fit = [n for n, encoder in encoders.items() if encoder.takes == encoded_kind(data)]
        raise ValueError(f"encoder {name}: takes {takes}, the data holds {kind_of(data)}: --encoder {' or '.join(fit)}")
    own = {name: value for name, value in settings["encoder"].items() if name != "name"}
    if takes == "texts":
        return make(rng, **own)
    return make(data.train if takes == "tables" else data.train.images.shape[1:], rng, **own)


def build_method(settings, data, rng, encoder_of=None):
    """The method of a run, its encoder made first so that ``build_encoder`` alone gives the same one.

    Args:
        encoder_of: from the path of a run's folder to its trained encoder, for methods that learn from other runs.
    Raises:
        ValueError: the method cannot train the loss, a setting does not fit, or the data lacks what it needs.
    """
    losses = all_losses()
    chosen, added = settings["loss"], settings["add"]
    loss = losses[chosen["name"]]
    method = find_method(settings["method"]["name"], loss, kind_of(data))
    parts = Parts(
        encoder=build_encoder(settings, data, rng),
        objective=Objective(
            loss,
            {p.name: chosen[p.name] for p in loss.settings},
            [(losses[n], x["weight"], {k: v for k, v in x.items() if k != "weight"}) for n, x in added.items()],
            chosen["learn"],
            chosen["matryoshka"],
            chosen["reweight"],
            with_labels=method.needs_labels,
        ),
        rng=rng,
        heads=Heads(**settings["heads"]),
        views=parse_views(settings["method"]["views"]) if method.takes == "images" else None,
        data=data,
        encoder_of=encoder_of,
    )
    return method(parts, **{n: v for n, v in settings["method"].items() if n not in ("name", "views")})
