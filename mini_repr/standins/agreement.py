"""How well images agree with their captions, as the spotter sees it."""

import numpy as np

from mini_repr.data.generated.scenes import NUMBERS, parse

# {relation: (rows, columns) from the first digit's cell to the second's}
_STEPS = {"left of": (0, 1), "right of": (0, -1), "above": (1, 0), "below": (-1, 0)}


def agreement(spotter, images, captions):
    """Shares of images that hold what their captions say.

    Args:
        spotter: ``standins.spotter.Spotter``. images: (N, 1, 16, 16) host array in [0, 1]. captions: list of N texts.
    Returns:
        {"present": every digit named is there, as often as it is named; "relation": and, of captions that state one,
        the first stands so to the second in some pair of cells; "attribute": and is as light or dark as it is said to
        be; "exact": present, and no other digit is there}; NaN where no caption has it.
    Raises:
        ValueError: a caption that is none.
    """
    found, dark = spotter.spot(images)
    side = round(found.shape[1] ** 0.5)
    rows = []
    for kinds, shades, caption in zip(found, dark, captions, strict=True):
        said = parse(caption)
        wanted = [NUMBERS.index(noun.word) for noun in said.nouns]
        wanted = wanted * said.count if len(wanted) == 1 else wanted
        counts = {digit: wanted.count(digit) for digit in wanted}
        present = all(np.sum(kinds == digit) >= count for digit, count in counts.items())
        right = [
            np.any((kinds == NUMBERS.index(noun.word)) & (shades == (noun.attribute == "dark"))) for noun in said.nouns
        ]
        related = np.nan
        if said.relation:
            first, second = (np.argwhere((kinds == digit).reshape(side, side)) for digit in wanted)
            step = np.array(_STEPS[said.relation])
            related = any((np.sign(b - a) == step).all() for a in first for b in second)
        told = {
            "present": present,
            "relation": np.nan if related is np.nan else present and related,
            "attribute": present and all(right),
            "exact": present and np.sum(kinds != 10) == len(wanted),
        }
        rows.append(told)
    with np.errstate(invalid="ignore"):
        columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    return {name: float(np.nanmean(x)) if not np.isnan(x).all() else float("nan") for name, x in columns.items()}
