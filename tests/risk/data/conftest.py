import pytest


@pytest.fixture
def inbox(world):
    """Give a world whose input folder is empty."""
    world.take_from_inbox()
    return world
