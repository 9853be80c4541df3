from risk.explain import health
from risk.report import changes, context
from risk.report.document import Picture


def test_what_changed_and_what_was_done_are_in_words_and_figures(story, ledger_of, words):
    """The sentences are those of the dashboard; the drift of all features is drawn."""
    with ledger_of(story) as ledger:
        known = context.gather(story.config, ledger)
        section = changes.section(known)

    said = health.assess(known.snapshot)
    pictures = [
        block for part in section.blocks for block in part.blocks if isinstance(block, Picture)
    ]
    assert [part.title for part in section.blocks] == [
        "What has changed in the data?",
        "What did the system do, and why?",
    ]
    assert all(sentence in words(section) for sentence in (*said.changed, *said.done))
    assert pictures[0].caption.startswith("Drift of each feature")


def test_before_anything_happened_there_is_nothing_to_draw(world, words):
    """Neither rows to compare nor two models."""
    with world.open_ledger() as ledger:
        section = changes.section(context.gather(world.config, ledger))

    assert "Nothing is known yet." in words(section)
    assert not any(isinstance(block, Picture) for part in section.blocks for block in part.blocks)
