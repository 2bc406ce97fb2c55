"""What packaging says of the package, and the package of itself."""

import configparser
from pathlib import Path

import mini_repr


def test_the_version_is_one():
    metadata = configparser.ConfigParser()
    metadata.read(Path(__file__).parent.parent / "setup.cfg")
    assert metadata["metadata"]["version"] == mini_repr.__version__
