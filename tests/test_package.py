"""What packaging says of the package, and the package of itself."""

import configparser
import re
from pathlib import Path

import mini_repr


def test_the_version_is_one():
    metadata = configparser.ConfigParser()
    metadata.read(Path(__file__).parent.parent / "setup.cfg")
    assert metadata["metadata"]["version"] == mini_repr.__version__
    changes = (Path(mini_repr.__file__).parent / "book" / "changelog.md").read_text(encoding="utf-8")
    assert re.search(r"^## (.*)", changes, flags=re.MULTILINE)[1] == mini_repr.__version__
