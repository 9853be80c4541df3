"""Rows in, predictions out: of one release, all of them or none."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import requests

from app import create_app

ROOT = Path(__file__).parents[2]
JSON, CSV = "application/json", "text/csv"
FEATURES = ["age", "plan", "town"]


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory):
    """Give a world of customers with words for labels and levels, and a live release."""
    world = new_world(tmp_path_factory.mktemp("shop"))
    for drop in world.folder.glob("data/*/*.csv"):
        drop.unlink()
    ages = [20 + i % 50 for i in range(200)]
    customers = "".join(
        f"c{i},{age},{'ab'[i % 2]},{('Ulm', 'Hof')[i % 3 == 0]},{'yes' if age > 44 else 'no'}\n"
        for i, age in enumerate(ages)
    )
    world.set(
        columns={
            "identifier": "id",
            "target": "left",
            "positive_label": "yes",
            "negative_label": "no",
            "numeric": ["age"],
            "categorical": ["plan", "town"],
            "allowed_ranges": {"age": [0, 150]},
            "allowed_values": {"plan": ["a", "b"]},
        }
    )
    world.drop("customers.csv", f"id,age,plan,town,left\n{customers}")
    test_data = "id,age,plan,town,left\n=t1,30,a,Ulm,no\nt2,69,b,Hof,yes\nt3,45,a,Ulm,yes\n"
    (world.folder / "data" / "test" / "test_data.csv").write_text(test_data)
    world.run()
    return world


@pytest.fixture(scope="module")
def client(world):
    return create_app(world.config).test_client()


@pytest.fixture
def limited(world):
    """Give a function that makes a client of an API with other limits."""

    def client(**limits):
        config = world.config
        return create_app(
            config.model_copy(update={"api": config.api.model_copy(update=limits)})
        ).test_client()

    return client


def row(**changes):
    return {"age": 30, "plan": "a", "town": "Ulm"} | changes


def ask(client, body, *, path="/prediction", accept=JSON):
    kind = CSV if isinstance(body, str) else JSON
    data = body if isinstance(body, str) else json.dumps(body)
    return client.post(path, data=data, content_type=kind, headers={"Accept": accept})


def faults(answer):
    assert answer.status_code == 422, answer.text
    return [(tuple(error["loc"]), error["msg"]) for error in answer.json["errors"]]


def test_an_application_that_is_ready_imports_nothing_for_its_first_prediction(world):
    """Although the rows sent are others than the one it tried."""
    settings = str(world.folder / "config.json")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from app import create_app\n"
        "from risk.config import Config\n"
        "from web import predictions\n"
        f"app = create_app(Config.load(Path({settings!r})))\n"
        "client = app.test_client()\n"
        "predictions.get_ready(app)\n"
        "before = {*sys.modules}\n"
        "answer = client.post('/prediction', json=[{'age': 30, 'plan': 'a', 'town': 'Ulm'}])\n"
        "large = {'numpy', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'joblib'}\n"
        "new = {name for name in sys.modules if name.split('.')[0] in large} - before\n"
        "print(answer.status_code, new)\n"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout

    assert printed.strip() == "200 set()"


def test_predictions_are_those_of_the_live_model(client, world):
    """The pipeline in the release, asked without any of the layers between."""
    rows = [row(), row(age=69, plan="b", town="Hof"), row(age=None, town="Rom")]
    live = world.config.deployment_folder / "current" / "trained_model.pkl"

    answer = ask(client, rows).json

    frame = pd.DataFrame(rows, columns=FEATURES).astype({"plan": "object", "town": "object"})
    expected = pickle.loads(live.read_bytes()).predict_proba(frame)[:, 1]
    assert answer["model_version"] == 1
    assert [told["y_pred_proba"] for told in answer["predictions"]] == expected.tolist()


def test_each_prediction_is_told_in_words(client):
    """The user's own label, a band, and what the model never saw."""
    young, old = ask(client, [row(id="x"), row(id=7, age=120, town="Rom")]).json["predictions"]

    assert (young["id"], young["y_pred"], young["label"], young["risk_band"]) == (
        "x", 0, "no", "low",
    )  # fmt: skip
    assert (old["id"], old["y_pred"], old["label"], old["risk_band"]) == (7, 1, "yes", "high")
    assert young["warnings"] == []
    assert old["warnings"] == [
        "age 120 is outside the reference's range, 20 to 69",
        "town 'Rom' is unknown to the reference",
    ]


