"""All settings, read once and validated together.

Order of precedence: command line > environment (`RISK_`, nested `__`) > .env beside config.json >
config.json > default.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from risk import overrides
from risk.addresses import masked, sqlite_url
from risk.errors import ConfigError
from risk.labels import Label, as_cell
from risk.overrides import days_per_alarm

FileName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=300)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Within100Years = Annotated[float, Field(ge=0, le=3_155_760_000)]  # in seconds
MODEL_FILES = (  # beside the model, whose name is a setting
    *("manifest.json", "reference.json.gz", "reference_rows.parquet", "derived_columns.pkl"),
    *("reference.json", "held_out_rows.txt", "rolling_predictions.parquet", "latest_versions.json"),
)
PRODUCT = "Dynamic Risk Assessment System"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ReportFormat = Literal["pdf", "html", "json"]
ReportKind = Literal[ReportFormat, "appendix", "full"]  # the last two are PDFs, too
OfLabels = Literal["f1", "precision", "recall", "accuracy", "cost"]
Metric = Literal[OfLabels, "roc_auc", "average_precision", "brier", "log_loss"]
ESTIMATORS = (
    "LogisticRegression",
    "DecisionTreeClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "GaussianNB",
)
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
PackageName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Windows = Literal["cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257"]
EastAsian = Literal["cp932", "cp949", "cp950", "gb18030"]
StoreFolder = Annotated[str, Field(pattern=r"^s3://[^:@/?]+(/[^@?]*)?(\?[^@]*)?$")]


class Section(BaseModel):
    """A group of settings; an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ingestion(Section):
    """When a file counts as complete, its maximum size, and how its cells are written."""

    settle_seconds: float = Field(2.0, ge=0, le=3600)
    """A file counts as complete if it has not changed for this long; ten times as long if its last
    line has no line end.
    """
    max_file_bytes: int = Field(2_000_000_000, gt=0)
    """A larger file is skipped."""
    max_line_characters: int = Field(1_000_000, gt=0)
    """A file with a longer line is refused."""
    encoding: Literal["utf-8", Windows, EastAsian] = "utf-8"
    """Encoding of a file; the others are those of Windows: cp1252 in Western Europe, cp1250 in
    Central Europe, cp1251 for Cyrillic, cp1253 for Greek, cp1254 for Turkish, cp1257 for Baltic
    languages, cp932 for Japanese, cp949 for Korean, cp950 and gb18030 for Chinese, traditional and
    simplified. A file that begins with a byte-order mark is read as UTF-8 or UTF-16, as that says.
    """
    separator: Literal[",", ";", "\t", "|"] = ","
    """Character between the cells of a file."""
    decimal: Literal[".", ","] = "."
    """Decimal mark of the numbers in a file."""
    thousands: bool = False
    """The other of point and comma is between thousands also where it could be a decimal mark: with
    a decimal comma, 1.528 is 1528. Otherwise such a number is refused; 1.528,50 is always read.
    """
    dates: Literal["ISO 8601", "day first", "month first"] = "ISO 8601"
    """How the times of `columns.event_time` are written: 2026-12-31, 31.12.2026 or 12/31/2026, with
    or without a time of day. ISO 8601 is always read; unless it alone is set, so are 2026/12/31,
    20261231, 31-Dec-2026 and Dec 31, 2026.
    """
    number_rows: bool = False
    """Number the rows of a file without the column `columns.identifier`: `may-2` is line 2 of
    may.csv. Labels cannot come later, and a row that comes again in another file is counted twice.
    """
    seconds_ahead: Within100Years = Field(3600, examples=[50_400])
    """A row whose `columns.event_time` is further in the future is quarantined until it has come; a
    time without a zone may be UTC or the local time of this machine.
    """

    @property
    def plain(self) -> Self:
        """The same for text this program wrote: a UTF-8 file of commas, points and ISO 8601."""
        names = ("encoding", "separator", "decimal", "thousands", "dates", "number_rows")
        return self.model_copy(
            update={name: Ingestion.model_fields[name].default for name in names}
        )


