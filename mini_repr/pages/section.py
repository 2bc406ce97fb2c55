"""A section of settings that belongs to no page: a frozen dataclass whose annotated fields are checked when made."""

from dataclasses import dataclass, fields

from mini_repr.pages.arguments import Misuse


@dataclass(frozen=True)
class Section:
    """Base of the sections; a subclass names its section, ``class Heads(Section, name="heads")``.

    Raises:
        ValueError: naming the setting, what came and what was expected.
    """

    def __init_subclass__(cls, name):
        cls.section = name

    def __post_init__(self):
        for field in fields(self):
            try:
                value = field.type.check(getattr(self, field.name), {})
            except Misuse as problem:
                raise ValueError(f"setting {self.section}.{field.name}: {problem}") from None
            object.__setattr__(self, field.name, value)
