import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "pictures.py"))


def test_the_pictures_show_what_there_is(script):
    """`make pictures` was run after the last change of what one sees in them."""
    assert script["digests"]() == (FOLDER / "inputs.sha256").read_text()


@pytest.mark.parametrize("name", ["dashboard-light.png", "dashboard-dark.png", "report.png"])
def test_a_picture_of_the_readme_is_there_and_small(name):
    """Not an empty page, and nobody waits for it."""
    path = FOLDER / name
    with Image.open(path) as image:
        colours = image.convert("RGB").getcolors(maxcolors=2**24)

    assert f"docs/pictures/{name}" in (ROOT / "README.md").read_text()
    assert len(colours) > 100
    assert path.stat().st_size < 300_000


def test_the_dashboard_is_drawn_in_both_themes():
    """The one that is dark is so."""
    light, dark = (
        Image.open(FOLDER / f"dashboard-{theme}.png").convert("L").resize((1, 1)).getpixel((0, 0))
        for theme in ("light", "dark")
    )

    assert light > 200 > 60 > dark


@pytest.mark.torture
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium: apt install chromium")
def test_pictures_can_be_made_of_any_world(script, deployed, tmp_path_factory):
    """Of one that had a single run, too."""
    folder = tmp_path_factory.mktemp("pictures")
    names = {"FOLDER": folder, "INPUTS": folder / "inputs.sha256"}
    script["make"].__globals__.update(names)

    script["make"](tmp_path_factory.mktemp("work"), deployed.folder)

    made = {path.name for path in folder.iterdir()}
    assert made == {"dashboard-light.png", "dashboard-dark.png", "report.png", "inputs.sha256"}
