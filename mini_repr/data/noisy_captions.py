"""Captions of which a share belongs to other images, as in pairs collected from the web without a look at them.

Jia et al. 2021, arXiv 2102.05918 (ALIGN), trains two towers on such pairs. Here the share is known, and which they are.
"""

from collections import defaultdict

import numpy as np


def exchange_captions(captions, noise, rng):
    """Exchange captions within a random share of the images: each of those gets one that says something else.

    No caption is lost or made up: together they say what they said before.

    Args:
        captions: N texts, such as those of scenes. noise: share of them to exchange, 0 to 1. rng: numpy Generator.
    Returns:
        (texts, wrong): a list, and (N,) booleans, True where the text is another image's; round(noise * N) of them.
    Raises:
        ValueError: a share out of range, or so few or so equal captions that some would stay true.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"exchange_captions: noise: got {noise!r}, expected a share from 0 to 1")
    chosen = rng.choice(len(captions), round(noise * len(captions)), replace=False)
    equal = defaultdict(list)
    for image in chosen:
        equal[captions[image]].append(image)
    largest = max(map(len, equal.values()), default=0)
    if 2 * largest > len(chosen):
        raise ValueError(
            f"exchange_captions: captions: {largest} of the {len(chosen)} to exchange are equal, expected at most half"
        )
    # Equal captions side by side and moved on by as many as the largest group has: no image meets its own text again.
    groups = list(equal.values())
    receives = np.array([image for k in rng.permutation(len(groups)) for image in groups[k]], dtype=int)
    texts, wrong = list(captions), np.zeros(len(captions), dtype=bool)
    for image, source in zip(receives, np.roll(receives, largest), strict=True):
        texts[image] = captions[source]
    wrong[chosen] = True
    return texts, wrong
