import re
import shutil

import pytest
from pydantic import SecretStr

from app import create_app
from risk.errors import ConfigError
from risk.ledger.tables import requests_for_change
from web import access, api_keys

CHROMIUM = shutil.which("chromium")
SECRET = SecretStr("another secret of the settings")
HERE = {"Origin": "http://localhost"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
INCIDENT = {"kind": "data_drift", "subject": "x", "severity": "large", "detail": "x moved"}


@pytest.fixture
def closed(world):
    """Give a world in which nothing can be read without a key."""
    world.set(api__read_without_key=False)
    with world.open_ledger() as ledger:
        ledger.incidents.open({"version": 1, **INCIDENT})
    return world


@pytest.fixture
def client(closed):
    """Give a client without a key."""
    return create_app(closed.config).test_client()


def key(world, scope, name=None):
    new = api_keys.create(world.config, name or scope, scope)
    return {"X-API-Key": str(new)}


def asked_for(world):
    with world.open_ledger() as ledger:
        table = ledger.change_requests.history()
    return table[["key_name", "method", "path", "status"]].to_numpy().tolist()


def sign_in(client, headers, **form):
    return client.post("/login", data={"key": headers["X-API-Key"], **form}, headers=HERE)


def test_whatever_nobody_opened_needs_a_key(closed):
    """Every rule is in the list of open ones, or refuses; a new route is protected by existing."""
    app = create_app(closed.config)

    @app.route("/new", methods=["GET", "POST", "DELETE"])
    def new():
        return "secret"

    client = app.test_client()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]*>", "1", rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            refused = client.open(path, method=method).status_code == 401
            assert refused != (rule.endpoint in access.OPEN), (method, path)


def test_the_tables_name_only_what_exists(closed):
    """A misspelt name would quietly need admin, or open nothing."""
    existing = set(create_app(closed.config).view_functions)

    assert set(access.OPEN) | set(access.CHANGING) <= existing


def test_a_refusal_says_how_to_ask(client):
    """401 names the scheme, as RFC 9110 wants."""
    answer = client.get("/runs")

    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="risk"'
    assert "X-API-Key" in answer.json["detail"]


def test_a_key_may_come_in_either_header(client, closed):
    """Curl users like one, tools the other."""
    headers = key(closed, "read")

    assert client.get("/runs", headers=headers).status_code == 200
    bearer = {"Authorization": f"Bearer {headers['X-API-Key']}"}
    assert client.get("/api/v1/runs", headers=bearer).status_code == 200


def test_a_key_in_the_address_is_no_key(client, closed):
    """Addresses stand in logs and histories."""
    new = key(closed, "read")["X-API-Key"]

    for name in ("key", "api_key", "X-API-Key", "access_token", "token"):
        assert client.get("/runs", query_string={name: new}).status_code == 401
    assert client.get("/runs", auth=("user", new)).status_code == 401
    assert client.get("/runs", headers={"Cookie": f"risk_session={new}"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "risk_wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "ä" * 4000},
        {"Authorization": "Bearer risk_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer a=b"},
    ],
)
def test_a_wrong_key_is_refused_even_where_none_is_needed(world, headers):
    """Its holder would go on believing that it works."""
    client = create_app(world.config).test_client()
    assert client.get("/docs").status_code == 200

    assert client.get("/docs", headers=headers).status_code == 401
    assert client.get("/health", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "value", ["Basic \xff", "Basic", "Digest a=\xff", "\xff", "", "Bearer_x y"]
)
def test_another_scheme_of_authorization_is_no_key(world, value):
    """Whatever its bytes: it is not read."""
    client = create_app(world.config).test_client()

    assert client.get("/docs", headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/runs", "read"),
        ("HEAD", "/runs", "read"),
        ("GET", "/metrics", "read"),
        ("GET", "/openapi.json", "read"),
        ("POST", "/prediction", "read"),
        ("POST", "/invocations", "read"),
        ("POST", "/incidents/1/acknowledge", "write"),
        ("POST", "/incidents/1/resolve", "write"),
        ("POST", "/models/champion", "admin"),
    ],
)
def test_each_scope_opens_what_it_should(client, closed, method, path, needed):
    """A key that reads cannot change anything, one that writes cannot choose the model."""
    for scope in api_keys.SCOPES:
        status = client.open(path, method=method, headers=key(closed, scope)).status_code
        assert (status == 403) == (not api_keys.covers(scope, needed)), scope
        assert status != 401


