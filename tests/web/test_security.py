"""What a scanner such as ZAP would try, and what an attacker would try next."""

import csv
import html.parser
import io
import json
import re

import pytest

from app import create_app
from risk.models import signing
from tests.torture import in_full
from web import api_keys
from web.responses import HEADERS

COLUMN = '<script>alert("column")</script>'
LEVEL = '"><img src=x onerror=alert(1)>'
COMPANY = "javascript:alert(`{{7*7}}`)<svg onload=alert(2)>"
PAGES = {"Accept": "text/html"}
TRAVERSALS = [
    *("../x", "..%2fx", "%2e%2e/x", "%252e%252e%252f", "....//x", "..;/x", "..\\x", "..%5c"),
    *("/etc/passwd", "//etc/passwd", "/proc/self/environ", "//proc/self/root/etc/passwd"),
    *("/dev/fd/3", "~root/x", "file:///etc/passwd", "file://host/x", "http://127.0.0.1:1/x"),
    *("s3://b/x", "ftp://h/x", "data:text/csv,a", "zip://x::file:///y", "simplecache::x"),
    *("%00", "a.csv%00.png", "%0d%0aX: y", "x" * 5000, "%ff", "CON", "NUL.csv", "a.csv:stream"),
    *("\\\\host\\share", "C:\\x", "?x", "#x", "a\0b", "a\r\nX-Injected: 1", "config.json"),
]
WORST = ("../x", "/etc/passwd", "%0d%0aX: y")  # a way up, a way elsewhere, a header