def test_a_drop_can_be_sent_as_it_is(client, world):
    """Its labels are not looked at; the answer is that for the same data set by name."""
    drop = world.config.test_data.read_text()
    named = client.get("/prediction", headers={"Accept": JSON}).json["predictions"]

    sent = ask(client, drop).json["predictions"]

    shown = ("id", "y_pred_proba", "y_pred", "label")
    assert [{name: told[name] for name in shown} for told in sent] == named


def test_columns_nobody_declared_are_ignored_in_csv_alone(client):
    """As in a drop; an object of JSON was made for us, and a name too many is an error in it."""
    assert ask(client, "age,plan,shoe,town\n1,a,44,Ulm\n").status_code == 200
    assert faults(ask(client, [row(shoe=44)])) == [((0, "shoe"), "unknown column")]


def test_columns_may_come_in_any_order_and_without_identifier(client):
    """Who asks may not have one."""
    answer = ask(client, " town ,plan,age\nUlm,a, 30 \n\nHof,b,NA\n").json["predictions"]

    assert [told["id"] for told in answer] == [None, None]
    assert answer[0]["y_pred_proba"] == ask(client, [row()]).json["predictions"][0]["y_pred_proba"]
    assert answer[1]["warnings"] == ["age is missing; the reference never misses it"]


def test_answers_as_csv_are_harmless_in_a_spreadsheet(client, world):
    """An identifier that begins like a formula gets an apostrophe."""
    answer = ask(client, world.config.test_data.read_text(), accept=CSV)

    lines = answer.text.split("\r\n")
    assert answer.mimetype == CSV
    assert lines[0] == "id,y_pred_proba,y_pred,label,risk_band,warnings,model_version"
    assert [line.split(",")[0] for line in lines[1:]] == ["'=t1", "t2", "t3", ""]


def test_no_rows_get_no_predictions(client):
    """An empty list is a list."""
    assert ask(client, []).json["predictions"] == []
    assert ask(client, "age,plan,town\n").json["predictions"] == []
    assert ask(client, [], accept=CSV).status_code == 200


def test_every_place_that_is_wrong_is_named(client):
    """One round of mending is enough; no row is answered."""
    rows = [row(), row(age="30"), row(age=-1, plan="c"), {"age": True, "town": "Ulm", "x": 1}, 5]

    assert faults(ask(client, rows)) == [
        ((1, "age"), "not a number"),
        ((2, "age"), "less than 0, got '-1'"),
        ((2, "plan"), "value not allowed, got 'c'"),
        ((3, "x"), "unknown column"),
        ((3, "plan"), "missing column"),
        ((3, "age"), "not a number"),
        ((4,), "not an object"),
    ]


def test_in_csv_lines_are_named(client):
    """As an editor counts them: blank ones and those within quotes too."""
    text = 'id,age,plan,town\n"a\nb",1,a,Ulm\n\nc,x,a,Ulm\nd,1,a\ne,1e99,a,Ulm\n'

    assert faults(ask(client, text)) == [
        ((5, "age"), "not a number, got 'x'"),
        ((6,), "3 fields, the header has 4"),
        ((7, "age"), "more than 150, got '1e99'"),
    ]


