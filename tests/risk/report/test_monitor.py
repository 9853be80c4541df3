from risk.report import context, monitor


def test_the_newest_drill_is_a_table_for_each_group_of_changes(story, ledger_of, tables, words):
    """Made by the run that deployed the release, and said in one sentence."""
    with ledger_of(story) as ledger:
        section = monitor.section(context.gather(story.config, ledger))
        known = context.gather(story.config, ledger)
        (sentence,) = monitor.in_short(known)

    assert section.blocks[0].text == sentence
    assert sentence.startswith("In a fire drill ")
    first = tables(section)[0]
    assert first.columns[:3] == ("changed", "+0.1 sd", "+0.25 sd")
    assert [row[0] for row in first.rows] == [*story.config.columns.numeric]
    assert "region" in [row[0] for row in tables(section)[1].rows]


def test_before_the_first_drill_there_is_nothing_to_say(world, words):
    """No release, no drill."""
    with world.open_ledger() as ledger:
        known = context.gather(world.config, ledger)

        assert "No fire drill of the live release yet." in words(monitor.section(known))
        assert monitor.in_short(known) == []
