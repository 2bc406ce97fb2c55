"""A picture of each generated set (extra ``plot``), as ``mini-repr show NAME --plot FILE`` writes it."""

import textwrap

import numpy as np

from mini_repr.data.dataset import ImageSet
from mini_repr.data.embedded import digits
from mini_repr.data.generated.bars import bars
from mini_repr.data.generated.bit_digits import bit_digits, redrawn_bits
from mini_repr.data.generated.captions import captioned_scenes
from mini_repr.data.generated.clicks import PARITY, clicks
from mini_repr.data.generated.coloured import coloured
from mini_repr.data.generated.corrupted_neuron import ATTACKS, corrupted_neuron
from mini_repr.data.generated.discrete_joint import discrete_joint
from mini_repr.data.generated.halves import halves
from mini_repr.data.generated.linear_tasks import linear_tasks
from mini_repr.data.generated.lorentz_pairs import lorentz_pairs, matrix_element, random_observer
from mini_repr.data.generated.moving import DIRECTIONS, moving
from mini_repr.data.generated.opinions import OPINIONS, rated
from mini_repr.data.generated.permuted import permuted_images
from mini_repr.data.generated.scenes import KINDS, scene
from mini_repr.data.generated.topics import TOPICS, similarity, topic_sentences, vocabulary
from mini_repr.data.generated.two_parts import two_parts
from mini_repr.data.generated.wandering import wandering

COLUMNS, ROWS = 8, 4


