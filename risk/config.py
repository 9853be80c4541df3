"""Every setting, read once and checked whole.

Order of precedence: command line > environment (`RISK_`, nested `__`) > config.json > default.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from risk.errors import ConfigError

FileName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Label = int | float | str
SECRETS = {"signing_key", "flask_secret_key"}
Metric = Literal[
    "f1", "precision", "recall", "accuracy", "roc_auc", "average_precision", "brier", "log_loss"
]


class Section(BaseModel):
    """A group of settings; an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(Section):
    """What the columns of a drop mean; any table with a binary target can be described."""

    identifier: str
    target: str
    positive_label: Label
    negative_label: Label
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    event_time: str | None = None
    other: tuple[str, ...] = ()
    allowed_ranges: dict[str, tuple[float | None, float | None]] = {}
    allowed_values: dict[str, tuple[str, ...]] = {}
    missing_markers: tuple[str, ...] = ("NA", "N/A", "NaN", "nan", "null", "NULL")

    @property
    def features(self) -> list[str]:
        """The columns a model sees, numeric ones first."""
        return [*self.numeric, *self.categorical]

    @property
    def required(self) -> list[str]:
        """The columns every drop must have; its labels may come later."""
        event_time = [self.event_time] if self.event_time else []
        return [self.identifier, *event_time, *self.features, *self.other]

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
        if self.positive_label == self.negative_label:
            raise ValueError("positive_label and negative_label must differ")
        if odd := sorted(set(self.allowed_ranges) - set(self.numeric)):
            raise ValueError(f"allowed_ranges names columns that are not numeric features: {odd}")
        if odd := sorted(set(self.allowed_values) - set(self.categorical)):
            raise ValueError(f"allowed_values names columns that are not categorical: {odd}")
        return self


class Ingestion(Section):
    """When a file counts as complete, and how large it may be."""

    settle_seconds: float = Field(2.0, ge=0, le=3600)
    max_file_bytes: int = Field(2_000_000_000, gt=0)
    max_line_characters: int = Field(1_000_000, gt=0)


