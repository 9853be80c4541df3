import hashlib
import hmac
import json
import logging
import socket
import sys
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from risk.config import Config
from risk.errors import ConfigError
from risk.notify.channels import Machine, People, split, targets

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # apprise on 3.11
SECRET = "0123456789abcdef0123456789abcdef"
MESSAGES = [
    SimpleNamespace(id=7, incident_id=1, title="Incident 1", body='{"event": "incident_opened"}'),
    SimpleNamespace(id=8, incident_id=None, title="Release 2 is live", body="It is better."),
]


@pytest.fixture
def configure(world):
    """Give a function that reads the world's settings under an environment."""
    return lambda **environment: Config.load(
        world.folder / "config.json",
        environment={f"RISK_{name.upper()}": value for name, value in environment.items()},
    )


def machine(receiver, path="/hook"):
    return Machine("webhook", SecretStr(f"http://{receiver.address}{path}"), SecretStr(SECRET))


def people(address):
    return People("json", SecretStr(address), "churn", "The dashboard shows more.")


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_people_need_a_package_that_is_not_always_installed(configure, monkeypatch):
    """A webhook needs none; the message says how to install it."""
    monkeypatch.setitem(sys.modules, "apprise", None)  # as if it were not there
    hook = configure(webhook_url="http://localhost/hook", webhook_secret=SECRET)

    assert [target.kind for target in targets(hook)] == ["webhook"]
    with pytest.raises(ConfigError, match="apprise; run: python -m pip install -r requirements-m"):
        targets(configure(notify_urls="json://localhost"))


@pytest.mark.parametrize(
    "urls",
    [
        "json://one",
        "json://one json://two",
        "json://one, json://two,xml://three",
        " slack://A/B/C\n\tmailto://me:word@example.org?to=a@b.org,c@d.org ; discord://1/2",
        "JSON://one,json://two/with,comma",
        "nonsense",
        "",
    ],
)
def test_addresses_are_taken_apart_as_apprise_does(urls):
    """Whoever tried them with apprise's own command finds them read in the same way."""
    from apprise.utils.parse import parse_urls

    assert split(urls) == parse_urls(urls.strip())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("tgram://123456789:geheim_geheim/geheim/", "tgram "),
        ("slack://geheim/geheim/geheim/#channel", "slack "),
        ("mailto://me:geheim@example.org?to=you@example.org", "mailto "),
        ("JSONS://me:geheim@example.org/geheim", "jsons "),
        ("geheim", "unknown "),
    ],
)
def test_an_address_is_named_without_its_secrets(configure, url, name):
    """In many addresses the token stands where others have the host."""
    (target,) = targets(configure(notify_urls=url))

    assert target.name.startswith(name)
    assert "geheim" not in f"{target.name} {target!r}"


def test_a_webhook_is_named_by_its_host(configure):
    """Not by the user, the password, the path or the question."""
    url = "https://me:geheim@hooks.example.org:8443/geheim?token=geheim"

    (target,) = targets(configure(webhook_url=url, webhook_secret=SECRET))

    assert target.name.startswith("webhook hooks.example.org ")
    assert "geheim" not in f"{target.name} {target!r}"
    assert SECRET not in repr(target)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("mailto://me:old@example.org", "mailto://me:new@example.org", True),
        ("mailto://example.org?user=me&pass=old", "mailto://example.org?user=me&pass=new", True),
        ("mailto://me:word@example.org", "mailto://you:word@example.org", False),
        ("slack://A/B/C", "slack://A/B/D", False),
    ],
)
def test_another_address_is_another_target_and_another_password_is_not(
    configure, first, second, same
):
    """A password could be guessed from its digest; a token could not."""
    names = [targets(configure(notify_urls=url))[0].name for url in (first, second)]

    assert (names[0] == names[1]) is same


def test_everybody_is_told_once(configure):
    """However often an address is named."""
    found = targets(configure(notify_urls="json://one json://two, json://one"))

    assert [target.address.get_secret_value() for target in found] == ["json://one", "json://two"]


def test_without_addresses_there_is_nobody(configure):
    """An empty variable is none."""
    assert targets(configure()) == targets(configure(notify_urls="")) == []


