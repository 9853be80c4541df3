import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from risk.errors import UnknownName
from risk.ledger.decisions import Judgement
from risk.ledger.ingestions import Taken
from risk.ledger.queries import Part
from risk.ledger.trends import MAX_POINTS, MAX_ROWS, MEASURES
from risk.schema import Problem
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

MONDAY = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
FINDING = {
    "check_name": "data_drift",
    "feature": "tenure",
    "method": "e_detector",
    "drift_score": 0.5,
    "threshold": 0.05,
    "p_value": 0.01,
    "e_value": 2.0,
    "drift_detected": True,
    "n": 100,
    "rows_needed": None,
    "distances": '{"psi": {"value": 0.3, "p_value": null}}',
    "detail": "tenure higher by 0.50 sd",
}
INCIDENT = {
    "version": 1,
    "kind": "data_drift",
    "subject": "tenure",
    "severity": "large",
    "detail": "tenure higher by 0.50 sd",
}
DROP = {
    "status": "taken",
    "rows_read": 10,
    "rows_added": 10,
    "rows_duplicate": 0,
    "rows_quarantined": 0,
    "size_bytes": 1,
    "mtime_ns": 2,
    "ctime_ns": 3,
    "inode": 4,
}
SCORE = {"model_sha256": "m", "version": 1, "dataset": "test", "metric": "f1", "n": 50}
COLUMN = {"row_count": 20, "missing_count": 5, "missing_percent": 25.0}


class Clock:
    """A clock that a test sets."""

    now = MONDAY

    def __call__(self):
        return self.now

    def pass_by(self, **time):
        self.now += timedelta(**time)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(world, clock):
    """Give a ledger whose time the test sets."""
    with world.open_ledger(clock=clock) as opened:
        yield opened


@pytest.fixture
def do_run(ledger, clock):
    """Give a function that does a run of ten minutes around what it is given to record."""

    def do(record=lambda: None, *, days=1):
        run_id = ledger.runs.start()
        record()
        clock.pass_by(minutes=10)
        ledger.runs.end("ok", "done")
        clock.pass_by(days=days, minutes=-10)
        return run_id

    return do


def take(ledger, path="a.csv", problems=(), **changes):
    number = ledger.ingestions.last_id() + 1
    row = {"id": number, "path": path, "sha256": f"{number:064d}", **DROP, **changes}
    ledger.ingestions.record(row, taken=Taken(problems=problems))
    return number


def find(ledger, *changes):
    ledger.findings.record([FINDING | change for change in changes])


def ids(listing):
    return [item["id"] for item in listing.items]


def test_lists_are_newest_first_and_pages_share_nothing(ledger):
    """Seven findings by pages of three: 7 6 5, 4 3 2, 1."""
    find(ledger, *[{}] * 7)

    pages = [ledger.findings.page(Part(page=page, page_size=3)) for page in (1, 2, 3, 4)]

    assert [ids(page) for page in pages] == [[7, 6, 5], [4, 3, 2], [1], []]
    assert {page.total for page in pages} == {7}


def test_pages_before_a_number_do_not_shift_while_rows_are_added(ledger):
    """Whoever reads page two after a new row came finds what was page two."""
    find(ledger, *[{}] * 6)
    before = ledger.findings.page(Part(page=2, page_size=2, before_id=7))

    find(ledger, {}, {}, {})

    assert ledger.findings.page(Part(page=2, page_size=2, before_id=7)) == before
    assert before.total == 6


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"run_id": 1}, [2, 1]),
        ({"feature": "plan"}, [3, 2]),
        ({"check_name": "data_quality"}, [3]),
        ({"drift_detected": True}, [3, 1]),
        ({"drift_detected": False}, [2]),
        ({"feature": "plan", "drift_detected": False}, [2]),
        ({"feature": "' OR 1=1 --"}, []),
    ],
)
def test_findings_can_be_selected(ledger, do_run, asked, found):
    """By run, feature, check and verdict, and by several at once."""
    do_run(lambda: find(ledger, {}, {"feature": "plan", "drift_detected": False}))
    do_run(lambda: find(ledger, {"feature": "plan", "check_name": "data_quality"}))

    listing = ledger.findings.page(**asked)

    assert ids(listing) == found
    assert listing.total == len(found)


def test_what_was_stored_as_json_is_given_as_values(ledger):
    """The distances by name; a finding without any has none."""
    find(ledger, {}, {"distances": None})

    distances = [item["distances"] for item in ledger.findings.page().items]

    assert distances == [None, {"psi": {"value": 0.3, "p_value": None}}]