class Danger(html.parser.HTMLParser):
    """Collects what a browser would run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        run = [(name, value) for name, value in attrs if name.startswith("on")]
        run += [(n, v) for n, v in attrs if v and v.strip().lower().startswith("javascript:")]
        foreign = tag in ("script", "iframe", "object", "embed", "base", "link", "img", "form")
        source = dict(attrs).get("src") or dict(attrs).get("href") or dict(attrs).get("action")
        if run or (foreign and not (source or "").startswith("/")):
            self.found.append((tag, attrs))


def dangers(text):
    parser = Danger()
    parser.feed(text)
    return parser.found


def rewrite(path):
    """Give a drop of the repository the worst names a column, a level and a company can have."""
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for number, row in enumerate(rows):
        row[COLUMN] = row.pop("lastmonth_activity")
        row["level"] = LEVEL if number % 2 else "b"
        row["corporation"] = f"{number} {COMPANY}" if number else row["corporation"]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def hostile(new_world, tmp_path_factory):
    """Give a world in which every name that comes with the data attacks."""
    world = new_world(tmp_path_factory.mktemp("hostile"))
    for path in world.folder.glob("data/*/*.csv"):
        rewrite(path)
    world.set(
        columns__numeric=[COLUMN, "lastyear_activity"],
        columns__categorical=["level"],
        columns__other=["number_of_employees"],
        columns__allowed_ranges={COLUMN: [0, 400]},
    )
    world.drop(f"a{LEVEL.replace('/', '')}.csv", "x,y\n1,2\n")
    world.run()
    world.switch_to_production()
    world.run()
    with world.open_ledger() as ledger:
        common = {"version": 1, "kind": "data_drift", "severity": "large"}
        ledger.incidents.open({**common, "subject": COLUMN, "detail": f"{LEVEL} came: {COMPANY}"})
    return world


@pytest.fixture(scope="module")
def app(hostile):
    return create_app(hostile.config)


@pytest.fixture
def client(app):
    return app.test_client()


def rules(app, method="GET"):
    """Return a path for every rule that answers this method."""
    for rule in app.url_map.iter_rules():
        if method in rule.methods:
            yield re.sub(r"<[^>]*metric>", "f1", re.sub(r"<[^>]*(id|version)>", "1", rule.rule))


def lacking(answer):
    return {name for name in HEADERS if name not in answer.headers}


def test_every_answer_carries_the_safety_headers(app, client):
    """Pages, files, redirects, errors, and what no route was found for."""
    paths = [*rules(app), *rules(app, "POST"), "/nothing", "//nothing", "/static/nothing", "/docs/"]
    for path in dict.fromkeys(paths):
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "BREW"):
            with client.open(path, method=method) as answer:
                assert not lacking(answer), (method, path)
                policy = answer.headers["Content-Security-Policy"]
                assert "unsafe" not in policy and "http" not in policy and "*" not in policy
                assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "CONNECT", "BREW"])
def test_no_method_is_a_surprise(app, client, method):
    """Never 5xx; 405 with Allow, which a TRACE does not echo around."""
    for path in dict.fromkeys([*rules(app), *rules(app, "POST")]):
        with client.open(path, method=method, headers={"X-Secret": "echo"}) as answer:
            assert answer.status_code < 500 or answer.status_code == 503, path
            assert "echo" not in answer.text
            if answer.status_code == 405:
                assert answer.headers["Allow"]
                assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("name", [n if n in WORST else in_full(n) for n in TRAVERSALS])
def test_no_name_leads_out_of_what_is_known(app, client, hostile, name):
    """As a parameter of every question, and in the place of every placeholder."""
    asked = {"filename": name, "metric": name, "status": name, "run_id": name, "feature": name}
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint.startswith("access."):
            continue
        path = re.sub(r"<[^>]*>", lambda _: name, rule.rule)
        queries = [{field: name} for field in asked] if "<" not in rule.rule else [{}]
        for query in queries:
            with client.get(path, query_string=query or None) as answer:
                assert answer.status_code < 500 or answer.status_code == 503, (path, query)
                assert "root:" not in answer.text and "PATH=" not in answer.text
                assert '"output_folder_path"' not in answer.text
                assert "X-Injected" not in answer.headers


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_is_that_of_a_data_set(client, name):
    """Only what was taken is known, by the name it came under."""
    for path in ("/prediction", "/scoring", "/summarystats"):
        assert client.get(path, query_string={"filename": name}).status_code in (400, 404)


def test_nothing_in_a_page_runs(app, client):
    """Columns, levels, companies, files and details, in every HTML answer there is."""
    seen = ""
    for path in rules(app):
        with client.get(path, headers=PAGES) as answer:
            if answer.mimetype in ("text/html", "image/svg+xml"):
                assert not dangers(answer.text), path
                seen += answer.text
    assert "&lt;script&gt;alert(" in seen
    assert "alert(`{{7*7}}`)" in seen


def test_the_detector_of_dangers_works():
    """A test that can find nothing proves nothing."""
    for text in (
        COLUMN,
        LEVEL,
        COMPANY,
        "<a href=' JavaScript:x'>",
        "<base href=x>",
    ):
        assert dangers(text), text


@pytest.mark.parametrize("path", ["/login?next={}", "/{}", "/runs/{}", "/scoring?filename={}"])
@pytest.mark.parametrize("attack", [COLUMN, LEVEL, COMPANY, "'-alert(1)-'"])
def test_what_is_asked_never_comes_back_as_a_page(client, path, attack):
    """Reflected: in forms, and in the texts of errors, which are no HTML."""
    with client.get(path.format(attack), headers=PAGES) as answer:
        assert answer.mimetype == "application/problem+json" or not dangers(answer.text)


def test_a_fault_tells_the_log_and_not_the_world(hostile, monkeypatch, caplog):
    """No traceback, path or word of the error leaves the machine, FLASK_DEBUG or not."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = create_app(hostile.config)

    @app.get("/fails")
    def fails():
        raise RuntimeError("the secret word")

    answer = app.test_client().get("/fails", headers=PAGES)

    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert not lacking(answer)
    assert "secret word" not in answer.text and "Traceback" not in answer.text
    assert str(hostile.folder) not in answer.text
    assert "the secret word" in caplog.text
    assert not app.debug


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "a b"],
)
def test_a_name_made_to_point_here_is_refused(client, host):
    """DNS rebinding: a page of evil.example would read as its own origin what this machine may."""
    for path in ("/", "/runs", "/health", "/login", "/nothing"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
        assert not lacking(answer)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"]
)
def test_this_machine_has_its_usual_names(client, host):
    """The port is not part of them."""
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "known", "unknown"),
    [
        ({"trusted_hosts": ["risk.example"]}, "risk.example", "evil.example"),
        ({"host": "risk.example"}, "risk.example:8000", "evil.example"),
        ({"host": "0.0.0.0", "trusted_hosts": ["risk.example"]}, "risk.example", "192.0.2.1"),
        ({"host": "0.0.0.0"}, "whatever.example", None),
        ({"host": "192.0.2.1"}, "192.0.2.1:8000", None),
    ],
)
def test_further_names_come_from_the_settings(world, settings, known, unknown):
    """Where every request needs a key and no name is known, none is asked for."""
    api_keys.create(world.config, "ci", "read")
    api = world.config.api.model_copy(update=settings)
    client = create_app(world.config.model_copy(update={"api": api})).test_client()

    assert client.get("/health", headers={"Host": known}).status_code == 200
    if unknown:
        assert client.get("/health", headers={"Host": unknown}).status_code == 400


def test_forwarding_headers_change_nothing(client):
    """Neither where redirects lead, nor who asks, nor what the server is called."""
    forged = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Original-URL": "/models/champion",
        "X-HTTP-Method-Override": "DELETE",
        "Forwarded": "host=evil.example",
    }
    for path in ("/diagnostics", "/runs", "/health", "//diagnostics"):
        with client.get(headers=forged, environ_overrides={"PATH_INFO": path}) as answer:
            assert answer.status_code in (200, 302, 308, 401)
            assert "evil" not in str(answer.headers) + answer.text
            assert not lacking(answer)


