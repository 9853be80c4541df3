"""What can go wrong, with the exit code and the HTTP status of each.

* RiskError             1  500  a bug, if it is raised as such
  - UsageError         64  400  the command or the request cannot be understood
  - UnknownName        64  404  it names something that does not exist
  - DataError          65  422  the data cannot be used for what was asked
  - LedgerError        69  503  the database is out of reach or of another version
  - NoLedger           69  503  nothing was ever recorded
  - SourceError        69  503  a source of rows in SQL cannot be read
  - ApiError           69  503  the API does not answer what it should
  - StorageError       74  507  a file cannot be read or written
  - BusyError          75  503  another run is at work
  - ModelError         76  503  there is no model that can be trusted
  - ConfigError        78  500  config.json, the environment or an option is wrong
"""


class RiskError(Exception):
    """Base of every error a user can act on."""

    exit_code = 1
    http_status = 500


class UsageError(RiskError):
    """The command line or the request cannot be understood."""

    exit_code = 64
    http_status = 400


class UnknownName(UsageError):
    """A request or command names a data set, release or drop that does not exist."""

    http_status = 404


class DataError(RiskError):
    """Rows are missing, of one class only, or break the schema as a whole."""

    exit_code = 65
    http_status = 422


class LedgerError(RiskError):
    """The database does not answer, or its schema is not the one this code writes."""

    exit_code = 69
    http_status = 503


class NoLedger(LedgerError):
    """Nothing was ever recorded: no run has made the ledger yet."""


class SourceError(RiskError):
    """A source of rows in SQL is out of reach, or cannot be asked what the settings say."""

    exit_code = 69
    http_status = 503


class ApiError(RiskError):
    """The API is out of reach, or an endpoint answers with an error."""

    exit_code = 69
    http_status = 503


class StorageError(RiskError):
    """The operating system refused to read or write a file."""

    exit_code = 74
    http_status = 507


class BusyError(RiskError):
    """Another run holds the lock, or a file is being written; nothing was done, try later."""

    exit_code = 75
    http_status = 503


class ModelError(RiskError):
    """No model is there, or the one that is there cannot be trusted."""

    exit_code = 76
    http_status = 503


class ConfigError(RiskError):
    """A setting is missing, unknown, of the wrong type or impossible."""

    exit_code = 78