def test_numbers_are_finite(ledger):
    """Evidence may be beyond every number, JSON has none for that."""
    find(ledger, {"e_value": math.inf})
    ledger.decisions.record(
        "keep", "why", judgement=Judgement('{"e_value": Infinity, "p_value": NaN}')
    )

    assert json.dumps(ledger.findings.page().items[0]["e_value"], allow_nan=False)
    assert ledger.findings.page().items[0]["e_value"] > 1e300
    assert ledger.decisions.last_comparison()["comparison"]["p_value"] is None


def test_open_incidents_are_kept_apart_from_resolved_ones(ledger):
    """Two opened, one resolved."""
    ledger.incidents.open(INCIDENT)
    ledger.incidents.open(INCIDENT | {"subject": "plan"})
    ledger.incidents.resolve(1, "mended")

    assert ids(ledger.incidents.page()) == [2, 1]
    assert ids(ledger.incidents.page(is_open=True)) == [2]
    assert ids(ledger.incidents.page(is_open=False)) == [1]
    assert ledger.incidents.read(1)["resolution"] == "mended"


def test_runs_say_how_long_they_took_and_what_they_decided(ledger, do_run):
    """Ten minutes by the clock; a decision made later in the run counts."""
    do_run(
        lambda: [
            ledger.decisions.record("ask", "first"),
            ledger.decisions.record("keep", "no drift"),
        ]
    )

    run = ledger.runs.page().items[0]

    assert run["duration_seconds"] == 600
    assert (run["action"], run["version"], run["reason"]) == ("keep", None, "no drift")
    assert run["started_at"] == MONDAY


def test_nobody_knows_how_long_a_run_took_that_was_cut_off(ledger, clock, do_run):
    """The next run only finds that it never ended."""
    ledger.runs.start()
    clock.pass_by(days=3)
    do_run()

    cut_off = ledger.runs.page(status="aborted").items[0]

    assert cut_off["duration_seconds"] is None
    assert cut_off["action"] is None


def test_a_run_is_read_with_all_that_belongs_to_it(ledger, do_run):
    """Its stages in their order, its drops, what was detected, what was decided; no other run's."""

    def record():
        for stage in ("ingestion", "training"):
            with ledger.runs.stage(stage):
                pass
        take(ledger)
        find(ledger, {}, {"drift_detected": False})
        ledger.decisions.record("keep", "why", judgement=Judgement('{"n": 3}'))

    do_run(record)
    run_id = do_run(record)

    run = ledger.runs.read(run_id)

    assert [stage["stage"] for stage in run["stages"]] == ["ingestion", "training"]
    assert [drop["id"] for drop in run["drops"]] == [2]
    assert [finding["id"] for finding in run["findings"]] == [3]
    assert run["decisions"][0]["comparison"] == {"n": 3}


def test_what_does_not_exist_is_named(ledger):
    """Run, incident and release."""
    for ask in (ledger.runs.read, ledger.incidents.read, ledger.releases.manifest):
        with pytest.raises(UnknownName, match="there is no .* 7"):
            ask(7)


def test_releases_say_what_they_are_and_which_is_live(ledger):
    """What is known of a model is in its manifest; one of an older kind may lack some."""
    common = {"model_sha256": "m", "rows_trained": 100, "proven": False}
    for version, manifest in enumerate(['{"estimator": "GaussianNB", "threshold": 0.4}', "{}"], 1):
        release = common | {"manifest": manifest}
        ledger.decisions.record(
            "deploy", "why", version=version, judgement=Judgement(release=release)
        )

    second, first = ledger.releases.page(live=1).items

    assert (first["estimator"], first["threshold"], first["live"]) == ("GaussianNB", 0.4, True)
    assert (second["estimator"], second["made_by"], second["live"]) == (None, None, False)
    assert json.loads(ledger.releases.manifest(1))["threshold"] == 0.4


def test_scores_can_be_selected(ledger):
    """By metric, data set and release."""
    scores = [{"metric": "recall"}, {"dataset": "new"}, {"version": 2}]
    ledger.scores.record([SCORE | {"value": 0.5, "lower": 0.4, "upper": 0.6} | s for s in scores])

    assert ids(ledger.scores.page(metric="f1")) == [3, 2]
    assert ids(ledger.scores.page(dataset="new")) == [2]
    assert ids(ledger.scores.page(metric="f1", version=2)) == [3]


def test_the_quarantine_names_the_drop_of_each_cell(ledger):
    """A file that was refused as a whole stands there once, on line 0."""
    take(ledger, "a.csv", [Problem(7, "age", "not a number", "12 months")])
    refused = [Problem(0, "", "not UTF-8 text", "")]
    take(ledger, "b.csv", refused, status="refused", rows_added=0, reason="not UTF-8 text")

    whole, cell = ledger.quarantine.page().items

    assert (whole["path"], whole["line"], whole["status"]) == ("b.csv", 0, "refused")
    assert (cell["path"], cell["line"], cell["rule"]) == ("a.csv", 7, "not a number")
    assert ids(ledger.quarantine.page(ingestion_id=1)) == [cell["id"]]