TARGETS = [
    *(
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil.example",
    ),
    *(
        "/\t/evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "",
        " /",
        "/x\r\nX-Injected: 1",
    ),
    *("/ä", "http:evil", "//evil.example/..", "/\0", "@evil.example", "/%0d%0aX-Injected:1//"),
]


@pytest.fixture(scope="module")
def closed(new_world, tmp_path_factory):
    """Give an application that answers nobody without a key, and a key."""
    world = new_world(tmp_path_factory.mktemp("closed"))
    config = world.set(api__read_without_key=False)
    return create_app(config), api_keys.create(config, "person", "write")


@pytest.fixture
def signing_in(closed):
    """Give a client, and what signs it in."""
    app, new = closed
    client = app.test_client()

    def sign_in(base="http://localhost", target="/", **headers):
        headers = headers or {"Origin": base}
        form = {"key": str(new), "next": target}
        return client.post("/login", data=form, headers=headers, base_url=base)

    return client, sign_in


@pytest.mark.parametrize("target", TARGETS)
def test_signing_in_leads_nowhere_else(signing_in, target):
    """A link to the form may come by mail; after it one is still here."""
    _, sign_in = signing_in

    answer = sign_in(target=target)

    assert answer.status_code == 303
    assert re.fullmatch(r"/(?![/\\])\S*", answer.location)
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize(
    "path", ["//evil.example/runs", "/\\evil.example", "/runs?next=//evil.example"]
)
def test_being_led_to_the_form_leads_nowhere_else(signing_in, path):
    """The way back is a path of this server, whatever was asked for."""
    client, _ = signing_in

    answer = client.get(headers=PAGES, environ_overrides={"PATH_INFO": path})

    assert answer.status_code in (302, 308, 404)
    assert not (answer.location or "").startswith(("//", "/\\", "http://evil"))


def test_the_cookie_is_kept_from_scripts_and_other_sites(signing_in):
    """HttpOnly, SameSite, 12 hours, and Secure as soon as there is TLS."""
    client, sign_in = signing_in

    plain = sign_in().headers["Set-Cookie"]
    secure = sign_in("https://localhost").headers["Set-Cookie"]

    for cookie in (plain, secure):
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    assert ("Secure" in plain, "Secure" in secure) == (False, True)


def test_a_session_ends_after_twelve_hours(signing_in, monkeypatch):
    """Asking does not prolong it."""
    import itsdangerous.timed

    client, sign_in = signing_in
    sign_in()
    assert "Set-Cookie" not in client.get("/version").headers
    cookie = client.get_cookie("risk_session")
    now = itsdangerous.timed.time.time()
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + 12 * 3600 + 2)
    client.set_cookie("risk_session", cookie.value)

    assert client.get("/docs").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:9"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/http://localhost/"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"X-Silent": "1"},
    ],
)
def test_another_site_cannot_use_a_session(signing_in, headers):
    """CSRF: for changes, questions by POST, signing in and out; keys in headers are not asked."""
    client, sign_in = signing_in
    assert sign_in().status_code == 303

    assert sign_in(**headers).status_code == 403
    for path in ("/incidents/1/acknowledge", "/prediction", "/logout"):
        assert client.post(path, headers=headers).status_code in (403, 503)
    assert client.get("/docs").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Referer": "http://localhost/login?next=/"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    ],
)
def test_a_page_of_ours_can(signing_in, headers):
    """Whichever of the three its browser sends."""
    _, sign_in = signing_in

    assert sign_in(**headers).status_code == 303


def test_no_secret_is_ever_told(hostile, caplog):
    """Keys, hashes and secrets stand in no answer, no log and no error."""
    new = api_keys.create(hostile.config, "canary", "admin")
    kept = api_keys.Keyring(hostile.config).find(str(new))
    secrets = [str(new), kept.sha256, signing.key(hostile.config).decode()]
    client = create_app(hostile.config).test_client()
    told = []

    for headers in ({"X-API-Key": str(new)}, {"X-API-Key": f"{new}x"}, PAGES):
        for path in rules(client.application):
            with client.get(path, headers=headers) as answer:
                told += [answer.text, str(answer.headers)]
    told += [client.post("/login", data={"key": str(new)}).text, caplog.text]

    assert not [secret for secret in secrets if any(secret in text for text in told)]


def test_answers_in_json_are_no_pages(client):
    """A browser never guesses a type that runs."""
    for path in ("/runs", "/incidents", "/quarantine"):
        answer = client.get(path)
        assert answer.mimetype == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert json.loads(answer.text)
