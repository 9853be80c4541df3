import re
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from risk.explain import health
from risk.report import context, summary
from risk.report.document import Paragraph, Picture, Section
from tests.risk.report.conftest import MONDAY


def blocks_of(section, kind):
    inner = [block for part in section.blocks if isinstance(part, Section) for block in part.blocks]
    return [block for block in inner if isinstance(block, kind)]


@pytest.fixture
def known(story, ledger_of):
    """Give what gathers the evidence of a run, from ledgers open until the end."""
    with ExitStack() as opened:

        def read(run_id=None, **options):
            ledger = opened.enter_context(ledger_of(story))
            return context.gather(story.config, ledger, run_id=run_id, **options)

        yield read


def test_the_questions_come_in_the_order_a_manager_asks_them(known):
    """Fit to use, what to do, what happened."""
    titles = [block.title for block in summary.section(known()).blocks if hasattr(block, "title")]

    assert titles == [
        "Is the model fit to use?",
        "What should you do?",
        "What happened since the last report, on 4 March 2026?",
    ]


def test_the_verdict_and_its_reasons_are_those_of_the_dashboard(known, words):
    """There is one opinion about the model."""
    told = health.assess(known().snapshot)
    section = summary.section(known())

    verdict = section.blocks[0].blocks[0]
    assert verdict == Paragraph(f"{told.headline}.", summary.TONES[told.fitness])
    for sentence in (*told.concerns, *told.why, *told.advice):
        assert sentence in words(section)


def test_what_happened_is_counted(known):
    """As the drop of that day was made: 303 rows, three of them refused."""
    told = summary.happened(known())

    assert told[0] == "1 file brought 300 new rows; 3 rows refused."


def test_what_happened_on_the_first_day_is_all_there_is(known):
    """Six hundred rows made the first release."""
    told = summary.happened(known(1))

    assert told == ["1 file brought 600 new rows.", "Release 1 went live on 2 March 2026."]


def test_incidents_are_told_on_the_day_they_open(known):
    """On the third day customers were more active."""
    told = summary.happened(known(3))

    assert any("opened" in sentence and "lastmonth_activity" in sentence for sentence in told)
    assert not any("opened" in sentence for sentence in summary.happened(known(2)))


def test_every_run_that_failed_since_is_counted(first_day):
    """A day has more runs than a page of a list."""
    told, clock = first_day, [MONDAY + timedelta(hours=1)]
    with told.world.open_ledger(clock=lambda: clock[0]) as ledger:
        for number in range(143):
            clock[0] += timedelta(minutes=10)
            ledger.runs.start()
            ledger.runs.end("failed" if number < 40 else "ok", "")
        happened = summary.happened(context.gather(told.config, ledger, since=MONDAY))
        earlier = summary.happened(context.gather(told.config, ledger, since=clock[0]))

    assert happened[-1] == "40 runs failed or were interrupted."
    assert earlier == ["No new data came."]


def test_who_asks_since_when_is_answered_so(known, words):
    """That was not the moment of a report."""
    section = summary.section(known(since=datetime(2026, 3, 3, tzinfo=UTC)))

    assert "What happened since 3 March 2026?" in words(section)


def test_who_looks_back_is_told_so(known, words):
    """The newest report needs no such words."""
    assert "looks back: it shows what was known at the end of run 2" in words(
        summary.section(known(2))
    )
    assert "looks back" not in words(summary.section(known()))


def test_one_line_says_how_the_alarms_turned_out(known, words):
    """From the second day on; the details are in the appendix."""
    said = "The budget allowed"

    assert words(summary.section(known())).count(said) == 1
    assert said not in words(summary.section(known(1)))


@pytest.mark.parametrize("run_id", [1, 3, None])
def test_the_first_page_can_be_read_aloud(known, words, run_id):
    """No brackets, no parentheses, no words of statistics, in all that is not an aside."""
    told = summary.section(known(run_id))
    text = words(told).replace(told.blocks[-1].text, "")
    for picture in blocks_of(told, Picture):
        text = text.replace(picture.alternative, "")

    assert not re.search(r"[\[\]()]|harmonic|confidence|interval|AUC|deviation", text), text