def test_drops_can_be_selected_and_hide_how_files_are_recognised(ledger):
    """Inode and times of a file are of no use to those who ask."""
    take(ledger)
    take(ledger, "b.csv", status="refused")

    listing = ledger.ingestions.page(status="refused")

    assert ids(listing) == [2]
    assert not {"inode", "mtime_ns"} & set(listing.columns)


def test_columns_of_a_list_are_the_keys_of_its_items(ledger, do_run):
    """So that an empty list still has a header as CSV."""
    do_run(lambda: [take(ledger, problems=[Problem(1, "a", "b", "c")]), find(ledger, {})])
    ledger.incidents.open(INCIDENT)
    ledger.scores.record([SCORE])
    release = {"model_sha256": "m", "rows_trained": 1, "proven": True, "manifest": "{}"}
    ledger.decisions.record("deploy", "why", version=1, judgement=Judgement(release=release))

    subjects = "runs findings incidents releases scores quarantine decisions ingestions"
    for subject in subjects.split():
        listing = getattr(ledger, subject).page()
        assert listing.columns == list(listing.items[0]), subject


def test_scores_over_time_keep_their_intervals(ledger, do_run):
    """The oldest first, each with release and data set; an undefined score stays undefined."""
    for value, lower in ((0.8, 0.7), (None, None)):
        do_run(lambda v=value, u=lower: ledger.scores.record([SCORE | {"value": v, "lower": u}]))

    trend = ledger.trends.of("f1")

    assert trend["at"].tolist() == [MONDAY, MONDAY + timedelta(days=1)]
    assert trend["value"].isna().tolist() == [False, True]
    assert trend.loc[0, ["value", "lower", "n", "version"]].tolist() == [0.8, 0.7, 50, 1]
    assert trend["dataset"].tolist() == ["test", "test"]


def test_a_day_has_its_last_score_of_each_release_and_data_set(ledger, do_run):
    """Even if that one is undefined."""
    for value in (0.8, 0.6, None):
        scores = [{"value": value}, {"value": 0.5, "dataset": "new"}]
        do_run(lambda s=scores: ledger.scores.record([SCORE | score for score in s]), days=0)

    trend = ledger.trends.of("f1", per="day").set_index("dataset")

    assert trend["value"].fillna(-1).to_dict() == {"test": -1, "new": 0.5}
    assert set(trend["at"]) == {MONDAY.replace(hour=0)}


def test_scores_of_one_data_set_can_be_chosen(ledger):
    """As the feature of which the trend is asked."""
    ledger.scores.record([SCORE | {"value": 0.5}, SCORE | {"value": 0.9, "dataset": "new"}])

    assert ledger.trends.of("f1", feature="new")["value"].tolist() == [0.9]


def test_rows_are_added_up_by_run_and_by_day(ledger, do_run):
    """Two drops of one run count together; those taken by hand, outside of a run, each alone."""
    ledger.database.run_id = None
    take(ledger, rows_added=1)
    take(ledger, rows_added=2)
    do_run(lambda: [take(ledger, rows_added=10), take(ledger, rows_added=20)])
    do_run(lambda: [take(ledger, rows_added=5), take(ledger, rows_added=9, kind="labels")])

    assert ledger.trends.of("rows")["value"].tolist() == [1, 2, 30, 5]
    assert ledger.trends.of("rows", per="day")["value"].tolist() == [33, 5]


def test_drift_scores_are_given_by_feature_and_averaged_over_a_day(ledger, do_run):
    """Checks of another unit, such as the rows per drop, are left out."""
    do_run(lambda: find(ledger, {"drift_score": 0.2}, {"feature": "plan"}), days=0)
    other = {"method": "usual_before", "feature": "(rows per drop)", "drift_score": 99}
    do_run(lambda: find(ledger, {"drift_score": 0.4}, other))

    by_day = ledger.trends.of("drift_score", per="day").set_index("feature")["value"]

    assert ledger.trends.of("drift_score", feature="tenure")["value"].tolist() == [0.2, 0.4]
    assert by_day.to_dict() == pytest.approx({"tenure": 0.3, "plan": 0.5})


def test_detected_drifts_are_counted(ledger, do_run):
    """A run that looked and found nothing counts zero; one that did not look has no point."""
    do_run(lambda: find(ledger, {}, {}, {"drift_detected": False}), days=0)
    do_run(days=0)
    do_run(lambda: find(ledger, {"drift_detected": False}))

    assert ledger.trends.of("findings")["value"].tolist() == [2, 0]
    assert ledger.trends.of("findings", per="day")["value"].tolist() == [2]