@pytest.mark.parametrize(
    "lines",
    [
        "b,2,b,Hof\nc,NA,,\n",
        "b,2,b,Hof\r\nc, 3 ,a , Ulm\r\n",
        "b,2,b,Hof\rc,3,a,Ulm",
        "b,2,b,Hof\n\n\nc,x,a,Ulm\n",
        "b,2,b\nc,3,a,Ulm,4\nd,4,c,Ulm\n",
        "b,2,b,Hö\u00a0f\nc,3,a,\ufeffUlm\n",
        "b,2,b,a\x07\nc,3,a,a\tb\n",
    ],
)
def test_lines_without_quotes_are_read_as_those_with(client, lines):
    """They are split many at once; whatever leaves a doubt is left to the csv module."""
    header, first = "id,age,plan,town\n", "a,1,a,Ulm"

    plain = ask(client, f"{header}{first}\n{lines}")
    quoted = ask(client, f'{header}"a",1,a,Ulm\n{lines}')

    assert plain.status_code == quoted.status_code
    assert plain.json == quoted.json


def test_the_line_that_is_no_csv_is_named(client):
    """Also behind lines that were read."""
    text = "id,age,plan,town\n" + "a,1,a,Ulm\n" * 10_001 + 'b,1,a,"U"lm\n'

    answer = ask(client, text)

    assert answer.status_code == 400
    assert "line 10003:" in answer.json["detail"]


def test_a_header_that_is_wrong_is_named(client):
    """A typing error must not become a column of missing values."""
    assert faults(ask(client, "age,Plan,town,age\n1,a,Ulm,1\n")) == [
        ((1, "plan"), "missing column"),
        ((1, "age"), "named more than once"),
    ]


def test_errors_are_counted_up_to_a_hundred(client):
    """An answer is not longer than what was asked."""
    assert len(faults(ask(client, [{}] * 5000))) == 100


@pytest.mark.parametrize(
    "value",
    ["\x00", "a\x07", "\ud800", 5.0, ["Ulm"], {"Ulm": 1}, True],
)
def test_a_text_is_a_printable_string(client, value):
    """Whatever else JSON can hold."""
    assert faults(ask(client, [row(town=value)])) == [((0, "town"), "not a text")]


def test_a_category_that_is_a_numeral_may_be_sent_as_a_whole_number(client):
    """`SeniorCitizen: 0` is what programs send for a column of 0 and 1."""
    number, text = ask(client, [row(town=5), row(town="5")]).json["predictions"]

    assert number == text
    assert number["warnings"] == ["town '5' is unknown to the reference"]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e300", "true"])
@pytest.mark.parametrize("column", ["age", "id"])
def test_a_number_is_one_a_model_can_take(client, column, number):
    """JSON can write larger ones than there are; 1e300 will do as an identifier."""
    body = json.dumps([row(**{column: 0})]).replace(f'"{column}": 0', f'"{column}": {number}')

    answer = client.post("/prediction", data=body, content_type=JSON)

    assert answer.status_code == (200 if (column, number) == ("id", "1e300") else 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[", 400),
        (b"[NaN]", 400),
        (b"[" * 100_000, 400),
        (b'[{"age": 1, "age": 2}]', 400),
        (b"[" + b"1" * 5000 + b"]", 400),
        ("[]".encode("utf-16"), 400),
        (b"\xff", 400),
        (b"{}", 422),
        (b"null", 422),
        (b'"[]"', 422),
        (b'[{"age": 1e400, "plan": "a", "town": "Ulm"}]', 422),
        (b'[{"age": [[]], "plan": "a", "town": "Ulm"}]', 422),
        (b"\xef\xbb\xbf[]", 200),
    ],
)
def test_odd_bodies_get_honest_statuses(client, body, status):
    """400 if it cannot be read, 422 if it can; a bug is none of them."""
    for path in ("/prediction", "/invocations"):
        answer = client.post(path, data=body, content_type=JSON)

        assert answer.status_code == (422 if (path, status) == ("/invocations", 200) else status)


@pytest.mark.parametrize("body", [b'a,"b\n', b"\xff\n", b"a" * 200_000])
def test_odd_csv_gets_honest_statuses(client, body):
    """Not CSV, not text, one endless field."""
    assert client.post("/prediction", data=body, content_type=CSV).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": JSON, "Content-Encoding": "gzip"},
    ],
)
def test_other_types_of_body_are_refused(client, headers):
    """`curl -d` sends a form if it is not told otherwise."""
    assert client.post("/prediction", data=b"[]", headers=headers).status_code == 415


