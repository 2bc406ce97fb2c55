"""Pictures of tables (extra ``plot``)."""

from mini_repr.data.pictures import figures


def draw_layers(scores, path):
    """Write a picture of ``evaluate_layers``' table: one panel a measure, layers from left to right."""
    measures = [m for m in next(iter(scores.values())) if m != "dimensions"]
    figure = figures()(figsize=(3 * len(measures), 3), layout="constrained")
    for panel, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        panel.plot(range(1, len(scores) + 1), [row[measure] for row in scores.values()], marker="o")
        panel.set(title=measure, xlabel="layer")
    figure.savefig(path)