class Source(Section):
    """A table or query whose rows beyond the high-water mark are ingested like those of files."""

    url_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["CRM_DATABASE_URL"]
    )
    """Environment variable with the database URL; without it the ledger's database is read."""
    table: str | None = Field(None, pattern=r"^[^.]+(\.[^.]+)?$", examples=["crm.customers"])
    """Table or view to read, with its schema if needed; give either this or `query`."""
    query: str | None = Field(
        None,
        pattern=r"(?i)^\s*(select|with)\b",
        examples=["SELECT * FROM customers WHERE country = 'DE'"],
    )
    """SELECT statement to read."""
    high_water_mark: str = Field(min_length=1, examples=["updated_at"])
    """Column that grows with every new row, such as a time or an ID."""
    overlap: float = Field(0, ge=0, examples=[600])
    """How far behind the mark to read again, in seconds or units, for rows that are committed late.
    """
    seconds_ahead: Within100Years = Field(3600, examples=[60])
    """A row whose time is further in the future is quarantined."""
    max_rows: int = Field(1_000_000, ge=1, examples=[100_000])
    """Rows read per run; the next run continues there."""
    _url: SecretStr | None = PrivateAttr(None)

    @property
    def url(self) -> SecretStr | None:
        """The database URL found in the environment when the settings were read."""
        return self._url

    def model_post_init(self, environment: Mapping[str, str] | None) -> None:
        """Look up the database URL, which is never part of the settings."""
        if url := (environment or {}).get(self.url_env or ""):
            self._url = SecretStr(url)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a source requires either a table or a query, not both")
        return self


class Keeping(Section):
    """How many of the newest runs, quarantined drops and releases to keep; null keeps all.

    Only runs that made a decision, and drops with refused rows, are counted.
    """

    keep_runs: int | None = Field(5000, ge=1, examples=[1000])
    """Newest runs that made a decision to keep, with their reports; null keeps all."""
    keep_quarantine: int | None = Field(None, ge=0, examples=[500])
    """Newest drops with refused rows of which these rows are kept; null keeps all."""
    keep_releases: int | None = Field(None, ge=3, examples=[20])
    """Newest releases to keep, besides the first, the live and the previous one; null keeps all."""

    @property
    def everything(self) -> bool:
        """Whether everything is kept."""
        return all(number is None for _, number in self)


class Messages(Section):
    """Delivery of notifications; their targets are set in the environment."""

    timeout_seconds: float = Field(10, gt=0)
    """How long a recipient may take to accept a notification."""
    max_attempts: int = Field(432, ge=1)
    """Runs that try to deliver a notification before it is given up; 432 are three days of cron."""
    warnings_to: tuple[str, ...] = Field(("mailto", "mailtos", "webhook"), examples=[["slack"]])
    """Kinds of channels that receive early warnings, at most one message a day: the scheme of an
    apprise URL, or `webhook`.
    """


