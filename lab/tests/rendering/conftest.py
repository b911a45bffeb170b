"""Fixtures of the tests of rendering."""

import pytest

from lab.scenes import TextureBank, make_textures


@pytest.fixture(scope="session")
def textures() -> TextureBank:
    """A bank of few textures, which takes half a second to draw."""
    return make_textures([], share=0.01)