def test_column_statistics_over_time_leave_out_what_a_column_does_not_have(ledger, do_run):
    """A category has no mean."""
    columns = [COLUMN | {"column_name": "age", "mean": 30.0}, COLUMN | {"column_name": "plan"}]
    do_run(lambda: ledger.column_statistics.record([{"mean": None} | row for row in columns]))

    assert ledger.trends.of("mean")["feature"].tolist() == ["age"]
    assert ledger.trends.of("missing_percent", feature="plan")["value"].tolist() == [25.0]
    assert ledger.trends.of("missing_percent")["n"].tolist() == [20, 20]


def test_durations_are_of_whole_runs_or_of_a_stage(ledger, do_run):
    """Stages are timed by a clock of their own, so they take no time here; failed ones neither."""

    def record():
        with ledger.runs.stage("training"):
            pass
        with pytest.raises(ZeroDivisionError), ledger.runs.stage("training"):
            raise ZeroDivisionError

    do_run(record)

    assert ledger.trends.of("duration_seconds")["value"].tolist() == [600]
    assert len(ledger.trends.of("duration_seconds", feature="training")) == 1
    assert ledger.trends.of("duration_seconds", feature="cooking").empty


def test_a_trend_begins_where_it_is_asked_to(ledger, do_run):
    """A day counts as a whole, though it began before."""
    for _ in range(3):
        do_run(lambda: take(ledger))
    since = MONDAY + timedelta(days=1, minutes=1)

    assert len(ledger.trends.of("rows", since=since)) == 1
    assert len(ledger.trends.of("rows", since=since, per="day")) == 2


def test_a_trend_that_nobody_knows_is_refused_with_those_there_are(ledger):
    """Whoever mistypes one finds the right one."""
    with pytest.raises(UnknownName, match="unknown trend 'f2'; available: .*f1.*drift_score"):
        ledger.trends.of("f2")


@pytest.mark.parametrize("metric", MEASURES)
@pytest.mark.parametrize("per", ["run", "day"])
def test_every_trend_of_an_empty_ledger_is_empty(ledger, metric, per):
    """With its columns all the same."""
    trend = ledger.trends.of(metric, per=per, since=MONDAY)

    assert trend.empty
    assert {"at", "value", "lower", "upper", "n", "version", "dataset", "feature"} <= set(trend)


def test_a_trend_has_a_limit_and_never_half_a_period(ledger, do_run):
    """The newest points; a run of which the limit would cut off a part is left out."""
    find(ledger, *[{"feature": f"f{i % 8}"} for i in range(MAX_ROWS - 5)])
    do_run(lambda: find(ledger, *[{}] * 3))
    do_run(lambda: find(ledger, *[{}] * 4))

    assert MAX_POINTS - 10 < len(ledger.trends.of("drift_score")) <= MAX_POINTS
    assert ledger.trends.of("findings")["value"].tolist()[-2:] == [3, 4]
    assert ledger.trends.of("findings", per="day")["value"].tolist() == [4]


def test_the_drift_matrix_has_the_newest_runs(ledger, do_run):
    """Each with every subject of its detectors, in the order of time."""
    for score in (0.1, 0.2, 0.3):
        do_run(lambda s=score: find(ledger, {"drift_score": s}, {"feature": "plan"}))
    do_run(lambda: find(ledger, {"method": "usual_before"}))

    matrix = ledger.findings.drift_matrix(2)

    assert matrix["run_id"].tolist() == [2, 2, 3, 3]
    assert matrix["feature"].tolist() == ["tenure", "plan"] * 2
    assert matrix[matrix["feature"] == "tenure"]["drift_score"].tolist() == [0.2, 0.3]


def test_the_newest_of_statistics_comparison_and_stages_can_be_had(ledger, do_run):
    """What a page shows of the last run."""

    def record():
        ledger.column_statistics.record([COLUMN | {"column_name": "age"}])
        ledger.decisions.record("deploy", "better", judgement=Judgement('{"n": 9}'))
        with ledger.runs.stage("training"):
            pass

    do_run(record)
    last = do_run(record)
    do_run(lambda: ledger.decisions.record("keep", "nothing to compare"))

    assert ledger.column_statistics.newest()["run_id"].tolist() == [last]
    assert ledger.decisions.last_comparison()["comparison"] == {"n": 9}
    assert ledger.runs.stages_of([last])["stage"].tolist() == ["training"]


def test_before_the_first_gate_there_is_no_comparison(ledger):
    """Nor an error."""
    assert ledger.decisions.last_comparison() is None
    assert ledger.column_statistics.newest().empty
    assert ledger.findings.drift_matrix().empty
    assert ledger.runs.stages_of([]).empty


def test_a_name_too_long_to_be_stored_is_not_found(ledger):
    """A question is never a fault of the database."""
    assert ledger.trends.of("duration_seconds", feature="0" * 699).empty
    assert ledger.scores.page(metric="f" * 99).total == 0