class Columns(Section):
    """The columns of a drop; any table with a binary target can be described."""

    identifier: ColumnName
    """Column that identifies a row, such as the customer."""
    target: ColumnName
    """Column to predict."""
    positive_label: Label
    """Value of the target that is at risk, as it is written in the file."""
    negative_label: Label
    """The other value of the target."""
    numeric: tuple[ColumnName, ...] = ()
    """Features that are numbers."""
    categorical: tuple[ColumnName, ...] = Field((), examples=[["country", "contract"]])
    """Features that are texts or codes."""
    event_time: ColumnName | None = Field(None, examples=["recorded_at"])
    """Column with the time of a row, which late labels are matched by; see `ingestion.dates`."""
    other: tuple[ColumnName, ...] = Field((), examples=[["comment"]])
    """Columns that every file has and that are stored but not used by the model."""
    probability: ColumnName | None = Field(None, examples=["churn_probability"])
    """Column with the probability that a model elsewhere predicted, with `model.source` set to
    predictions.
    """
    decision: ColumnName | None = Field(None, examples=["flagged"])
    """Column with the label that a model elsewhere predicted."""
    allowed_ranges: dict[str, tuple[float | None, float | None]] = {}
    """Lowest and highest allowed value of numeric features; null is no limit. A row outside is
    quarantined.
    """
    allowed_values: dict[str, tuple[str, ...]] = Field(
        {}, examples=[{"contract": ["monthly", "yearly"]}]
    )
    """Allowed values of categorical features. A row with another value is quarantined."""
    missing_markers: tuple[str, ...] = ("NA", "N/A", "NaN", "nan", "null", "NULL")
    """Texts that mean a missing value, besides an empty cell."""

    @property
    def features(self) -> list[str]:
        """The columns used by the model, numeric columns first."""
        return [*self.numeric, *self.categorical]

    @property
    def classes(self) -> tuple[str, str]:
        """The negative and the positive class as text, such as `exited = 1`."""
        return f"{self.target} = {self.negative_label}", f"{self.target} = {self.positive_label}"

    @property
    def predicted(self) -> list[str]:
        """The columns with what a model elsewhere predicted."""
        return [name for name in (self.probability, self.decision) if name]

    @property
    def numbers(self) -> list[str]:
        """The columns that are stored as numbers."""
        return [*self.numeric, *([self.probability] if self.probability else [])]

    @property
    def required(self) -> list[str]:
        """The columns every drop must have; labels may arrive late."""
        event_time = [self.event_time] if self.event_time else []
        return [self.identifier, *event_time, *self.features, *self.predicted, *self.other]

    def of_labels(self, header: Container[str]) -> Self:
        """Return the columns of a drop that contains only late labels; its times are optional."""
        update: dict[str, Any] = {"numeric": (), "categorical": (), "other": ()}
        update |= {"probability": None, "decision": None}
        if self.event_time not in header:
            update["event_time"] = None
        return self.model_copy(update=update | {"allowed_ranges": {}, "allowed_values": {}})

    @property
    def all(self) -> list[str]:
        """Every declared column, the target last."""
        return [*self.required, self.target]

    @model_validator(mode="after")
    def _declarations_must_agree(self) -> Self:
        if repeated := sorted({name for name in self.all if self.all.count(name) > 1}):
            raise ValueError(f"columns declared more than once: {repeated}")
        if "row_hash" in self.all:
            raise ValueError("the program has a column row_hash of its own; rename yours")
        if not self.features:
            raise ValueError("at least one numeric or categorical feature must be declared")
        if as_cell(self.positive_label) == as_cell(self.negative_label):
            raise ValueError("positive_label and negative_label must differ, also as text")
        for label in (self.positive_label, self.negative_label):
            if str(label) in self.missing_markers:
                raise ValueError(f"{label!r} cannot be a label and one of missing_markers")
        if odd := sorted(set(self.allowed_ranges) - set(self.numeric)):
            raise ValueError(f"allowed_ranges names columns that are not numeric features: {odd}")
        if odd := sorted(set(self.allowed_values) - set(self.categorical)):
            raise ValueError(f"allowed_values names columns that are not categorical: {odd}")
        return self