def test_this_machine_reads_without_a_key_but_changes_nothing(world):
    """The default: try it out, but whoever changes something has a name."""
    with world.open_ledger() as ledger:
        ledger.incidents.open({"version": 1, **INCIDENT})
    client = create_app(world.config).test_client()

    assert client.get("/runs").status_code == 200
    assert client.post("/incidents/1/acknowledge").status_code == 401
    assert client.post("/models/champion", json={"version": 1}).status_code == 401
    assert asked_for(world) == []


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", ""])
def test_who_comes_from_elsewhere_needs_a_key_whatever_the_settings_say(world, peer):
    """`gunicorn -b 0.0.0.0` listens where the settings do not say; a socket tells nobody."""
    client = create_app(world.config).test_client()
    forged = {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"}

    answer = client.get("/runs", headers=forged, environ_base={"REMOTE_ADDR": peer})

    assert answer.status_code == 401


def test_a_revoked_key_ends_at_once(client, closed):
    """Also the sessions it began, in workers that never heard of it."""
    headers = key(closed, "read")
    sign_in(client, headers)
    assert client.get("/runs").status_code == 200
    other_worker = create_app(closed.config).test_client()
    assert other_worker.get("/runs", headers=headers).status_code == 200

    api_keys.revoke(closed.config, "read")

    assert client.get("/runs").status_code == 401
    assert other_worker.get("/runs", headers=headers).status_code == 401


def test_a_new_key_of_an_old_name_does_not_revive_its_sessions(client, closed):
    """The session knows which key began it."""
    sign_in(client, key(closed, "read", "ci"))
    api_keys.revoke(closed.config, "ci")
    key(closed, "admin", "ci")

    assert client.get("/runs").status_code == 401


def test_every_request_for_a_change_is_recorded_with_its_name_and_end(client, closed):
    """Done, refused and impossible; who has no key has no name."""
    writer, reader = key(closed, "write", "Zoë"), key(closed, "read", "reader")

    client.post("/incidents/1/acknowledge", headers=writer)
    client.post("/api/v1/incidents/1/acknowledge", headers=reader)
    client.post("/incidents/99/resolve", headers=writer)
    client.post("/incidents/1/acknowledge")
    client.get("/runs", headers=writer)

    assert asked_for(closed) == [
        ["Zoë", "POST", "/incidents/1/acknowledge", 200],
        ["reader", "POST", "/api/v1/incidents/1/acknowledge", 403],
        ["Zoë", "POST", "/incidents/99/resolve", 404],
    ]


def test_a_change_that_cannot_be_recorded_is_not_made(world):
    """No ledger, no change; predictions do not need it."""
    world.set(api__read_without_key=False)
    client = create_app(world.config).test_client()

    answer = client.post("/models/champion", json={"version": 1}, headers=key(world, "admin"))

    assert answer.status_code == 503
    assert "no ledger" in answer.json["detail"]


def test_a_change_that_fails_is_recorded_as_one(closed):
    """A bug too: the row is there before the work begins."""
    app = create_app(closed.config)

    @app.post("/fails")
    def fails():
        with closed.open_ledger() as ledger:
            assert ledger.change_requests.history()["status"].isna().all()
        raise RuntimeError

    assert app.test_client().post("/fails", headers=key(closed, "admin")).status_code == 500
    assert asked_for(closed) == [["admin", "POST", "/fails", 500]]


def test_what_was_done_is_told_even_if_the_record_cannot_be_finished(closed):
    """Losing the ledger after the work must not make a success look like a failure."""
    app = create_app(closed.config)

    @app.post("/done")
    def done():
        with closed.open_ledger() as ledger:
            requests_for_change.drop(ledger.engine)
        return "done"

    answer = app.test_client().post("/done", headers=key(closed, "admin"))

    assert (answer.status_code, answer.text) == (200, "done")


def test_a_person_signs_in_and_out(client, closed):
    """Led to the form, back to where they wanted to go, and out again."""
    headers = key(closed, "read")
    led = client.get("/runs?page=1&page_size=5", headers=BROWSER)
    assert led.status_code == 302
    form = client.get(led.location)
    (target,) = re.findall(r'name="next" value="([^"]*)"', form.text)

    answer = sign_in(client, headers, next=target.replace("&amp;", "&"))

    assert (answer.status_code, answer.location) == (303, "/runs?page=1&page_size=5")
    assert client.get("/runs").status_code == 200
    assert client.post("/logout", headers=HERE).location == "/login"
    assert client.get("/runs").status_code == 401


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium")
@pytest.mark.parametrize("name", ["localhost", "risk.example"])
def test_a_browser_signs_in_changes_something_and_signs_out(closed, serve_world, name):
    """Also by plain HTTP under a name, where browsers send less: no Sec-Fetch-Site."""
    from playwright.sync_api import sync_playwright

    closed.set(api__trusted_hosts=["risk.example"])
    new = api_keys.create(closed.config, "Zoë", "write")
    rules = "--host-resolver-rules=MAP risk.example 127.0.0.1"
    with serve_world(closed) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-features=HttpsUpgrades", rules],
        )
        page = browser.new_page()
        page.goto(url.replace("127.0.0.1", name))
        page.fill("#key", str(new))
        page.click("main button")
        page.click("text=Acknowledge")
        page.wait_for_selector("text=Acknowledged")
        page.click("text=Sign out")
        page.wait_for_selector("#key")
        assert browser.contexts[0].cookies() == []
        browser.close()

    assert asked_for(closed) == [["Zoë", "POST", "/incidents/1/acknowledge", 303]]


