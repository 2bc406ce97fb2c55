"""What one run did, or several side by side, as one file that needs nothing else: curves, maps, pictures, settings."""

import base64
import io
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.image import imsave

import mini_repr
from mini_repr.autograd import no_grad
from mini_repr.book.contents import as_typed, code, table
from mini_repr.book.svg import LINES, MUTED, legend, look, svg
from mini_repr.data import ImageSet, PairSet
from mini_repr.methods import encode, kind_of
from mini_repr.nn import ViT
from mini_repr.posthoc.pca import PCA
from mini_repr.training import folder
from mini_repr.training.comparison import differing
from mini_repr.training.evaluation import encoders_of, looked_at, opened, rebuilt_images
from mini_repr.training.report import inputs_of
from mini_repr.training.table import COLUMNS, cell

FILES = Path(__file__).parent / "site"
# What is shown of an epoch's record besides the loss and its terms.
NUMBERS = {
    "gradient_norm": "norm of the gradient",
    "std": "collapse: deviation of the dimensions",
    "effective_rank": "collapse: effective rank",
    "knn": "accuracy of the nearest neighbours",
}
UNSHOWN = ("epoch", "step", "seconds", "learning_rate", *NUMBERS)
MAPPED, QUERIES, NEIGHBOURS, LOOKED_AT = 400, 8, 5, 8
MARKERS = "o^sDv"
# UMAP joins each row to 15 by default, and begins from eigenvectors that fewer rows do not have.
FEWEST_FOR_UMAP = 20


class Shown(NamedTuple):
    """A run as a report sees it.

    name: of its folder. settings, environment: as it holds them. epochs: its records. scores: its table, None where it
    is not finished. run, data: trained, and its data. rows: {"train", "test"} of its encoder, None of a table.
    """

    name: str
    path: str
    settings: dict
    environment: dict
    epochs: list
    scores: dict | None
    run: object
    data: object
    rows: dict | None


