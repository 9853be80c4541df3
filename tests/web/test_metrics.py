import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from sqlalchemy import text

import full_process
from app import create_app
from risk.ledger.ledger import Ledger
from tests.factories import warn
from web import api_keys, metrics

FEATURES = {"lastmonth_activity", "lastyear_activity", "number_of_employees"}


@pytest.fixture(scope="module")
def ran(new_world, tmp_path_factory, two_releases):
    """Give a world in which the company's data drifted and was answered; it is only read."""
    return new_world(tmp_path_factory.mktemp("world")).copy_of(two_releases)


@pytest.fixture
def client(ran):
    """Give a client of that world."""
    return create_app(ran.config).test_client()


def scrape(client):
    """Read the metrics as Prometheus does, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(client.get("/metrics").text)
        for sample in family.samples
    }


def value(client, name, **labels):
    return scrape(client).get((name, frozenset(labels.items())))


def labels_of(client, wanted, label):
    return {dict(labels)[label] for name, labels in scrape(client) if name == wanted}


def test_requests_are_counted_by_rule_and_status(client):
    """A name in the query is no label, nor is a path nobody knows."""
    for path in ("/scoring", "/scoring?filename=x", "/a/1", "/a/2", "/api/v1/scoring"):
        client.get(path)

    count = "http_requests_total"
    assert value(client, count, method="GET", route="/scoring", status="200") == 2
    assert value(client, count, method="GET", route="/scoring", status="404") == 1
    assert value(client, count, method="GET", route="unmatched", status="404") == 2


def test_methods_nobody_knows_share_a_label(client):
    """Else anybody could make as many time series as he likes."""
    for method in ("BREW", "SPY", "POST"):
        client.open("/scoring", method=method)

    assert labels_of(client, "http_requests_total", "method") == {"other", "POST"}


def test_an_unforeseen_fault_is_counted(ran):
    """It is what the alert on failures waits for."""
    app = create_app(ran.config)
    app.add_url_rule("/bug", view_func=lambda: 1 / 0)
    client = app.test_client()
    client.get("/bug")

    assert value(client, "http_requests_total", method="GET", route="/bug", status="500") == 1


def test_a_refused_caller_is_counted(world):
    """And Prometheus needs a key like everybody else."""
    config = world.set(api__read_without_key=False)
    client = create_app(config).test_client()
    assert client.get("/metrics").status_code == 401

    client.environ_base["HTTP_X_API_KEY"] = str(api_keys.create(config, "prometheus", "read"))

    assert value(client, "http_requests_total", method="GET", route="/metrics", status="401") == 1


def test_the_duration_of_a_streamed_answer_ends_with_its_last_byte(ran):
    """Headers go out at once, the rows of a large prediction later."""
    app = create_app(ran.config)
    app.add_url_rule("/stream", view_func=lambda: iter(["a", "b"]))
    client = app.test_client()
    count, labels = "http_request_duration_seconds_count", {"method": "GET", "route": "/stream"}

    answer = client.get("/stream")

    assert value(client, count, **labels) == 0
    answer.close()
    assert value(client, count, **labels) == 1


def test_many_applications_in_one_process_do_not_share_counts(ran):
    """A registry of the whole process would refuse the second one."""
    first, second = (create_app(ran.config).test_client() for _ in range(2))
    first.get("/health")

    name, labels = "http_requests_total", {"method": "GET", "route": "/health", "status": "200"}
    assert (value(first, name, **labels), value(second, name, **labels)) == (1, None)


def test_drift_is_told_for_each_declared_feature(client):
    """96 % of the second batch have more employees than any company of the reference."""
    alarm = {"feature": "number_of_employees", "method": "e_detector"}

    assert labels_of(client, "risk_drift_score", "feature") >= FEATURES
    assert value(client, "risk_drift_detected", **alarm) == 1
    assert value(client, "risk_e_value", feature="number_of_employees") >= 1
    assert value(client, "risk_dataset_drift_ratio") == pytest.approx(1 / 3)
    assert value(client, "risk_findings_total", check="data_drift") == 1


def test_rows_stages_and_runs_agree_with_the_ledger(client, ran):
    """31 + 26 rows were accepted, 5 known before."""
    with Ledger.open(ran.config, upgrade=False) as ledger:
        last = ledger.runs.timings().groupby("stage")["duration_seconds"].last()

    assert value(client, "risk_rows_total", outcome="accepted") == 57
    assert value(client, "risk_rows_total", outcome="duplicate") == 5
    assert value(client, "risk_stage_duration_seconds", stage="training") == last["training"]
    began = value(client, "risk_last_run_timestamp_seconds")
    assert began < value(client, "risk_last_success_timestamp_seconds")


def test_the_live_model_is_told_with_its_score_and_bounds(client, ran):
    """The same numbers as /scoring and /version tell."""
    model = client.get("/version").json["model"]
    f1 = {"metric": "f1", "dataset_kind": "test"}

    about = {"version": str(model["version"]), "sha256": model["sha256"]}
    assert value(client, "risk_model_info", **about) == 1
    assert value(client, "risk_score", **f1) == pytest.approx(float(client.get("/scoring").text))
    lower, upper = value(client, "risk_score_lower", **f1), value(client, "risk_score_upper", **f1)
    assert lower < value(client, "risk_score", **f1) < upper


def test_only_so_many_features_are_told(world):
    """A wide table must not flood Prometheus."""
    names = [f"x{number}" for number in range(metrics.MAX_FEATURES + 50)]
    config = world.set(columns__numeric=names, columns__allowed_ranges={})
    with Ledger.open(config) as ledger:
        ledger.runs.start()
        statistics = [{"column_name": n, "row_count": 1, "missing_count": 0} for n in names]
        ledger.column_statistics.record(statistics)

    told = labels_of(create_app(config).test_client(), "risk_missing_ratio", "feature")

    assert told == set(names[: metrics.MAX_FEATURES])


def test_a_scrape_before_the_first_run_says_what_is_down(world):
    """And does not make a ledger by asking."""
    client = create_app(world.config).test_client()

    assert value(client, "risk_ledger_up") == value(client, "risk_model_up") == 0
    assert not (world.folder / "db").exists()


def test_a_ledger_that_breaks_does_not_break_the_scrape(world):
    """The model and the requests are still told."""
    config = world.config
    with Ledger.open(config) as ledger:
        full_process.run(config, ledger)
        client = create_app(config).test_client()
        assert value(client, "risk_ledger_up") == 1
        with ledger.engine.begin() as connection:
            connection.execute(text("DROP TABLE messages"))

    assert value(client, "risk_ledger_up") == 0
    assert value(client, "risk_model_up") == 1


def test_prometheus_gets_the_format_it_asks_for(client):
    """OpenMetrics, text of version 1, or the text every version reads."""
    kinds = ["application/openmetrics-text;version=1.0.0", "text/plain;version=1.0.0", "*/*"]

    told = [client.get("/metrics", headers={"Accept": k}).content_type for k in kinds]

    assert [kind.split(";")[:2] for kind in told] == [
        ["application/openmetrics-text", " version=1.0.0"],
        ["text/plain", " version=1.0.0"],
        ["text/plain", " version=0.0.4"],
    ]
    assert client.get("/metrics", headers={"Accept": kinds[0]}).text.endswith("# EOF\n")


def test_early_warnings_are_counted_apart_from_alarms(new_world, tmp_path, ran):
    """Those so far, and those that stand."""
    world = new_world(tmp_path / "world").copy_of(ran.folder)
    client = create_app(world.config).test_client()
    assert value(client, "risk_standing_warnings") == 0
    alarms = value(client, "risk_findings_total", check="data_drift")

    with world.open_ledger() as ledger:
        warn(ledger, "lastmonth_activity", version=2)

    assert value(client, "risk_standing_warnings") == 1
    assert value(client, "risk_warnings_total", check="data_drift") == 1
    assert value(client, "risk_findings_total", check="data_drift") == alarms