def test_programs_are_not_led_to_a_form(client):
    """A redirect to HTML would look like an answer."""
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html;q=0.5"}):
        assert client.get("/runs", headers=accept).status_code == 401
    assert client.post("/incidents/1/acknowledge", headers=BROWSER).status_code == 401


def test_a_wrong_key_is_told_so_on_the_form(client, closed):
    """Once more, with what was wrong, and nothing of what was typed."""
    key(closed, "read")

    answer = client.post("/login", data={"key": "risk_typed<b>"}, headers=HERE)

    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert 'role="alert"' in answer.text
    assert "risk_typed" not in answer.text


def test_signing_out_without_a_session_is_no_fault(client, closed):
    """Before the first key there is nothing to sign in with either."""
    assert client.post("/logout", headers=HERE).status_code == 303
    assert client.post("/login", data={"key": "x"}, headers=HERE).status_code == 401
    key(closed, "read")
    assert client.post("/logout", headers=HERE).status_code == 303


def test_a_session_holds_in_every_worker_and_over_restarts(client, closed):
    """The secret comes from the key of the models, not from the process."""
    sign_in(client, key(closed, "read"))
    cookie = client.get_cookie("risk_session").value

    other = create_app(closed.config).test_client()

    other.set_cookie("risk_session", cookie)
    assert other.get("/runs").status_code == 200
    other.set_cookie("risk_session", cookie[:-2] + "xx")
    assert other.get("/runs").status_code == 401


def test_the_secret_of_the_settings_is_stronger(client, closed):
    """Whoever changes it ends every session."""
    sign_in(client, key(closed, "read"))
    cookie = client.get_cookie("risk_session").value
    other = create_app(closed.config.model_copy(update={"flask_secret_key": SECRET}))

    asking = other.test_client()
    asking.set_cookie("risk_session", cookie)

    assert asking.get("/runs").status_code == 401


def test_beyond_this_machine_it_does_not_start_without_a_key(world):
    """For the whole program: exit code 78, and the command that helps."""
    result = world.command("app.py", "--set", "api.host=0.0.0.0", "--set", "api.port=28999")

    assert result.returncode == ConfigError.exit_code
    assert "python app.py keys create NAME" in result.stderr
    assert "Traceback" not in result.stderr


def test_beyond_this_machine_nothing_is_read_without_a_key(world):
    """Whatever read_without_key says, and wherever one asks from."""
    headers = key(world, "read")
    client = create_app(world.set(api__host="0.0.0.0")).test_client()

    assert client.get("/docs").status_code == 401
    assert client.get("/docs", headers=headers).status_code == 200


def test_the_document_tells_which_key_is_needed(closed):
    """Optional where reading is free; nothing for health; never less than is enforced."""
    for config, reading in (
        (closed.config, [{"key": ["read"]}, {"bearer": ["read"]}]),
        (closed.set(api__read_without_key=True), [{}, {"key": ["read"]}, {"bearer": ["read"]}]),
    ):
        document = create_app(config).api_doc
        paths = document["paths"]

        assert set(document["components"]["securitySchemes"]) == {"key", "bearer"}
        assert paths["/runs"]["get"]["security"] == reading
        assert paths["/prediction"]["post"]["security"] == reading
        assert paths["/health"]["get"]["security"] == []
        acknowledge = paths["/incidents/{id}/acknowledge"]["post"]
        assert acknowledge["security"] == [{"key": ["write"]}, {"bearer": ["write"]}]
        assert {"401", "403"} <= set(acknowledge["responses"])


