"""All errors, with the exit code and the HTTP status of each.

* RiskError             1  500  base class; a bug if raised directly
  - UsageError         64  400  the command or the request cannot be understood
  - UnknownName        64  404  the named object does not exist
  - WatchedOnly        64  409  that needs a model, and the predictions are made elsewhere
  - NotPending         64  409  the question was answered already, or is no longer asked
  - DataError          65  422  the data cannot be used for this request
  - LedgerError        69  503  the database is unavailable or has another schema version
  - NoLedger           69  503  there is no ledger yet
  - SourceError        69  503  an SQL source cannot be read
  - ApiError           69  503  the API is unavailable or returns an error
  - EngineError        69  503  the workers that compute are unavailable
  - StorageError       74  507  a file cannot be read or written
  - BusyError          75  503  another run is in progress
  - ModelError         76  503  there is no trusted model
  - ConfigError        78  500  config.json, the environment or an option is invalid
"""


class RiskError(Exception):
    """Base class of all errors a user can act on."""

    exit_code = 1
    http_status = 500


class UsageError(RiskError):
    """The command line or the request cannot be understood."""

    exit_code = 64
    http_status = 400


class UnknownName(UsageError):
    """A request or command names a data set, release or drop that does not exist."""

    http_status = 404


class WatchedOnly(UsageError):
    """The request needs a model, but only predictions that are made elsewhere are watched."""

    http_status = 409

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: model.source is predictions, so the model is elsewhere")


class NotPending(UsageError):
    """A case that was answered already, or closed because its cause is gone."""

    http_status = 409


class Passed(UsageError):
    """A moment that must be in the future, and is not."""

    http_status = 409


class DataError(RiskError):
    """There are no rows, only rows of one class, or the data violates the schema."""

    exit_code = 65
    http_status = 422


class LedgerError(RiskError):
    """The database is unavailable, or its schema has another version."""

    exit_code = 69
    http_status = 503


class NoLedger(LedgerError):
    """There is no ledger yet: the first run creates it."""


class SourceError(RiskError):
    """An SQL source or the object store is unavailable, or a configured query fails."""

    exit_code = 69
    http_status = 503


class ApiError(RiskError):
    """The API is unavailable, or an endpoint returns an error."""

    exit_code = 69
    http_status = 503


class EngineError(RiskError):
    """The workers that compute are unavailable, were lost, or have another version."""

    exit_code = 69
    http_status = 503


class StorageError(RiskError):
    """The operating system refused to read or write a file."""

    exit_code = 74
    http_status = 507


class BusyError(RiskError):
    """Another run holds the lock, or a file is being written; nothing was done, retry later."""

    exit_code = 75
    http_status = 503


class ModelError(RiskError):
    """There is no model, or it fails verification."""

    exit_code = 76
    http_status = 503


class ConfigError(RiskError):
    """A setting is missing, unknown, of the wrong type or out of range."""

    exit_code = 78
