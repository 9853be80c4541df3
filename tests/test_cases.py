"""Cases as a person lives through them: asked by a run, answered, carried out by the next."""

import getpass
import json

import pytest
import sqlalchemy as sa

from risk.decisions import account
from risk.ledger import tables
from risk.models import releases
from tests.factories import customers, once
from tests.risk.decisions.days import learn


def broken(name, *, seed):
    return customers(name, 300, seed=seed, grown=100_000)


def turned(name, *, seed):
    return customers(name, 600, seed=seed, sign=-1)


def ask_about_a_feed(world):
    learn(world)
    world.drop("broken.csv", broken("b", seed=2))
    world.run()


def propose_a_challenger(world):
    learn(world)
    world.set(policy__mode="propose", report_formats=[])
    world.drop("turned.csv", turned("t", seed=2))
    world.run()


@pytest.fixture
def asked(world, shared):
    """Give a world whose newest run asked about a broken feed."""
    return world.copy_of(once(shared, "asked_about_a_feed", ask_about_a_feed))


@pytest.fixture
def proposing(world, shared):
    """Give a world whose newest run proposed a challenger."""
    return world.copy_of(once(shared, "proposed_a_challenger", propose_a_challenger))


def case_of(world, number=1):
    with world.open_ledger() as ledger:
        return ledger.cases.read(number)


def decisions_of(world):
    with world.open_ledger() as ledger, ledger.engine.connect() as connection:
        query = sa.select(tables.decisions).order_by(tables.decisions.c.id)
        return list(connection.execute(query))


def live(world):
    return releases.live_version(world.config.deployment_folder)


def test_a_case_is_walked_through_on_the_command_line(asked):
    """Listed, snoozed, approved; then the next run learns the new data, though none came."""
    listed = json.loads(asked.command("full_process.py", "--cases", "--json").stdout)["cases"]
    snoozed = asked.command(
        *("full_process.py", "--snooze", "1", "--until", "2999-01-01"),
        *("--because", "planned", "new", "sensors"),
    )
    approved = asked.command("full_process.py", "--approve", "1")

    outcome = asked.run()

    assert [(case["kind"], case["subject"]) for case in listed] == [
        ("broken_feed", "number_of_employees")
    ]
    assert listed[0]["since"]["rows"] == 300
    assert "comes back on 2999-01-01 00:00 UTC" in snoozed.stdout
    assert "take the rows since then as the new reference" in snoozed.stdout
    assert "The next run carries it out" in approved.stdout
    assert "Release 2 is live" in outcome.line
    case = case_of(asked)
    assert (case["state"], case["closed_because"]) == ("approved", "carried_out")
    assert [a["note"] for a in case["answers"]] == ["new sensors", None]
    assert {a["answered_by"] for a in case["answers"]} == {getpass.getuser()}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--approve", "9"], 64, "there is no case 9"),
        (["--decline", "1", "9", "--because", "no-harm"], 64, "there is no case 9"),
        (["--snooze", "1", "--because", "planned"], 64, "requires --until"),
        (["--decline", "1"], 64, "say why a case is declined"),
        (["--decline", "1", "--because", "whim"], 64, "--because takes one of"),
        (["--decline", "1", "--approve", "1"], 64, "one answer at a time"),
        (["--because", "planned"], 64, "requires --approve"),
    ],
)
def test_a_wrong_answer_ends_with_an_error(asked, words, code, said):
    """And changes nothing."""
    done = asked.command("full_process.py", *words)

    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert case_of(asked)["answers"] == []


def test_a_challenger_is_dated_by_what_it_answers_not_by_a_broken_feed_before(asked):
    """The rows of the broken drop, about which the first case is, are none it has learnt."""
    asked.set(policy__mode="propose")
    asked.drop("turned.csv", turned("t", seed=3))

    asked.run()

    case = case_of(asked, 2)
    assert (case["kind"], case["facts"]["since"]["rows"]) == ("deployment", 600)


def test_what_was_declined_is_neither_asked_again_nor_ever_trained_on(asked):
    """However often it comes: a person said that it is wrong."""
    asked.set(policy__ask_first_batches=1)
    answer = asked.command("full_process.py", "--decline", "1", "--because", "data-problem")
    for day in (3, 4):
        asked.drop(f"broken{day}.csv", broken(f"b{day}", seed=day))
        asked.run()

    again = asked.command("full_process.py", "--decline", "1", "--because", "data-problem")

    assert answer.stdout.strip() == "Case 1 was declined."
    assert [(d.action, d.reason_code) for d in decisions_of(asked)[-2:]] == [("keep", "held")] * 2
    assert live(asked) == 1
    assert (again.returncode, "was declined by" in again.stderr) == (64, True)


def test_a_list_of_cases_writes_nothing_and_needs_no_lock(asked, tree):
    """A question."""
    before = tree()

    done = asked.command("full_process.py", "--cases")

    assert done.stdout.startswith("Case 1\n  Are the new data right?")
    assert tree() == before


def test_a_proposed_challenger_goes_live_once_it_is_approved(proposing):
    """Not before, with the comparison that was approved; the answer is the reason."""
    before = live(proposing)
    proposing.command("full_process.py", "--approve", "1")

    outcome = proposing.run()

    asked, deployed = decisions_of(proposing)[-2:]
    assert (before, live(proposing)) == (1, 2)
    assert (asked.action, deployed.action, deployed.reason_code) == ("ask", "deploy", "approved")
    assert json.loads(deployed.comparison) == json.loads(asked.comparison)
    assert outcome.line.startswith("Release 2 is live: case 1 was approved.")
    assert case_of(proposing)["closed_because"] == "carried_out"
    assert f"{getpass.getuser()} approved it (case 1)" in deployed.reason
    with proposing.open_ledger() as ledger:
        counted = account.gather(proposing.config, ledger)
    assert (counted.challengers, counted.releases) == (1, 1)  # the same, asked about and approved


def test_a_declined_challenger_is_not_proposed_again(proposing):
    """With a few more rows it is the same challenger."""
    proposing.command("full_process.py", "--decline", "1", "--because", "no-harm")
    proposing.drop("few.csv", customers("f", 20, seed=3, sign=-1))

    outcome = proposing.run()

    newest = decisions_of(proposing)[-1]
    assert (newest.action, json.loads(newest.facts)["held_case"]["id"]) == ("keep", 1)
    assert "The live release stays: the challenger was declined." in outcome.line
    assert live(proposing) == 1


def test_a_challenger_that_was_replaced_is_not_deployed(proposing):
    """What was approved is gone; its case says so."""
    with proposing.open_ledger() as ledger:
        proposing.command("full_process.py", "--approve", "1")
        number = ledger.cases.waiting()[0].id
        proposing.drop("more.csv", turned("u", seed=9))
    trained = proposing.command("ingestion.py"), proposing.command("training.py")

    proposing.run()

    assert [done.returncode for done in trained] == [0, 0]
    assert case_of(proposing, number)["closed_because"] == "superseded"
    assert live(proposing) == 1
