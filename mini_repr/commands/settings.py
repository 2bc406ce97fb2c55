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