def report(paths, out):
    """Write the report on the runs in these folders to the file ``out``.

    Raises:
        ValueError: no run there, or a file that is there already.
    """
    folder.refuse_taken_file(out)
    runs = [_shown(path) for path in paths]
    sections = [
        ("Scores", _scores(runs)),
        ("Settings that differ", _differences(runs)),
        ("Curves", _curves(runs)),
        ("Embeddings of test rows, two principal components", _side_by_side(runs, _principal_map)),
        ("Embeddings of test rows, UMAP of their cosine distances", _side_by_side(runs, _umap_map)),
        ("Mean cosine between classes", _side_by_side(runs, _similarities)),
        ("Nearest training rows of some test rows", _side_by_side(runs, _neighbours)),
        ("What is hidden, and what the method puts there", _side_by_side(runs, _rebuilt)),
        ("Where the encoder looks in its last block", _side_by_side(runs, _attention)),
        ("Run again", as_typed("\n".join(_again(shown) for shown in runs))),
        ("Environment", _environment(runs)),
        ("All settings", _settings(runs)),
    ]
    template = Environment(
        loader=PackageLoader("mini_repr.book", "site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html")
    style = re.sub(r"@font-face \{.*?\}\n", "", (FILES / "style.css").read_text(encoding="utf-8"))
    title = ", ".join(shown.name for shown in runs)
    text = template.render(
        title=title,
        sections=[(name, body) for name, body in sections if body],
        style=Markup(style),
        version=mini_repr.__version__,
    )
    with folder.whole_file(out) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def _shown(path):
    home = folder.open_run(path)
    run, data = opened(path)
    run.method.eval()
    lines = (home / folder.EPOCHS).read_text(encoding="utf-8").splitlines() if (home / folder.EPOCHS).exists() else []
    scores = home.read_json(folder.REPORT) if (home / folder.REPORT).exists() else None
    rows = None
    if kind_of(data) != "tables":
        first = next(iter(encoders_of(run.method, data).values()))
        rows = {part: encode(first, _inputs(getattr(data, part)), run.backend) for part in ("train", "test")}
    return Shown(
        Path(path).resolve().name,
        str(path),
        run.settings,
        home.read_json(folder.ENVIRONMENT),
        [json.loads(line) for line in lines],
        scores,
        run,
        data,
        rows,
    )


def _inputs(part):
    return part.a if isinstance(part, PairSet) else inputs_of(part)


def _side_by_side(runs, section):
    """The same section for each run that has it, under the names of the runs where there are several."""
    bodies = [(shown.name, section(shown)) for shown in runs]
    titled = Markup('<div class="run"><h3>{}</h3>{}</div>') if len(runs) > 1 else Markup('<div class="run">{1}</div>')
    found = [titled.format(name, body) for name, body in bodies if body]
    return Markup('<div class="runs">{}</div>').format(Markup().join(found)) if found else ""


def _scores(runs):
    """A row for each way to represent the data, for each finished run."""
    rows = [
        (f"{shown.name}: {name}" if len(runs) > 1 else name, scores)
        for shown in runs
        for name, scores in (shown.scores or {}).items()
    ]
    columns = [column for column in COLUMNS if any(column in scores for _, scores in rows)]
    unfinished = [shown.name for shown in runs if shown.scores is None]
    note = Markup("<p>Not finished: {}.</p>").format(", ".join(unfinished)) if unfinished else Markup()
    body = table(("", *(COLUMNS[c] for c in columns)), [(name, *(cell(s, c) for c in columns)) for name, s in rows])
    return note + body


def _differences(runs):
    if len(runs) < 2:
        return ""
    found = differing([shown.settings for shown in runs])
    rows = [(code(name), *map(str, values)) for name, values in found.items()]
    seeds = ("train.seed", *(str(shown.settings["train"]["seed"]) for shown in runs))
    return table(("", *(shown.name for shown in runs)), [*rows, (code(seeds[0]), *seeds[1:])])


def _curves(runs):
    """Every number of the epochs' records, a panel each, a line for each run."""
    terms = list(dict.fromkeys(n for shown in runs for record in shown.epochs for n in record if n not in UNSHOWN))
    alone = len(terms) == 2 and all(r["loss"] == r[terms[1]] for s in runs for r in s.epochs if terms[1] in r)
    names = {name: name for name in terms[: 1 if alone else None]} | NUMBERS
    names = {n: says for n, says in names.items() if any(n in record for s in runs for record in s.epochs)}
    if not names:
        return ""
    down = -(-len(names) // 3)

    def draw(figure):
        panels = np.ravel(figure.subplots(down, 3))
        for panel, (name, says) in zip(panels, names.items(), strict=False):
            for k, shown in enumerate(runs):
                points = [(record["epoch"], record[name]) for record in shown.epochs if name in record]
                if points:
                    panel.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else None, **look(k))
            panel.set_title(says, fontsize=9)
            panel.locator_params(nbins=4)
        for panel in panels[len(names) :]:
            panel.axis("off")
        for panel in panels[max(0, len(names) - 3) : len(names)]:
            panel.set_xlabel("epoch")

    picture = svg(draw, (8.4, 2.1 * down), "curves by epoch")
    return picture + (legend(shown.name for shown in runs) if len(runs) > 1 else Markup())


def _principal_map(shown):
    """The first test rows on the two directions of most variance of the training rows."""
    if shown.rows is None or len(shown.rows["train"]) < 3 or shown.rows["train"].shape[1] < 2:
        return ""
    if not np.ptp(shown.rows["train"], axis=0).any():
        return Markup("<p>All rows are equal: the encoder has collapsed.</p>")
    return _map(shown, PCA(2).fit(shown.rows["train"]).transform(shown.rows["test"][:MAPPED]), "map of embeddings")


def _umap_map(shown):
    """The same test rows as UMAP places them, for those who have umap-learn: neighbours stay, distances do not."""
    if shown.rows is None or len(shown.rows["test"]) < FEWEST_FOR_UMAP:
        return ""
    try:
        from umap import UMAP
    except ImportError:
        return ""
    places = UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(shown.rows["test"][:MAPPED])
    return _map(shown, places, "UMAP of embeddings")


def _map(shown, places, title):
    """The first test rows where ``places`` (N, 2) has them, marked by class."""
    labels = shown.data.test.labels
    kinds = np.zeros(len(places), dtype=int) if labels is None else labels[: len(places)]
    names = [""] if labels is None else shown.data.test.label_names
    extent, named = np.maximum(np.ptp(places, axis=0), np.finfo(float).tiny), []

    def place_of_name(own):
        """Of a class's rows the nearest to its median whose surroundings have no name yet, or else the nearest."""
        order = np.linalg.norm(own - np.median(own, axis=0), axis=1).argsort(kind="stable")
        apart = [k for k in order if all(np.max(np.abs(own[k] - n) / extent) > 0.06 for n in named)]
        named.append(own[(apart or order)[0]])
        return named[-1]

    def draw(figure):
        panel = figure.subplots()
        for k in np.unique(kinds):
            own = places[kinds == k]
            mark = MARKERS[k // len(LINES) % len(MARKERS)]
            panel.plot(*own.T, mark, color=LINES[k % len(LINES)], markersize=3.5, alpha=0.8, markeredgewidth=0)
            if len(names) <= len(LINES) * len(MARKERS):
                panel.text(*place_of_name(own), str(names[k]), ha="center", va="center", fontsize=11)
        panel.set_xticks([])
        panel.set_yticks([])
        for side in panel.spines.values():
            side.set_color(MUTED)

    return svg(draw, (4.2, 3.4), f"{shown.name}: {title}")


def _similarities(shown):
    """The mean cosine of the test rows of two classes, for every two: the class itself without a row with itself."""
    labels = shown.data.test.labels
    if shown.rows is None or labels is None or not 1 < len(np.unique(labels)) <= 30:
        return ""
    rows = shown.rows["test"].astype(np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    known = np.unique(labels)
    sums = np.array([rows[labels == k].sum(axis=0) for k in known])
    counts = np.array([(labels == k).sum() for k in known])
    pairs = np.outer(counts, counts) - np.diag(counts)
    cosines = (sums @ sums.T - np.diag([(rows[labels == k] ** 2).sum() for k in known])) / np.maximum(pairs, 1)
    names = [str(shown.data.test.label_names[k]) for k in known]
    shade = Markup('<span class="shade" style="--part: {:.0f}%">{:.2f}</span>')
    body = [
        (name, *(shade.format(100 * max(value, 0), value) for value in row))
        for name, row in zip(names, cosines, strict=True)
    ]
    return table(("", *names), body)


def _neighbours(shown):
    """Some test rows, and the training rows that lie nearest to each by cosine, as pictures or texts."""
    if shown.rows is None:
        return ""
    train, test = (_unit(shown.rows[part].astype(np.float64)) for part in ("train", "test"))
    queries = np.unique(np.linspace(0, len(test) - 1, QUERIES).astype(int))
    nearest = np.argsort(-(test[queries] @ train.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    rows = [
        (_sample(shown.data.test, query), *(_sample(shown.data.train, k) for k in found))
        for query, found in zip(queries, nearest, strict=True)
    ]
    return table(("test row", "nearest", *("",) * (nearest.shape[1] - 1)), rows)


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _sample(part, row):
    """One row of a data set, with its class where it has one."""
    shown = _image(part.images[row]) if isinstance(part, ImageSet) else str(_inputs(part)[row])[:80]
    label = "" if part.labels is None else str(part.label_names[part.labels[row]])
    return Markup("{}<br>{}").format(shown, label) if label else shown


def _rebuilt(shown):
    """Test images, what is left visible of them, and what the method puts in the gaps."""
    if not hasattr(shown.run.method, "rebuilt"):
        return ""
    panels = rebuilt_images(shown.run, shown.data)
    return table(("",) * (1 + len(panels["image"])), [(n, *map(_image, images)) for n, images in panels.items()])


def _attention(shown):
    """Test images, and the weights of attention of the last block: from the class token, or the mean over tokens."""
    encoder = shown.run.method.encoder
    if not isinstance(encoder, ViT) or not isinstance(shown.data.test, ImageSet) or len(encoder.grid) != 2:
        return ""
    images = shown.data.test.images[:LOOKED_AT]
    with no_grad():
        weights = looked_at(encoder, shown.run.backend.asarray(images))
    maps = shown.run.backend.to_numpy(weights)
    return table(("",) * (1 + len(images)), [("image", *map(_image, images)), ("attention", *map(_image, maps))])


def _image(image):
    """An image (C, H, W) in [0, 1], a clip's first frame, or a map (H, W) from its least to its largest number."""
    image = np.asarray(image[0] if image.ndim == 4 else image, dtype=np.float64)
    written = io.BytesIO()
    if image.ndim == 2:
        imsave(written, image, cmap="viridis", format="png", metadata={"Software": None})
    else:
        pixels = np.clip(image if len(image) == 3 else image[:1].repeat(3, axis=0), 0, 1)
        imsave(written, pixels.transpose(1, 2, 0), format="png", metadata={"Software": None})
    data = base64.b64encode(written.getvalue()).decode()
    return Markup('<img class="pixels" alt="" src="data:image/png;base64,{}">').format(data)


def _again(shown):
    words = "mini-repr", "train", "--config", str(Path(shown.path) / folder.CONFIG), "--out", f"{shown.path}-again"
    return shlex.join(words)


def _environment(runs):
    names = list(dict.fromkeys(name for shown in runs for name in shown.environment))
    rows = [(name, *(str(shown.environment.get(name, "")) for shown in runs)) for name in names]
    return table(("", *(shown.name for shown in runs)), rows)


def _settings(runs):
    shown_as = Markup("<details><summary>{}</summary>{}</details>")
    return Markup().join(shown_as.format(one.name, as_typed(json.dumps(one.settings, indent=2))) for one in runs)