@pytest.fixture
def proxied(world):
    """Give a world that can be read on this machine without a key."""
    world.set(api__read_without_key=True)
    return world


HEADERS_OF_PROXIES = [
    {"X-Forwarded-For": "192.0.2.1"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Real-IP": "192.0.2.1"},
    {"Forwarded": "for=192.0.2.1"},
    {"X-Forwarded-Proto": "https"},
    {"Via": "1.1 proxy"},
    {"X-Forwarded": "for=192.0.2.1"},
    {"X-Original-Forwarded-For": "192.0.2.1"},
    {"CF-Connecting-IP": "192.0.2.1"},
    {"True-Client-IP": "192.0.2.1"},
    {"X-Azure-ClientIP": "192.0.2.1"},
    {"X-Cluster-Client-IP": "192.0.2.1"},
    {"X-ProxyUser-Ip": "192.0.2.1"},
    {"X-Envoy-External-Address": "192.0.2.1"},
    {"CDN-Loop": "proxy"},
]


@pytest.mark.parametrize("headers", HEADERS_OF_PROXIES)
def test_behind_a_proxy_of_this_machine_nobody_is_local(proxied, headers):
    """What it forwards needs a key; what does not come through it needs none."""
    client = create_app(proxied.config).test_client()

    assert client.get("/runs", headers=headers).status_code == 401
    assert client.get("/health", headers=headers).status_code == 200
    assert client.get("/runs", headers=headers | key(proxied, "read")).status_code != 401
    assert client.get("/runs").status_code != 401


@pytest.mark.parametrize(
    ("forwarded", "is_local"),
    [("::1", True), ("192.0.2.1", False), ("::1, 192.0.2.1", False), ("192.0.2.1, ::1", True)],
)
def test_a_trusted_proxy_says_who_asks(proxied, forwarded, is_local):
    """The last address is the one it saw; what comes before, the client may have invented."""
    config = proxied.set(api__trusted_proxies=["127.0.0.1"])

    answer = create_app(config).test_client().get("/runs", headers={"X-Forwarded-For": forwarded})

    assert (answer.status_code != 401) is is_local


def test_signing_out_ends_the_session_for_copies_of_its_cookie(closed):
    """In every worker, and after a restart."""
    headers = key(closed, "read")
    client = create_app(closed.config).test_client()
    sign_in(client, headers)
    copy = {"Cookie": f"risk_session={client.get_cookie('risk_session').value}"}
    other = create_app(closed.config).test_client(use_cookies=False)
    assert other.get("/runs", headers=copy).status_code == 200

    client.post("/logout", headers=HERE)

    assert other.get("/runs", headers=copy).status_code == 401
    restarted = create_app(closed.config).test_client(use_cookies=False)
    assert restarted.get("/runs", headers=copy).status_code == 401


def test_signing_out_leaves_other_sessions_of_the_same_key(closed):
    headers, app = key(closed, "read"), create_app(closed.config)
    first, second = app.test_client(), app.test_client()
    sign_in(first, headers)
    sign_in(second, headers)

    first.post("/logout", headers=HERE)

    assert second.get("/runs").status_code == 200


def test_failed_sign_ins_are_logged_and_slowed_by_address(closed, caplog):
    """Also the right key has to wait; somebody else has not."""
    headers, app = key(closed, "read"), create_app(closed.config)
    wrong = {"X-API-Key": "wrong"}
    client = app.test_client()

    statuses = [sign_in(client, wrong).status_code for _ in range(6)]
    slowed = sign_in(client, headers)

    assert statuses == [401] * 5 + [429]
    assert slowed.status_code == 429
    assert int(slowed.headers["Retry-After"]) >= 1
    assert caplog.text.count("failed sign-in from 127.0.0.1") == 5
    elsewhere = client.post(
        "/login",
        data={"key": headers["X-API-Key"]},
        headers=HERE,
        environ_base={"REMOTE_ADDR": "192.0.2.9"},
    )
    assert elsewhere.status_code == 303