class CostMatrix(Section):
    """The cost of each of the four outcomes of a prediction, in any currency."""

    true_negative: float = 0.0
    """Cost of a negative row that is predicted negative."""
    false_positive: float = 1.0
    """Cost of a negative row that is flagged as at risk."""
    false_negative: float = 5.0
    """Cost of a positive row that is missed."""
    true_positive: float = 0.0
    """Cost of a positive row that is flagged as at risk."""

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Return the costs in the order of `risk.stats.threshold`."""
        return self.true_positive, self.false_positive, self.false_negative, self.true_negative


class Training(Section):
    """The model to fit, and how its decision threshold is chosen."""

    estimator: str = Field("LogisticRegression", examples=["lightgbm.LGBMClassifier"])
    """Classifier to fit: LogisticRegression, DecisionTreeClassifier, RandomForestClassifier,
    ExtraTreesClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier, GaussianNB, or
    the dotted name of any other with the methods of scikit-learn, from `estimator_packages`;
    `pip install lightgbm xgboost` installs these two.
    """
    estimator_packages: tuple[PackageName, ...] = Field(
        ("sklearn", "xgboost", "lightgbm"), examples=[["sklearn", "mypackage"]]
    )
    """Packages a classifier may come from. They are imported, which runs their code."""
    parameters: dict[str, Any] = Field({}, examples=[{"C": 0.5}])
    """Parameters of the classifier."""
    choose_threshold_by: Literal["f1", "cost", "fixed"] = "f1"
    """The threshold has the highest F1 or the lowest cost on rows the model was not fitted to,
    averaged over resamples of them, or it is `fixed_threshold`.
    """
    fixed_threshold: Fraction = 0.5
    """Threshold if it is fixed, or if too few rows are labelled to choose one."""
    cost: CostMatrix = CostMatrix()
    """Cost of each outcome, for the threshold and for the metric `cost`."""
    max_rows: int | None = Field(None, ge=1000, examples=[1_000_000])
    """Labelled rows to train on at most, which bounds the memory of training: of more, as many are
    drawn at random, the same ones for the same `random_seed`. By default all are used. After a
    change, up to 100,000 of the rows since then are drawn as far as they fill half the sample.
    """
    minimum_rows: int = Field(20, ge=4)
    """Labelled rows without which no model is trained."""
    minimum_held_out_per_class: int = Field(10, ge=1)
    """Labelled rows of each class without which no threshold is chosen."""

    @property
    def is_own(self) -> bool:
        """Whether the classifier is given by its dotted name."""
        return "." in self.estimator

    @field_validator("estimator")
    @classmethod
    def _must_name_a_classifier(cls, name: str) -> str:
        if name not in ESTIMATORS and not DOTTED_NAME.fullmatch(name):
            known = ", ".join(ESTIMATORS)
            raise ValueError(f"must be {known} or a dotted name such as lightgbm.LGBMClassifier")
        return name

    @model_validator(mode="after")
    def _comes_from_an_allowed_package(self) -> Self:
        package = self.estimator.partition(".")[0]
        if self.is_own and package not in self.estimator_packages:
            raise ValueError(
                f"estimator is from {package}, which is not among estimator_packages: "
                f"{', '.join(self.estimator_packages) or 'none'}"
            )
        return self


class ModelSource(Section):
    """Whether models are trained here, or predictions made elsewhere are watched."""

    source: Literal["trained", "predictions"] = "trained"
    """Models are trained here; or a model elsewhere wrote its predictions into the drops, and is
    only watched.
    """
    threshold: Fraction | None = Field(None, examples=[0.4])
    """Probability from which a model elsewhere predicts the positive label; by default that which
    agrees best with `columns.decision`.
    """
    reference_rows: int = Field(1000, ge=50)
    """Rows that later ones are compared with: the first drops that have so many together."""
    reference_file: Path | None = Field(None, examples=["data/reference.csv"])
    """File of the rows to compare with instead, with predictions and labels."""


class Scoring(Section):
    """The confidence level of all reported intervals."""

    confidence: Fraction = 0.95
    """Confidence level of every reported interval."""


class Checks(Section):
    """What is monitored besides the features, the label and the predictions."""

    metric: Metric = "f1"
    """The score by which models are compared and monitored."""
    reconstruction: bool = False
    """Also check whether rows still fit the correlations between the features."""
    domain_classifier: bool = False
    """Also check whether a classifier can distinguish new rows from training rows."""


class MustFind(Section):
    """The changes that a fire drill must find in time."""

    missing: Fraction = 0.2
    """Share of the rows in which a feature is newly missing."""
    shift: float = Field(0.5, gt=0)
    """Shift of a numeric feature, in reference standard deviations."""
    errors: Fraction = 0.08
    """Growth of the share of wrong predictions."""
    days: float = Field(7, gt=0)
    """Time within which they must be found."""


class Alarms(Section):
    """How many false alarms are acceptable, and how small a change is tolerated."""

    false_alarm_budget: str = Field("1 per 90 days", examples=["2 per year"])
    """Acceptable number of false alarms, over all checks together."""
    warning_budget: str = Field("1 per 30 days", examples=["1 per week"])
    """Acceptable number of early warnings about nothing, over all checks together; not fewer than
    of false alarms.
    """
    tolerance: float = Field(0.05, ge=0, le=1)
    """A smaller change never raises an alarm; in reference standard deviations."""
    effect_of_interest: float = Field(0.25, gt=0)
    """The change that should be found fastest; in reference standard deviations."""
    usual_minutes_between_drops: float = Field(1440, gt=0)
    """Time that a drop covers if the clock cannot tell: the first, or many at once."""
    days_until_resolved: float = Field(7, gt=0)
    """An incident that is not seen for this long is resolved."""
    must_find: MustFind = MustFind()
    """The changes that a fire drill must find in time."""

    @property
    def days_per_false_alarm(self) -> float:
        """The budget as a number: days between two false alarms, over all checks together."""
        return days_per_alarm(self.false_alarm_budget)

    @property
    def days_per_warning(self) -> float:
        """Days between two warnings about nothing; not more than between two false alarms."""
        return min(days_per_alarm(self.warning_budget), self.days_per_false_alarm)

    @field_validator("false_alarm_budget", "warning_budget")
    @classmethod
    def _must_be_in_plain_words(cls, words: str) -> str:
        days_per_alarm(words)
        return words

    @model_validator(mode="after")
    def _warnings_are_not_rarer_than_alarms(self) -> Self:
        # the default gives way: settings that were made before there were warnings stay valid
        is_set = "warning_budget" in self.model_fields_set
        if is_set and days_per_alarm(self.warning_budget) > self.days_per_false_alarm:
            raise ValueError(
                f"warning_budget {self.warning_budget!r} is rarer than false_alarm_budget "
                f"{self.false_alarm_budget!r}: a warning comes before an alarm, so allow at least "
                "as many"
            )
        return self


class Policy(Section):
    """What triggers retraining, how often, and how long a release is on probation."""

    mode: Literal["act", "propose"] = "act"
    """Whether a challenger that passes the gate is deployed, or proposed to a person first."""
    retrain_on: tuple[Literal["data_drift", "model_drift"], ...] = ("data_drift", "model_drift")
    """Incidents that train a challenger."""
    cool_down_growth: float = Field(0.05, ge=0)
    """Growth of the accepted rows that is required before the next challenger is trained."""
    refresh_growth: float | None = Field(0.5, gt=0, examples=[1.0])
    """Growth of the labelled rows that trains a challenger without an incident; null never does."""
    ask_first_batches: int = Field(3, ge=0)
    """For so many batches in a row a broken feed needs a person; then it counts as normal."""
    watch_days: float = Field(14, ge=0)
    """Days for which a new release is on probation: if it does worse than its predecessor, it is
    rolled back.
    """


class Gate(Section):
    """When a challenger may replace the champion."""

    alpha: Fraction = 0.05
    """Share of worse challengers that pass at most."""
    margin: float = Field(0.01, ge=0, le=0.2)
    """How much worse a challenger may be than a champion that does worse than promised."""
    when_unsure: Literal["deploy_if_drifted", "keep", "ask"] = "deploy_if_drifted"
    """What to do with a challenger that is neither proven better nor worse."""


class Api(Section):
    """Address and request limits of the API, and whether reading on loopback requires a key."""

    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen at; any but a loopback address accepts requests from other machines, which
    require a key.
    """
    port: int = Field(8000, ge=1, le=65535)
    """Port to listen at."""
    read_without_key: bool = True
    """Whether reading from this machine requires no key."""
    trusted_hosts: tuple[str, ...] = Field((), examples=[["churn.example.org"]])
    """Further host names by which the API may be called."""
    trusted_proxies: tuple[str, ...] = Field((), examples=[["10.0.0.5"]])
    """Addresses of proxies whose X-Forwarded-For names the client; requests that another proxy
    forwarded require a key.
    """
    max_body_bytes: int = Field(64_000_000, gt=0)
    """Largest request."""
    max_rows: int = Field(100_000, gt=0)
    """Most rows in one request."""
    max_seconds: float = Field(30, gt=0)
    """Longest computation for one request."""

    @property
    def is_on_loopback(self) -> bool:
        """Whether the API is reachable from this machine only."""
        return self.host in LOOPBACK


