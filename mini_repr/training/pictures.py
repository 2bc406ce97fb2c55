"""Pictures of tables (extra ``plot``)."""

import numpy as np

from mini_repr.data.pictures import figures


def draw_layers(scores, path):
    """Write a picture of ``evaluate_layers``' table: one panel a measure, layers from left to right."""
    measures = [m for m in next(iter(scores.values())) if m != "dimensions"]
    figure = figures()(figsize=(3 * len(measures), 3), layout="constrained")
    for panel, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        panel.plot(range(1, len(scores) + 1), [row[measure] for row in scores.values()], marker="o")
        panel.set(title=measure, xlabel="layer")
    figure.savefig(path)


def draw_landscape(losses, steps, path):
    """Write a picture of a surface of losses around the weights, as contours of its logarithm."""
    figure = figures()(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    shown = panel.contourf(steps, steps, np.log10(np.maximum(losses, 1e-12)).T, levels=20)
    panel.set(title="log10 of the loss", xlabel="first direction", ylabel="second direction")
    figure.colorbar(shown)
    figure.savefig(path)


def draw_rebuilt(panels, path):
    """Write a picture of ``rebuilt_images``: a column an image, a row a name."""
    count = len(next(iter(panels.values())))
    figure = figures()(figsize=(1.2 * count + 1, 1.3 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), count, squeeze=False)
    for row, (name, images) in zip(grid, panels.items(), strict=True):
        row[0].set_ylabel(name)
        for panel, image in zip(row, images, strict=True):
            _show(panel, image)
    figure.savefig(path)


def draw_samples(images, names, path):
    """Write a picture of images (N, C, H, W), at most ten in a row, each under its name where there are names."""
    across = min(10, len(images))
    down = -(-len(images) // across)
    figure = figures()(figsize=(1.1 * across, (1.4 if names else 1.1) * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for k, panel in enumerate(panels):
        if k < len(images):
            _show(panel, images[k])
            panel.set_title(names[k] if names else "", fontsize=8)
        else:
            panel.set_axis_off()
    figure.savefig(path)


def _show(panel, image):
    """One image (C, H, W) in grey or colour, or a map (H, W) in false colours."""
    panel.set(xticks=[], yticks=[])
    if image.ndim == 2:
        panel.imshow(image)
    elif len(image) == 1:
        panel.imshow(image[0], cmap="gray", vmin=0, vmax=1)
    else:
        panel.imshow(image.transpose(1, 2, 0))
