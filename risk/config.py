"""All settings, read once and validated together.

Order of precedence: command line > environment (`RISK_`, nested `__`) > .env beside config.json >
config.json > default.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
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
from risk.errors import ConfigError

FileName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=300)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
PRODUCT = "Dynamic Risk Assessment System"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ReportFormat = Literal["pdf", "html", "json"]
Metric = Literal[
    "f1",
    "precision",
    "recall",
    "accuracy",
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
    "cost",
]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
DAYS_PER = {"day": 1.0, "week": 7.0, "month": 30.4375, "quarter": 91.3125, "year": 365.25}
BUDGET_IN_WORDS = re.compile(
    r"(?P<alarms>\d+(\.\d+)?)( false alarms?)? (per|in|a|every) "
    r"((?P<periods>\d+(\.\d+)?) )?(?P<unit>day|week|month|quarter|year)s?"
)


def days_per_alarm(words: str) -> float:
    """Return the days between two false alarms; ValueError if the text cannot be parsed."""
    read = BUDGET_IN_WORDS.fullmatch(words.strip().lower())
    if read is None or not float(read["alarms"]) or not float(read["periods"] or 1):
        raise ValueError(f'must read like "1 per 90 days" or "2 per year", not {words!r}')
    return DAYS_PER[read["unit"]] * float(read["periods"] or 1) / float(read["alarms"])


def _plain_label(label: Any) -> Any:
    """Return a label; ValueError if no cell can ever equal it."""
    if isinstance(label, bool):
        raise ValueError(f'must be a number or a text, such as 1 or "{str(label).lower()}"')
    if isinstance(label, float) and not math.isfinite(label):
        raise ValueError("must be a finite number or a text")
    if isinstance(label, str) and (not label or label != label.strip()):
        raise ValueError("must not be empty, or begin or end with a blank: cells are stripped")
    return label


Label = Annotated[int | float | str, BeforeValidator(_plain_label)]


def _as_cell(label: Any) -> float | str:
    """Return a label as a cell is compared with it: 1, "1" and "1.0" are the same."""
    try:
        return float(label)
    except ValueError:
        return str(label)


class Section(BaseModel):
    """A group of settings; an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ingestion(Section):
    """When a file counts as complete, its maximum size, and how cells and decimals are written."""

    settle_seconds: float = Field(2.0, ge=0, le=3600)
    max_file_bytes: int = Field(2_000_000_000, gt=0)
    max_line_characters: int = Field(1_000_000, gt=0)
    separator: Literal[",", ";", "\t", "|"] = ","
    decimal: Literal[".", ","] = "."

    @property
    def plain(self) -> Self:
        """The same for text this program wrote: commas between cells, points in numbers."""
        return self.model_copy(update={"separator": ",", "decimal": "."})


class Source(Section):
    """A table or query whose rows beyond the high-water mark are ingested like those of files.

    `url_env` names the environment variable with the database URL; the default is the ledger's
    database. `overlap` is how far behind the mark to read again, in seconds or units;
    `seconds_ahead` how far in the future a time may lie before its row is quarantined.
    """

    url_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    table: str | None = Field(None, pattern=r"^[^.]+(\.[^.]+)?$")
    query: str | None = Field(None, pattern=r"(?i)^\s*(select|with)\b")
    high_water_mark: str = Field(min_length=1)
    overlap: float = Field(0, ge=0)
    seconds_ahead: float = Field(3600, ge=0)
    max_rows: int = Field(1_000_000, ge=1)
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

    keep_runs: int | None = Field(5000, ge=1)
    keep_quarantine: int | None = Field(None, ge=0)
    keep_releases: int | None = Field(None, ge=3)

    @property
    def everything(self) -> bool:
        """Whether everything is kept."""
        return all(number is None for _, number in self)


class Messages(Section):
    """Delivery of notifications; their targets are set in the environment."""

    timeout_seconds: float = Field(10, gt=0)
    max_attempts: int = Field(432, ge=1)