class Config(Section):
    """All settings in force, and the folder to which paths are relative."""

    root: Path = Field(exclude=True)
    file_name: str = Field("config.json", exclude=True)
    input_folder_path: Path
    """Folder in which new files arrive; they are read, never changed."""
    output_folder_path: Path
    """Folder for the accepted rows."""
    test_data_path: Path
    """Folder of the test data."""
    test_data_filename: FileName
    """File of labelled rows that no model is trained on."""
    output_model_path: Path
    """Folder for the challenger and the outputs of the stages."""
    prod_deployment_path: Path
    """Folder for the releases."""
    quarantine_folder_path: Path = Path("data/quarantine")
    """Folder for refused rows."""
    compiled_data_filename: FileName = "final_data.csv"
    """File with all accepted rows."""
    compilation_record_filename: FileName = "ingested_files.csv"
    """File with the record of the drops."""
    score_filename: FileName = "latest_score.csv"
    """File with the scores of the model."""
    model_filename: FileName = "trained_model.pkl"
    """File of the model; with the ending `.skops` it is stored in that format."""
    plot_filename: FileName = "confusion_matrix.png"
    """File of the confusion matrix."""
    report_filename: FileName = "report.pdf"
    """File of the report that `reporting.py` writes."""
    report_folder_path: Path = Path("reports")
    """Folder for the reports, one folder per run."""
    report_formats: tuple[ReportFormat, ...] = Field(("pdf",), examples=[["pdf", "html"]])
    """Formats of the report written by every run that made a decision; none if empty."""
    api_call_filename: FileName = "api_returns.txt"
    """File for the responses that `api_calls.py` collects."""
    database_url: str = Field(
        "sqlite:///db/monitoring.sqlite", examples=["postgresql://churn@db.example.org/churn"]
    )
    """Database of the ledger; `DATABASE_URL` overrides it."""
    signing_key_path: Path = Path(".secrets/signing_key")
    """File of the key that signs the models; generated if missing."""
    api_keys_path: Path = Path(".secrets/api_keys.json")
    """File with the hashes of the API keys."""
    store_dataset_in_sql: bool = False
    """Whether accepted rows are also stored in the ledger's database."""
    engine: Literal["local", "processes", "dask"] = Field("local", examples=["processes"])
    """Where work that falls into parts is done: in this process, in several, or by the workers
    of a Dask scheduler. The results are the same.
    """
    engine_workers: int | None = Field(None, ge=1, examples=[4])
    """Processes of the engine `processes`; by default one for each core."""
    engine_address: str | None = Field(None, examples=["tls://scheduler.example.org:8786"])
    """Address of the Dask scheduler; beyond this machine `tls://` only, since workers and
    scheduler run what they are sent.
    """
    lock_path: Path = Path("db/run.lock")
    """File that lets one run at a time write on this machine."""
    lease_seconds: float = Field(120, ge=1, le=86_400)
    """How long a crashed machine blocks the others that share its database."""
    log_format: Literal["text", "json"] = "text"
    """Format of the log."""
    random_seed: int = Field(0, ge=0, lt=2**32)
    """Seed of everything random."""
    test_size: Fraction = 0.2
    """Share of the newest labelled rows that is held out for the gate."""
    columns: Columns
    ingestion: Ingestion = Ingestion()
    sources: dict[SourceName, Source] = Field(
        {}, examples=[{"crm": {"table": "customers", "high_water_mark": "updated_at"}}]
    )
    """SQL tables or queries, by name, whose new rows are ingested like files."""
    object_store: StoreFolder | None = Field(None, examples=["s3://acme-exports/customers"])
    """Folder in an object store whose new CSV objects are ingested like the files of
    `input_folder_path`.
    """
    shared_store: StoreFolder | None = Field(None, examples=["s3://acme-models/churn"])
    """Folder in an object store that keeps the files of this installation, so that each machine
    with its ledger has them.
    """
    model: ModelSource = ModelSource()
    training: Training = Training()
    scoring: Scoring = Scoring()
    checks: Checks = Checks()
    alarms: Alarms = Alarms()
    policy: Policy = Policy()
    gate: Gate = Gate()
    api: Api = Api()
    messages: Messages = Messages()
    keeping: Keeping = Keeping()
    signing_key: SecretStr | None = Field(None, min_length=32)
    """Key that signs the models; by default the content of `signing_key_path`."""
    flask_secret_key: SecretStr | None = None
    """Key that signs the sessions; by default derived from the signing key."""
    api_key: SecretStr | None = None
    """Key that `api_calls.py` uses."""
    notify_urls: SecretStr | None = None
    """Apprise URLs to notify, separated by blanks or commas."""
    webhook_url: SecretStr | None = None
    """URL to which notifications are posted as signed JSON."""
    webhook_secret: SecretStr | None = Field(None, min_length=32)
    """Key that signs them."""

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        command_line: Iterable[str] = (),
    ) -> Self:
        """Read `path`, apply the layers of overrides, validate, and report all errors at once.

        With an `environment`, what is not set there may be set in `.env` beside the file.
        """
        settings = overrides.read(path)
        if environment is not None:
            file = path.resolve().with_name(overrides.ENV_FILE)
            environment = {**overrides.read_env_file(file), **environment}
        if secrets := sorted(overrides.SECRETS & settings.keys()):
            variables = " and ".join(f"RISK_{name.upper()}" for name in secrets)
            raise ConfigError(
                f"{path}: secrets are not allowed in this file; set {variables} instead"
            )
        for keys, value in overrides.overrides(environment or {}, command_line):
            overrides.put(settings, keys, value)
        try:
            settings |= {"root": path.resolve().parent, "file_name": path.name}
            return cls.model_validate(settings, context=environment)
        except ValidationError as error:
            raise ConfigError(overrides.describe(path, error)) from None

    @property
    def installation_id(self) -> str:
        """The ID of this installation, which does not reveal its path."""
        return hashlib.sha256(str(self.deployment_folder.resolve()).encode()).hexdigest()[:16]

    @property
    def input_folder(self) -> Path:
        """Where new drops arrive."""
        return self.root / self.input_folder_path

    @property
    def ingested_folder(self) -> Path:
        """Where accepted rows are stored."""
        return self.root / self.output_folder_path

    @property
    def quarantine_folder(self) -> Path:
        """Where refused rows and files are stored."""
        return self.root / self.quarantine_folder_path

    @property
    def test_data(self) -> Path:
        """The labelled rows no model is ever trained on."""
        return self.root / self.test_data_path / self.test_data_filename

    @property
    def watches_only(self) -> bool:
        """Whether the predictions of a model elsewhere are watched, and none is trained."""
        return self.model.source == "predictions"

    @property
    def model_folder(self) -> Path:
        """Where the challenger and the outputs of the stages are stored."""
        return self.root / self.output_model_path

    @property
    def report_folder(self) -> Path:
        """Where the reports are stored, one folder per run."""
        return self.root / self.report_folder_path

    @property
    def deployment_folder(self) -> Path:
        """Where the releases are stored."""
        return self.root / self.prod_deployment_path

    def name_of(self, path: Path) -> str:
        """Return `path` for display: relative to config.json if it is below it, printable."""
        inside = path.is_relative_to(self.root)
        text = os.fsencode(path.relative_to(self.root) if inside else path)
        return "".join(
            character if character.isprintable() else repr(character)[1:-1]
            for character in text.decode("utf-8", "backslashreplace")
        )

    @property
    def sqlalchemy_url(self) -> str:
        """The URL of the ledger's database."""
        return self.absolute(self.database_url)

    def absolute(self, url: str) -> str:
        """Return a complete database URL; a relative SQLite path starts at config.json."""
        relative = re.fullmatch(r"sqlite:///(?!/)(.+)", url)
        return f"{sqlite_url(self.root)}/{relative[1]}" if relative else url

    @model_validator(mode="after")
    def _nothing_overwrites_another(self) -> Self:
        outputs = (self.score_filename, self.plot_filename, self.report_filename)
        models = (self.model_filename, self.api_call_filename, *MODEL_FILES)
        folders = (self.input_folder, self.ingested_folder, self.quarantine_folder)
        others = (self.model_folder, self.deployment_folder, self.report_folder)
        secret = (self.lock_path, self.signing_key_path, self.api_keys_path, Path(self.file_name))
        for names in (
            (*outputs, *models),
            (self.compiled_data_filename, self.compilation_record_filename),
            [os.path.normpath(folder) for folder in (*folders, *others)],
            [os.path.normpath(self.root / path) for path in secret],
        ):
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(
                    f"two settings, or one and the program, name {repeated[0]}; give each its own"
                )
        return self

    @model_validator(mode="after")
    def _a_webhook_is_signed(self) -> Self:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("webhook_url requires webhook_secret; set RISK_WEBHOOK_SECRET")
        return self

    @model_validator(mode="after")
    def _a_cluster_is_trusted(self) -> Self:
        if self.engine == "dask" and not self.engine_address:
            raise ValueError("engine is dask, which requires engine_address")
        scheme, _, place = (self.engine_address or "tls://").partition("://")
        host = place.rpartition(":")[0].strip("[]")
        if scheme != "tls" and not (scheme == "tcp" and host in LOOPBACK):
            raise ValueError(
                "engine_address must be tls://HOST:PORT, or tcp:// on a loopback address: workers "
                "and scheduler run what they are sent"
            )
        return self

    @model_validator(mode="after")
    def _predictions_have_columns(self) -> Self:
        columns, given = self.columns, "model.source is predictions, which requires"
        if not self.watches_only:
            if columns.predicted:
                raise ValueError("columns.probability and columns.decision require model.source")
        elif columns.probability is None:
            raise ValueError(f"{given} columns.probability")
        elif columns.decision is None and self.model.threshold is None:
            raise ValueError(f"{given} columns.decision or model.threshold")
        return self

    @field_serializer("database_url")
    def _mask_password(self, url: str) -> str:
        return masked(url)
