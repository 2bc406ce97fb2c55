"""Settings of a page that a user types as NAME=VALUE, and its arrays from a file."""


def settings_of(page, assignments):
    """{name: value} of ``--set`` words for a page.

    Raises:
        ValueError: a word without "=", or a name that the page does not have.
    """
    from mini_repr.pages.names import suggestion
    from mini_repr.training.config import parse_value

    settings = {}
    for text in assignments:
        parameter, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            example = next((f"{p.name}={p.default}" for p in page.settings), "NAME=VALUE")
            raise ValueError(f"--set {text}: expected NAME=VALUE, such as {example}")
        if parameter not in page.parameters:
            raise ValueError(f"--set {text}: no such setting of {page.name}{suggestion(parameter, page.parameters)}")
        settings[parameter] = parse_value(value)
    return settings


def refuse_missing(page, arrays, path):
    """A ValueError unless the file has every array that the page cannot do without."""
    for parameter in page.arrays:
        if not parameter.annotation.optional and parameter.name not in arrays:
            raise ValueError(f"{path}: no array {parameter.name!r}; {page.name} needs {parameter.annotation}")


def mapped(arrays, names, path):
    """``arrays`` {name: array}, and those of ``--map`` words ARGUMENT=ARRAY under the argument's name too.

    An array may be another file's: ARGUMENT=FILE.npz:ARRAY.

    Raises:
        ValueError: a word without "=", or an array that is not there.
    """
    from mini_repr.data.readers.npz import read_arrays

    found = dict(arrays)
    for text in names:
        argument, equals, name = (part.strip() for part in text.partition("="))
        if not equals:
            raise ValueError(f"--map {text}: expected ARGUMENT=ARRAY, such as attribute=labels")
        file, colon, of_file = name.rpartition(":")
        known, place, name = (read_arrays(file), file, of_file) if colon else (arrays, path, name)
        if name not in known:
            raise ValueError(f"--map {text}: {place} holds {', '.join(known) or 'nothing'}, no {name}")
        found[argument] = known[name]
    return found


def write(path, arrays):
    """Write arrays to an npz file; a disk that refuses is one line."""
    import numpy as np

    from mini_repr.training.folder import writing

    with writing(path), open(path, "wb") as file:
        np.savez(file, **arrays)


def report(found):
    """{name: number or array} as lines; of an array its shape, and its values where they fit."""
    from mini_repr.pages.tables import table

    return table("", [(name, _short(value)) for name, value in found.items()])


def _short(value):
    """A number in six digits; of an array its shape, and its values where they fit on a line."""
    import numpy as np

    if np.ndim(value) == 0:
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    values = np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", " ")
    return f"{np.shape(value)}" + (f" {values}" if len(values) < 80 else "")