class Columns(Section):
    """The columns of a drop; any table with a binary target can be described."""

    identifier: ColumnName
    target: ColumnName
    positive_label: Label
    negative_label: Label
    numeric: tuple[ColumnName, ...] = ()
    categorical: tuple[ColumnName, ...] = ()
    event_time: ColumnName | None = None
    other: tuple[ColumnName, ...] = ()
    allowed_ranges: dict[str, tuple[float | None, float | None]] = {}
    allowed_values: dict[str, tuple[str, ...]] = {}
    missing_markers: tuple[str, ...] = ("NA", "N/A", "NaN", "nan", "null", "NULL")

    @property
    def features(self) -> list[str]:
        """The columns used by the model, numeric columns first."""
        return [*self.numeric, *self.categorical]

    @property
    def classes(self) -> tuple[str, str]:
        """The negative and the positive class as text, such as `exited = 1`."""
        return f"{self.target} = {self.negative_label}", f"{self.target} = {self.positive_label}"

    @property
    def required(self) -> list[str]:
        """The columns every drop must have; labels may arrive late."""
        event_time = [self.event_time] if self.event_time else []
        return [self.identifier, *event_time, *self.features, *self.other]

    def of_labels(self, header: Container[str]) -> Self:
        """Return the columns of a drop that contains only late labels; its times are optional."""
        update: dict[str, Any] = {"numeric": (), "categorical": (), "other": ()}
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
        if not self.features:
            raise ValueError("at least one numeric or categorical feature must be declared")
        if _as_cell(self.positive_label) == _as_cell(self.negative_label):
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
    false_positive: float = 1.0
    false_negative: float = 5.0
    true_positive: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Return the costs in the order of `risk.stats.threshold`."""
        return self.true_positive, self.false_positive, self.false_negative, self.true_negative


class Training(Section):
    """The model to fit, and how its decision threshold is chosen."""

    estimator: Literal[
        "LogisticRegression",
        "DecisionTreeClassifier",
        "RandomForestClassifier",
        "ExtraTreesClassifier",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "GaussianNB",
    ] = "LogisticRegression"
    parameters: dict[str, Any] = {}
    choose_threshold_by: Literal["f1", "cost", "fixed"] = "f1"
    fixed_threshold: Fraction = 0.5
    cost: CostMatrix = CostMatrix()
    minimum_rows: int = Field(20, ge=4)
    minimum_held_out_per_class: int = Field(10, ge=1)


class Scoring(Section):
    """The confidence level of all reported intervals."""

    confidence: Fraction = 0.95


class Checks(Section):
    """What is monitored besides the features, the label and the predictions."""

    metric: Metric = "f1"
    reconstruction: bool = False
    domain_classifier: bool = False


class Alarms(Section):
    """How many false alarms are acceptable, and how small a change is tolerated.

    `tolerance` and `effect_of_interest` are shifts in reference standard deviations.
    """

    false_alarm_budget: str = "1 per 90 days"
    tolerance: float = Field(0.05, ge=0, le=1)
    effect_of_interest: float = Field(0.25, gt=0)
    usual_minutes_between_drops: float = Field(1440, gt=0)
    days_until_resolved: float = Field(7, gt=0)

    @property
    def days_per_false_alarm(self) -> float:
        """The budget as a number: days between two false alarms, over all checks together."""
        return days_per_alarm(self.false_alarm_budget)

    @field_validator("false_alarm_budget")
    @classmethod
    def _must_be_in_plain_words(cls, words: str) -> str:
        days_per_alarm(words)
        return words


class Policy(Section):
    """What triggers retraining, how often, and how long a release is on probation.

    `refresh_growth` is the growth in labelled rows that trains a challenger without an incident;
    null never does.
    """

    retrain_on: tuple[Literal["data_drift", "model_drift"], ...] = ("data_drift", "model_drift")
    cool_down_growth: float = Field(0.05, ge=0)
    refresh_growth: float | None = Field(0.5, gt=0)
    ask_first_batches: int = Field(3, ge=0)
    watch_days: float = Field(14, ge=0)


class Gate(Section):
    """When a challenger may replace the champion."""

    alpha: Fraction = 0.05
    margin: float = Field(0.01, ge=0, le=0.2)
    when_unsure: Literal["deploy_if_drifted", "keep", "ask"] = "deploy_if_drifted"


class Api(Section):
    """Address and request limits of the API, and whether reading on loopback requires a key.

    `read_without_key` applies on loopback only. `trusted_hosts` are additional allowed host names.
    `trusted_proxies` are addresses of proxies whose X-Forwarded-For names the client; requests
    that another proxy forwarded require a key.
    """

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=1, le=65535)
    read_without_key: bool = True
    trusted_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    max_body_bytes: int = Field(64_000_000, gt=0)
    max_rows: int = Field(100_000, gt=0)
    max_seconds: float = Field(30, gt=0)

    @property
    def is_on_loopback(self) -> bool:
        """Whether the API is reachable from this machine only."""
        return self.host in LOOPBACK


class Config(Section):
    """All settings in force, and the folder to which paths are relative."""

    root: Path = Field(exclude=True)
    file_name: str = Field("config.json", exclude=True)
    input_folder_path: Path
    output_folder_path: Path
    test_data_path: Path
    test_data_filename: FileName
    output_model_path: Path
    prod_deployment_path: Path
    quarantine_folder_path: Path = Path("data/quarantine")
    compiled_data_filename: FileName = "final_data.csv"
    compilation_record_filename: FileName = "ingested_files.csv"
    score_filename: FileName = "latest_score.csv"
    model_filename: FileName = "trained_model.pkl"
    plot_filename: FileName = "confusion_matrix.png"
    report_filename: FileName = "report.pdf"
    report_folder_path: Path = Path("reports")
    report_formats: tuple[ReportFormat, ...] = ("pdf",)
    api_call_filename: FileName = "api_returns.txt"
    database_url: str = "sqlite:///db/monitoring.sqlite"
    signing_key_path: Path = Path(".secrets/signing_key")
    api_keys_path: Path = Path(".secrets/api_keys.json")
    store_dataset_in_sql: bool = False
    lock_path: Path = Path("db/run.lock")
    lease_seconds: float = Field(120, ge=1, le=86_400)
    log_format: Literal["text", "json"] = "text"
    random_seed: int = Field(0, ge=0, lt=2**32)
    test_size: Fraction = 0.2
    columns: Columns
    ingestion: Ingestion = Ingestion()
    sources: dict[SourceName, Source] = {}
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
    flask_secret_key: SecretStr | None = None
    api_key: SecretStr | None = None
    notify_urls: SecretStr | None = None
    webhook_url: SecretStr | None = None
    webhook_secret: SecretStr | None = Field(None, min_length=32)

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
    def _a_webhook_is_signed(self) -> Self:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("webhook_url requires webhook_secret; set RISK_WEBHOOK_SECRET")
        return self

    @field_serializer("database_url")
    def _mask_password(self, url: str) -> str:
        return masked(url)


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever characters its path contains."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def masked(url: str) -> str:
    """Mask the password in a URL, wherever it is."""
    hidden = re.sub(r"(://[^:/@]*:).+@", r"\1***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:password|passwd|secret|key)=)[^&]*", r"\1***", hidden)
