"""Valid random inputs for any loss, drawn from its annotations."""

GENERAL_SIZES = {"B": 6, "N": 6, "D": 5, "C": 4, "K": 7}
ANY_OTHER_SIZE = 3


def sizes_of(loss):
    """{letter: size} for every letter that the loss's arrays name."""
    letters = {letter for p in loss.arrays for letter in p.annotation.letters}
    return {letter: loss.sizes.get(letter, GENERAL_SIZES.get(letter, ANY_OTHER_SIZE)) for letter in letters}


def draw_inputs(loss, rng, needs=()):
    """{name: host array} for every array the loss cannot do without, and the optional ones named in ``needs``."""
    sizes = sizes_of(loss)
    return {p.name: p.annotation.draw(rng, sizes) for p in loss.arrays if not p.annotation.optional or p.name in needs}