class CostMatrix(Section):
    """What each of the four outcomes of a prediction costs, in any one currency."""

    true_negative: float = 0.0
    false_positive: float = 1.0
    false_negative: float = 5.0
    true_positive: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Return the costs in the order of `risk.stats.threshold`."""
        return self.true_positive, self.false_positive, self.false_negative, self.true_negative


class Training(Section):
    """Which model is fitted, and how its decision threshold is chosen."""

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
    """The confidence of every interval that is reported."""

    confidence: Fraction = 0.95


class Checks(Section):
    """What counts as drift."""

    metric: Metric = "f1"
    psi_threshold: float = Field(0.1, gt=0)
    alpha: Fraction = 0.001


class Policy(Section):
    """Which findings lead to a retrained challenger."""

    retrain_on: tuple[Literal["data_drift", "model_drift"], ...] = ("data_drift", "model_drift")


class Gate(Section):
    """When a challenger may replace the champion."""

    alpha: Fraction = 0.05
    when_unsure: Literal["deploy_if_drifted", "keep", "ask"] = "deploy_if_drifted"


class Api(Section):
    """Where the API listens: on this machine only, as long as it knows no keys."""

    host: Literal["127.0.0.1", "::1", "localhost"] = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)


class Config(Section):
    """All settings in force, and the folder their relative paths start at."""

    root: Path = Field(exclude=True)
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
    api_call_filename: FileName = "api_returns.txt"
    database_url: str = "sqlite:///db/monitoring.sqlite"
    signing_key_path: Path = Path(".secrets/signing_key")
    lock_path: Path = Path("db/run.lock")
    log_format: Literal["text", "json"] = "text"
    random_seed: int = Field(0, ge=0, lt=2**32)
    test_size: Fraction = 0.2
    columns: Columns
    ingestion: Ingestion = Ingestion()
    training: Training = Training()
    scoring: Scoring = Scoring()
    checks: Checks = Checks()
    policy: Policy = Policy()
    gate: Gate = Gate()
    api: Api = Api()
    signing_key: SecretStr | None = Field(None, min_length=32)
    flask_secret_key: SecretStr | None = None

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        command_line: Iterable[str] = (),
    ) -> Self:
        """Read and check `path` under both layers of overrides, naming every problem at once."""
        settings = _read(path)
        if secrets := sorted(SECRETS & settings.keys()):
            variables = " and ".join(f"RISK_{name.upper()}" for name in secrets)
            raise ConfigError(f"{path}: secrets never live in this file; set {variables} instead")
        for keys, value in _overrides(environment or {}, command_line):
            _put(settings, keys, value)
        try:
            return cls.model_validate({**settings, "root": path.resolve().parent})
        except ValidationError as error:
            raise ConfigError(_describe(path, error)) from None

    @property
    def input_folder(self) -> Path:
        """Where others put their drops."""
        return self.root / self.input_folder_path

    @property
    def ingested_folder(self) -> Path:
        """Where accepted rows are kept."""
        return self.root / self.output_folder_path

    @property
    def quarantine_folder(self) -> Path:
        """Where refused rows and files are kept."""
        return self.root / self.quarantine_folder_path

    @property
    def test_data(self) -> Path:
        """The labelled rows no model is ever trained on."""
        return self.root / self.test_data_path / self.test_data_filename

    @property
    def model_folder(self) -> Path:
        """Where the challenger and the outputs of the stages are kept."""
        return self.root / self.output_model_path

    @property
    def deployment_folder(self) -> Path:
        """Where the releases are kept."""
        return self.root / self.prod_deployment_path

    def name_of(self, path: Path) -> str:
        """Write `path` as users do: relative to config.json where it lies below it, printable."""
        inside = path.is_relative_to(self.root)
        text = os.fsencode(path.relative_to(self.root) if inside else path)
        return "".join(
            character if character.isprintable() else repr(character)[1:-1]
            for character in text.decode("utf-8", "backslashreplace")
        )

    @property
    def sqlalchemy_url(self) -> str:
        """The database, a relative SQLite path being relative to config.json."""
        scheme, relative = "sqlite:///", re.fullmatch(r"sqlite:///(?!/)(.+)", self.database_url)
        return f"{scheme}{self.root / relative[1]}" if relative else self.database_url

    @field_serializer("database_url")
    def _mask_password(self, url: str) -> str:
        return re.sub(r"(://[^:/@]*:)[^@]+@", r"\1***@", url)


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path.absolute()}; name one by --config") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: must hold one JSON object, got {type(settings).__name__}")
    return settings


def _overrides(
    environment: Mapping[str, str], command_line: Iterable[str]
) -> Iterable[tuple[list[str], Any]]:
    """Yield what overrides the file, weakest first, each as a path of keys and a value."""
    if "DATABASE_URL" in environment:
        yield ["database_url"], environment["DATABASE_URL"]
    for name in sorted(environment):
        if name.startswith("RISK_") and name != "RISK_CONFIG":
            yield name.removeprefix("RISK_").lower().split("__"), _decode(environment[name])
    for assignment in command_line:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set takes KEY=VALUE, such as random_seed=1, got {assignment!r}")
        yield name.split("."), _decode(value)


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _put(settings: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"{'.'.join(keys)}: {key} is a single setting, not a section")
    settings[keys[-1]] = value


def _describe(path: Path, error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"])) or "settings"
        match problem["type"]:
            case "missing":
                problems.append(f"{key}: missing")
            case "extra_forbidden":
                problems.append(f"{key}: unknown setting")
            case _:
                hidden = key in SECRETS or isinstance(problem["input"], dict)
                got = "" if hidden else f", got {problem['input']!r}"
                problems.append(f"{key}: {problem['msg']}{got}")
    return "\n  ".join([f"{path}: {len(problems)} settings cannot be used", *problems])