def test_a_receiver_can_prove_who_sent_a_message_and_when(receiver):
    """As the README shows."""
    assert machine(receiver).deliver(MESSAGES[:1], 5) is None

    (post,) = receiver.posts
    timestamp = post["headers"]["X-Risk-Timestamp"]
    signed = timestamp.encode() + b"." + post["body"]
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, post["headers"]["X-Risk-Signature"])
    assert post["json"] == {"id": 7, "event": "incident_opened"}
    assert post["headers"]["X-Risk-Delivery"] == "7"
    assert post["headers"]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (200, None),
        (204, None),
        (302, "HTTP status 302"),
        (307, "HTTP status 307"),
        (404, "HTTP status 404"),
        (500, "HTTP status 500"),
    ],
)
def test_only_2xx_is_taken(receiver, status, problem):
    """And nobody is sent on to another address with what was meant for this one."""
    receiver.answers = [status]

    assert machine(receiver).deliver(MESSAGES[:1], 5) == problem
    assert [post["path"] for post in receiver.posts] == ["/hook"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:{port}/geheim", "cannot be reached (ConnectionError)"),
        ("http://geheim.invalid/geheim", "cannot be reached (ConnectionError)"),
        ("ftp://geheim/geheim", "cannot be reached (InvalidSchema)"),
        ("http://[geheim", "cannot be reached (InvalidURL)"),
        ("geheim", "cannot be reached (MissingSchema)"),
    ],
)
def test_what_cannot_be_reached_is_told_without_its_address(configure, url, problem):
    """The libraries would name it whole."""
    config = configure(webhook_url=url.format(port=closed_port()), webhook_secret=SECRET)
    (target,) = targets(config)

    assert target.deliver(MESSAGES[:1], 5) == problem


@pytest.mark.parametrize("to_people", [True, False])
def test_nobody_waits_for_ever(receiver, to_people):
    """A server that takes the question and never answers has not taken the message."""
    receiver.answers = [None]
    target = people(f"json://{receiver.address}") if to_people else machine(receiver)

    problem = target.deliver(MESSAGES[:1], 0.2)

    assert problem in (
        "no response within 0.2 seconds",
        "apprise reports: timeout",
        "apprise reports: failure",
    )


def test_people_are_told_all_news_of_a_run_at_once(receiver):
    """One line that says first what was done, then each message, and where more is shown."""
    assert people(f"json://{receiver.address}/me").deliver(MESSAGES, 5) is None

    (post,) = receiver.to("/me")
    assert post["title"] == "[churn] Release 2 is live; Incident 1"
    assert "2. Release 2 is live\n\nIt is better." in post["message"]
    assert post["message"].endswith("The dashboard shows more.")


def test_a_long_line_says_how_many_there_are(receiver):
    """Some telephones show 30 characters, mailboxes 150."""
    people(f"json://{receiver.address}/me").deliver(MESSAGES * 10, 5)

    (post,) = receiver.to("/me")
    assert len(post["title"]) <= 150
    assert post["title"].endswith(" ... (20 messages)")


def test_what_is_too_long_for_a_service_comes_in_parts(receiver):
    """Refused as a whole, it would be tried again and again, and given up."""
    long = SimpleNamespace(id=1, incident_id=1, title="x", body="word " * 10_000)

    assert people(f"json://{receiver.address}/me").deliver([long], 5) is None

    parts = [post["message"] for post in receiver.to("/me")]
    assert len(parts) > 1
    assert "".join(parts).count("word") == 10_000


def test_text_of_others_is_no_markup(receiver):
    """A column may be called like a tag, or like everybody in a chat."""
    text = "<script>alert(1)</script> <!channel> *bold* :smile: \\n ${HOME}"

    people(f"json://{receiver.address}/me?format=html").deliver(
        [SimpleNamespace(id=1, incident_id=1, title="x", body=text)], 5
    )

    (post,) = receiver.to("/me")
    assert "<script>" not in post["message"]
    assert "<!channel>" not in post["message"]
    assert "${HOME}" in post["message"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nonsense://geheim", "apprise does not recognise this URL"),
        ("geheim", "apprise does not recognise this URL"),
        ("json://me:geheim@127.0.0.1:{port}/geheim", "apprise reports: failure"),
    ],
)
def test_apprise_says_nothing_of_addresses(caplog, capfd, address, problem):
    """Its log would show parts of them."""
    with caplog.at_level(logging.DEBUG):
        told = people(address.format(port=closed_port())).deliver(MESSAGES, 5)

    assert told == problem
    assert "geheim" not in caplog.text + "".join(capfd.readouterr())


def test_a_refusal_of_an_apprise_address_is_a_failure(receiver):
    """A redirect is one too: it would lose what is posted."""
    receiver.answers = [500, 307]
    target = people(f"json://{receiver.address}/me")

    assert target.deliver(MESSAGES, 5) == "apprise reports: failure"
    assert target.deliver(MESSAGES, 5) == "apprise reports: failure"
    assert [post["path"] for post in receiver.posts] == ["/me", "/me"]


def test_a_program_reads_json(world):
    """Whatever is announced."""
    said = SimpleNamespace(content={"event": "deployed", "decision": {"version": 2}})
    nowhere = SecretStr("")

    assert json.loads(Machine("x", nowhere, nowhere).write(said)) == said.content


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("https://example.org/hook", True),
        ("http://[::1]:8080", True),
        ("https://", False),
        ("https:///hook", False),
        ("https://example.org:port/hook", False),
        ("http://[::1", False),
        ("ftp://example.org", False),
    ],
)
def test_the_check_of_an_installation_finds_an_incomplete_address(address, usable):
    assert Machine("webhook", SecretStr(address), SecretStr(SECRET)).is_usable() is usable
