import hashlib

import pytest

import full_process
from app import create_app
from risk.report import archive

CONTENT = b"%PDF-1.7 a report"


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, first_run):
    """Give a world with a run that has a report, and one that has none."""
    world = new_world(tmp_path_factory.mktemp("reports")).copy_of(first_run)
    with world.open_ledger() as ledger:
        archive.keep(
            world.config, ledger, {"pdf": CONTENT, "appendix": CONTENT, "json": b"{}"}, run_id=1
        )
        full_process.run(world.config, ledger)
    return world


@pytest.fixture(scope="module")
def client(world):
    """Give a browser without a window."""
    return create_app(world.config).test_client()


def test_reports_are_listed_with_what_proves_them(client):
    """By run and kind."""
    (row,) = client.get("/reports?kind=pdf").json["items"]

    assert row["path"] == "reports/00000001/report.pdf"
    assert row["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert client.get("/reports").json["total"] == 3
    assert client.get("/reports?run_id=2").json["items"] == []


@pytest.mark.parametrize(
    "address", ["/reports/latest.pdf", "/runs/1/report.pdf", "/runs/1/appendix.pdf"]
)
def test_a_report_is_sent_whole_in_part_or_not_at_all(client, address):
    """As browsers ask for it."""
    whole = client.get(address)
    same = client.get(address, headers={"If-None-Match": whole.headers["ETag"]})
    part = client.get(address, headers={"Range": "bytes=0-3"})

    assert (whole.mimetype, whole.data) == ("application/pdf", CONTENT)
    assert (same.status_code, same.data) == (304, b"")
    assert (part.status_code, part.data) == (206, b"%PDF")


@pytest.mark.parametrize("run_id", ["2", "99"])
def test_a_run_without_a_report_is_not_found(client, run_id):
    """And the answer says how to make one."""
    answer = client.get(f"/runs/{run_id}/report.pdf")

    assert answer.status_code == 404
    assert f"python reporting.py --run {run_id}" in answer.json["detail"]


@pytest.mark.parametrize("run_id", ["..", "%2e%2e%2f%2e%2e%2fdb", "1%00", "-1", "0", "x"])
def test_what_is_asked_never_becomes_a_path(client, run_id):
    """A run is a number."""
    assert client.get(f"/runs/{run_id}/report.pdf").status_code in (404, 422)


def test_the_dashboard_leads_to_the_report_on_each_run(client):
    """Where there is one."""
    page = client.get("/").text

    assert 'href="/runs/1/report.pdf"' in page
    assert 'href="/runs/2/report.pdf"' not in page