def figures():
    """Matplotlib's class of figures.

    Raises:
        ValueError: matplotlib is not there.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("a picture needs matplotlib: pip install 'mini-repr[plot]'") from None
    return Figure


def draw(name, path, seed=0):
    """Write a picture of the generated set of this name, of training digits where there are digits.

    Raises:
        ValueError: matplotlib is not there, or does not write files of that name's ending.
    """
    figure = figures()(figsize=(10, 5.5), layout="constrained")
    _PICTURES[name](figure, np.random.default_rng(seed), digits().train)
    figure.savefig(path)


def _images(figure, images, titles):
    """The first 32 images (H, W), brightness 0 to 1, each under its title."""
    panels = figure.subplots(ROWS, COLUMNS).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, image, title in zip(panels, images, titles, strict=False):
        panel.imshow(image, cmap="gray", vmin=0, vmax=1)
        panel.set_title(textwrap.fill(title, 20), fontsize=6)


def _scenes(figure, rng, part):
    drawn = [scene(rng, part, kind) for kind in KINDS for _ in range(ROWS)]
    shaded = [np.tensordot(np.arange(1, len(one.masks) + 1), one.masks, 1) / 4 for one in drawn]
    images = [image for pair in zip([one.image for one in drawn], shaded, strict=True) for image in pair]
    _images(figure, images, [text for one in drawn for text in (one.caption, "masks")])


def _captions(figure, rng, part):
    drawn = captioned_scenes(ROWS * COLUMNS // 2).train
    shown = (drawn.pixels + 1) / len(drawn.things)
    images = np.stack([drawn.images[:, 0], shown], axis=1).reshape(-1, *shown.shape[1:])
    _images(figure, images, [text for caption in drawn.texts for text in (caption, "what pixels show")])


def _wandering(figure, rng, part):
    drawn = [wandering(part, ROWS * COLUMNS // 2, rng, clutter=clutter) for clutter in (0, 4)]
    labels = [f"{label}, clutter {clutter}" for one, clutter in zip(drawn, (0, 4), strict=True) for label in one.labels]
    _images(figure, np.concatenate([one.images[:, 0] for one in drawn]), labels)


def _moving(figure, rng, part):
    drawn = moving(part, ROWS, rng, frames=COLUMNS)
    titles = [
        f"{label}, {DIRECTIONS[way]}, frame {t}"
        for label, way in zip(drawn.labels, drawn.directions, strict=True)
        for t in range(COLUMNS)
    ]
    _images(figure, drawn.clips[:, :, 0].reshape(-1, *drawn.clips.shape[-2:]), titles)


def _coloured(figure, rng, part):
    drawn = coloured(part, ROWS * COLUMNS, rng)
    titles = [f"{label}, hue {hue:.2f}" for label, hue in zip(drawn.labels, drawn.hues, strict=True)]
    _images(figure, drawn.images.transpose(0, 2, 3, 1), titles)


def _halves(figure, rng, part):
    sides = [side[: ROWS * COLUMNS // 2, 0] for side in halves(part)]
    images = np.stack(sides, axis=1).reshape(-1, *sides[0].shape[1:])
    _images(figure, images, ["left", "right"] * len(sides[0]))


def _permuted(figure, rng, part):
    tasks = [permuted_images(task).train for task in range(ROWS)]
    titles = [f"{label}, task {task}" for task, own in enumerate(tasks) for label in own.labels[:COLUMNS]]
    _images(figure, np.concatenate([own.images[:COLUMNS, 0] for own in tasks]), titles)


def _bars(figure, rng, part):
    drawn = bars(ROWS * COLUMNS, rng)
    order = np.argsort(drawn.angles)
    _images(figure, drawn.images[order, 0], [f"{angle:.2f}" for angle in drawn.angles[order]])


def _bit_digits(figure, rng, part):
    drawn = bit_digits(ImageSet(part.name, part.images[:24], part.labels[:24], part.label_names), 8, 4, rng)
    view = redrawn_bits(drawn, 4, 0.5, rng)
    for panel, rows, title in zip(figure.subplots(1, 2), (drawn.rows, view), ("rows", "a view, keep 0.5"), strict=True):
        panel.imshow(rows, cmap="gray", aspect="auto", interpolation="nearest")
        panel.set(title=title, xlabel="64 pixels, then 8 bits of 4 columns", ylabel="digit")


def _discrete_joint(figure, rng, part):
    drawn = discrete_joint(30, 60, 3, rng)
    order = np.argsort(drawn.view_classes, kind="stable")
    panel = figure.subplots()
    shown = panel.imshow(np.log10(drawn.joint[np.ix_(order, order)]))
    panel.set(title="log10 of the joint, views in the order of their 3 classes", xlabel="second", ylabel="first view")
    figure.colorbar(shown)


def _two_parts(figure, rng, part):
    for panel, dependence in zip(figure.subplots(1, 2), (0.0, 1.0), strict=True):
        drawn = two_parts(20000, dependence, rng)
        pairs = zip((drawn.x1, drawn.x2), _class_means(drawn), strict=True)
        first, second = (x - means[drawn.labels] for x, means in pairs)
        shown = panel.imshow(first.T @ second / len(first), vmin=-1, vmax=1, cmap="RdBu", aspect="auto")
        panel.set(title=f"covariance within classes, dependence {dependence:g}", xlabel="x2", ylabel="x1")
    figure.colorbar(shown)


def _class_means(drawn):
    classes = np.unique(drawn.labels)
    return [np.stack([x[drawn.labels == c].mean(axis=0) for c in classes]) for x in (drawn.x1, drawn.x2)]


def _linear_tasks(figure, rng, part):
    world = linear_tasks(40, 30, 6, 4, rng)
    above, below = figure.subplots(2, 1)
    above.imshow(np.column_stack([world.weights, world.target]), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    above.set(title="weights of 40 tasks, and the target's last", ylabel="direction")
    below.stem(world.relevance)
    below.set(title="relevance of each task to the target", xlabel="task")


def _corrupted_neuron(figure, rng, part):
    for panel, attack in zip(figure.subplots(1, len(ATTACKS)), ATTACKS, strict=True):
        drawn = corrupted_neuron(2000, 20, 0.1, rng, attack=attack)
        reach = drawn.x @ drawn.weights
        for changed, colour in ((False, "tab:blue"), (True, "tab:red")):
            panel.scatter(reach[drawn.changed == changed], drawn.y[drawn.changed == changed], s=4, c=colour)
        panel.set(title=f"attack {attack}, a tenth of the labels (red)", xlabel="x w", ylabel="y")


def _lorentz_pairs(figure, rng, part):
    drawn = lorentz_pairs(5000, rng)
    left, right = figure.subplots(1, 2)
    left.hist(np.sign(drawn.targets) * np.log1p(4 * np.abs(drawn.targets)), bins=60)
    left.set(title="matrix elements y: sign(y) log(1 + 4 |y|)")
    seen = matrix_element(drawn.vectors @ random_observer(rng).T)
    right.scatter(drawn.targets, seen, s=4)
    right.set(title="by another observer", xlabel="y", ylabel="y of the moved vectors")


def _topics(figure, rng, part):
    drawn = topic_sentences(20000, rng, chained=True)
    counts = np.zeros((TOPICS, len(vocabulary())))
    np.add.at(counts, (drawn.topics[:, None], drawn.ids), 1)
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    above.imshow(np.log1p(counts), aspect="auto", interpolation="nearest")
    above.set(title="log(1 + count) of words by topic", xlabel="word", ylabel="topic")
    below.axis("off")
    words = np.array(vocabulary())
    sentences = zip(drawn.topics[:6], words[drawn.ids[:6]], strict=True)
    below.text(0, 1, "\n".join(f"{topic}: {' '.join(sentence)}" for topic, sentence in sentences), va="top")
    order = np.arange(TOPICS)
    below.inset_axes((0.88, 0, 0.12, 1)).imshow(similarity(order[:, None], order))


def _clicks(figure, rng, part):
    drawn = clicks(20000, rng)
    left, right = figure.subplots(1, 2)
    cut = np.linspace(-2, 2, 33)
    bins = np.digitize(drawn.numbers, cut)
    for name, column in zip(("x0", "x1"), bins, strict=True):
        left.plot(cut[:-1], [drawn.clicked[column == k].mean() for k in range(1, len(cut))], label=name)
    left.legend()
    left.set(title="share of clicks by number")
    first, second = drawn.codes[list(PARITY)]
    shares = [[drawn.clicked[(first == a) & (second == b)].mean() for b in range(8)] for a in range(8)]
    right.imshow(shares)
    right.set(title="share of clicks by two categories", xlabel=f"c{PARITY[1]}", ylabel=f"c{PARITY[0]}")


def _opinions(figure, rng, part):
    images = part.images[: ROWS * COLUMNS]
    spoilt, histograms = rated(images, rng, blended=(images + images[::-1]) / 2)
    means = histograms @ np.arange(1, OPINIONS + 1)
    _images(figure, spoilt[:, 0], [f"{mean:.1f} of {OPINIONS}" for mean in means])


_PICTURES = {
    "scenes": _scenes,
    "captions": _captions,
    "wandering": _wandering,
    "moving": _moving,
    "coloured": _coloured,
    "halves": _halves,
    "opinions": _opinions,
    "permuted": _permuted,
    "bars": _bars,
    "bit_digits": _bit_digits,
    "discrete_joint": _discrete_joint,
    "two_parts": _two_parts,
    "linear_tasks": _linear_tasks,
    "corrupted_neuron": _corrupted_neuron,
    "lorentz_pairs": _lorentz_pairs,
    "topics": _topics,
    "clicks": _clicks,
}
PICTURED = tuple(_PICTURES)