def test_too_many_bytes_are_refused(limited):
    """The limit itself is allowed."""
    client = limited(max_body_bytes=100)

    just, more = (
        client.post("/prediction", data=b" " * n + b"[]", content_type=JSON) for n in (98, 99)
    )

    assert (just.status_code, more.status_code) == (200, 413)


def test_a_body_without_an_announced_length_is_refused_too(world, serve_world):
    """It comes in chunks, and what is too much of it must not be cut off silently."""
    body = (b" " * 500_000 for _ in range(140))

    with serve_world(world) as url:
        answer = requests.post(f"{url}/prediction", data=body, headers={"Content-Type": JSON})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        [row()] * 3,
        "age,plan,town\n" + "1,a,Ulm\n" * 3,
        [[[[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]]]] * 9],
        "age\n" * 100,
    ],
)
def test_too_many_rows_are_refused(limited, body):
    """Before the values of the body take memory."""
    client = limited(max_rows=2)

    assert ask(client, [row(town="a,b,c,d,e,f,[,{" * 9)] * 2).status_code == 200
    assert ask(client, body).status_code == 413


def test_an_answer_that_takes_too_long_is_given_up(limited):
    """Nothing was sent before, so the status can say so."""
    answer = ask(limited(max_seconds=1e-9), [row()])

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "max_seconds" in answer.json["detail"]


def test_many_rows_are_answered_in_pieces(client):
    """A worker never holds the whole answer."""
    rows = [row(id=i, age=20 + i % 50) for i in range(25_000)]
    alone = ask(client, [rows[17]]).json["predictions"][0]

    answer = ask(client, rows)
    pieces = list(answer.iter_encoded())

    told = json.loads(b"".join(pieces))["predictions"]
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 2
    assert [line["id"] for line in told] == list(range(25_000))
    assert told[17] == alone


SPLIT = {"columns": ["town", "age", "plan"], "data": [["Ulm", 30, "a"], ["Hof", 69, "b"]]}
LISTS = [[30, "a", "Ulm"], [69, "b", "Hof"]]
RECORDS = [row(), row(age=69, plan="b", town="Hof")]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": SPLIT | {"index": [0, 1]}},
        {"dataframe_records": RECORDS},
        {"inputs": RECORDS},
        {"inputs": {"age": [30, 69], "plan": ["a", "b"], "town": ["Ulm", "Hof"]}},
        {"instances": LISTS},
        "age,plan,town\n30,a,Ulm\n69,b,Hof\n",
    ],
)
def test_clients_of_mlflow_are_understood(client, body):
    """In each form of its scoring server, with the labels as answer."""
    assert ask(client, body, path="/invocations").json == {"predictions": ["no", "yes"]}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": LISTS},
        {"inputs": LISTS, "instances": LISTS},
        {"inputs": LISTS, "params": {}},
        {"inputs": 1},
        {"inputs": [[30, "a"]]},
        {"inputs": [[30, "a", "Ulm"], {}]},
        {"inputs": {"age": 30, "plan": "a", "town": "Ulm"}},
        {"inputs": {"age": [30], "plan": ["a", "b"], "town": ["Ulm"]}},
        {"instances": {"age": [30]}},
        {"dataframe_split": LISTS},
        {"dataframe_split": {"columns": FEATURES}},
        {"dataframe_split": {"columns": [1, 2, 3], "data": LISTS}},
        {"dataframe_split": {"columns": ["age", "plan"], "data": [[30, "a"]]}},
        {"dataframe_split": {"columns": [*FEATURES, "age"], "data": []}},
        {"dataframe_split": {"columns": FEATURES, "data": 5}},
        {"dataframe_split": {"columns": FEATURES, "data": LISTS, "index": 5}},
        {"dataframe_records": LISTS},
    ],
)
def test_other_forms_are_refused(client, body):
    """With what is wrong."""
    assert faults(ask(client, body, path="/invocations"))
