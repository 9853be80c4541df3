"""The settings of the machinery around the model: intake, keeping, messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Section(BaseModel):
    """A group of settings; an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ingestion(Section):
    """When a file counts as complete, and how large it may be."""

    settle_seconds: float = Field(2.0, ge=0, le=3600)
    max_file_bytes: int = Field(2_000_000_000, gt=0)
    max_line_characters: int = Field(1_000_000, gt=0)


class Source(Section):
    """A table or query whose rows are taken like those of files: those beyond the mark.

    `url_env` names the environment variable with the address of its database; without, it is that
    of the ledger. `overlap` is how far behind the mark is read again, in seconds or units.
    """

    url_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    table: str | None = Field(None, pattern=r"^[^.]+(\.[^.]+)?$")
    query: str | None = Field(None, pattern=r"(?i)^\s*(select|with)\b")
    high_water_mark: str = Field(min_length=1)
    overlap: float = Field(0, ge=0)
    max_rows: int = Field(1_000_000, ge=1)
    _url: SecretStr | None = PrivateAttr(None)

    @property
    def url(self) -> SecretStr | None:
        """The address found in the environment when the settings were read."""
        return self._url

    def model_post_init(self, environment: Mapping[str, str] | None) -> None:
        """Look up the address, which is never part of the settings."""
        if url := (environment or {}).get(self.url_env or ""):
            self._url = SecretStr(url)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a source is either a table or a query")
        return self


class Keeping(Section):
    """How much of the past is kept by every run; null keeps all of it.

    Counted are runs that decided something, drops that were refused or in part, and releases.
    """

    keep_runs: int | None = Field(None, ge=1)
    keep_quarantine: int | None = Field(None, ge=0)
    keep_releases: int | None = Field(None, ge=3)

    @property
    def everything(self) -> bool:
        """Whether nothing is ever let go."""
        return self == Keeping()


class Messages(Section):
    """How people and machines are told; where to is in the environment."""

    timeout_seconds: float = Field(10, gt=0)
    most_attempts: int = Field(432, ge=1)
