import api_calls
import app
import full_process
from risk.ledger import Ledger


def test_every_endpoint_is_asked_and_the_report_can_be_read(world):
    """Status, time and body of each."""
    with Ledger.open(world.config) as ledger:
        full_process.run(world.config, ledger)

    with app.answering(world.config) as url:
        result = api_calls.run(world.config, url=url)

    report = (world.config.model_folder / "api_returns.txt").read_text()
    assert str(result) == "6 of 6 endpoints answered"
    assert result.exit_code == 0
    for endpoint in ("/scoring", "/summarystats", "/diagnostics/timing"):
        assert f"GET {endpoint}   200 in 0." in report
    assert "lastmonth_activity" in report


def test_the_endpoints_are_those_of_the_api(world):
    """A route that is added to the API must be added to the client."""
    routes = {str(rule) for rule in app.create_app(world.config).url_map.iter_rules()}

    asked = {endpoint.partition("?")[0] for endpoint in api_calls.ENDPOINTS}

    assert asked == routes - {"/health", "/static/<path:filename>"}


def test_a_server_that_is_down_is_said_so(world):
    """Non-zero, and naming what failed."""
    result = world.command("api_calls.py", "--url", "http://127.0.0.1:9")

    assert result.returncode == 69
    assert "0 of 6 endpoints answered; failed: /prediction" in result.stdout
    assert "no answer" in (world.config.model_folder / "api_returns.txt").read_text()


def test_an_api_without_a_model_is_said_so(world):
    """503 is not an answer."""
    with app.answering(world.config) as url:
        result = api_calls.run(world.config, url=url)

    assert result.exit_code == 69
    assert "no model is deployed" in result.report()
