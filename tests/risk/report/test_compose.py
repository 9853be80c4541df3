import shutil

import pytest

from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.report import context
from risk.report.compose import CHAPTERS, compose
from risk.report.document import Picture, Section


def plain(block):
    """Write a document without its figures, which have no equals."""
    if isinstance(block, Section):
        return (block.title, tuple(map(plain, block.blocks)))
    return (block.caption, block.alternative) if isinstance(block, Picture) else block


def everything(document):
    return [*map(plain, (*document.sections, *document.details))]


@pytest.fixture
def report(story):
    """Give what composes a report, only reading."""

    def write(run_id=None, config=None):
        with Ledger.open(story.config, upgrade=False) as ledger:
            return compose(context.gather(config or story.config, ledger, run_id=run_id))

    return write


def test_every_chapter_is_there_the_answers_first(report, story):
    """Also on the first day, when there is little to tell."""
    for run_id in (None, 1):
        document = report(run_id)

        assert [page.title for page in document.sections] == [
            "Summary",
            "What changed, and what was done",
        ]
        assert len(document.details) == len(CHAPTERS)
        assert "exited = 1; release 1" in document.subtitle
        assert document.language == "en"


def test_the_same_is_told_twice_and_nothing_is_written(report, story):
    """A question never writes, and a report on the past stays what it was."""

    def files():
        return {
            path: path.read_bytes()
            for path in sorted(story.world.folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.parent.name != "db"
        }

    before = files()
    once, again = report(3), report(3)

    assert everything(once) == everything(again)
    assert files() == before


def test_the_newest_run_is_told_alike_by_number_or_not(report):
    """Nobody has to know the number."""
    assert everything(report()) == everything(report(4))


def test_a_release_that_is_gone_is_told(report, story, words):
    """Its scores and numbers in the ledger stay."""
    folder = releases.release_path(story.config.deployment_folder, 1)
    away = folder.with_name("away")
    shutil.move(folder, away)
    try:
        document = report(3)
    finally:
        shutil.move(away, folder)

    told = "\n".join(map(words, (*document.sections, *document.details)))
    assert "No model can be trusted: there is no release 1" in told
    assert "No further analysis is possible: there is no release 1" in told
    assert "Their values cannot be drawn: there is no release 1" in told


def test_before_anything_happened_there_is_still_a_report(world):
    """It says what is missing."""
    with world.open_ledger() as ledger:
        document = compose(context.gather(world.config, ledger))

    assert "no release is live, before the first run" in document.subtitle
    assert len(document.details) == len(CHAPTERS)
