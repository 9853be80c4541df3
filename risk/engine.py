"""Where work runs that falls into independent parts: here, in processes, or on a Dask cluster.

    local       one part after the other, in this process
    processes   in processes of this machine
    dask        in the workers of the scheduler at `engine_address`

The parts are the same on every engine, and so is their order. Each is computed by the same code on
one thread, so that results are equal to the last bit, however many workers there are. What a part
computes has no side effect: it may be computed twice, and only this process writes.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import cache, cached_property, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from threadpoolctl import ThreadpoolController, threadpool_limits  # type: ignore[import-untyped]

from risk.config import Config
from risk.errors import ConfigError, EngineError

Names: TypeAlias = tuple[str, ...]
Item = TypeVar("Item")
Value = TypeVar("Value")
Task = tuple[str, bytes, bytes, Names]
Tasks: TypeAlias = "deque[tuple[Task, Any]]"  # each with its future
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn")
TASKS_PER_WORKER = 2  # so that none waits for its next one; the memory of all others is not needed
MAX_DEATHS = 3
KILLED = (
    f"worker processes ended {MAX_DEATHS} times without a result; is there enough memory? "
    "With engine set to local there is only this process"
)
IDLE_SECONDS = 60  # after which a worker process ends, also if this one was killed
CONNECT_SECONDS = 10
UNKNOWN_TO_SCHEDULER = "deserialization of the task graph"  # in what Dask says of it
LARGE_TASK = "100MB"  # below that, Dask need not advise against it


def one_thread() -> AbstractContextManager[Any]:
    """Limit the libraries that are loaded by now to one thread each."""
    limited: AbstractContextManager[Any] = threadpool_limits(1)
    return limited


class Engine(Protocol):
    """Computes the parts of a piece of work."""

    def map(self, function: Callable[[Item], Value], items: Iterable[Item], /) -> Iterator[Value]:
        """Yield what the function returns for each item, in order; its errors are raised here."""


class Local:
    """Computes one part after the other, in this process."""

    def map(self, function: Callable[[Item], Value], items: Iterable[Item], /) -> Iterator[Value]:
        """Yield what the function returns for each item."""
        threads = ThreadpoolController()  # of the libraries that are loaded by now
        for item in items:
            with threads.limit(limits=1):
                value = function(item)
            yield value


LOCAL = Local()


class _Remote:
    """Sends each part to a worker, a few ahead of the one that is needed next.

    A single part, such as a small drop, is computed here: no worker has to be there for it.
    Workers need the same `packages` of estimators as this process.
    """

    packages: Names = ()

    def map(self, function: Callable[[Item], Value], items: Iterable[Item], /) -> Iterator[Value]:
        """Yield what the function returns for each item."""
        rest = iter(items)
        first = [*islice(rest, 2)]
        if len(first) < 2:
            yield from LOCAL.map(function, first)
        else:
            yield from self._spread(function, chain(first, rest))

    def _spread(self, function: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[Value]:
        content = pickle.dumps(function, protocol=5)
        ahead = TASKS_PER_WORKER * self._count()
        tasks: Tasks = deque()
        try:
            for item in items:
                task = (
                    fingerprint(self.packages),
                    content,
                    pickle.dumps(item, protocol=5),
                    self.packages,
                )
                tasks.append((task, self._submit(task)))
                if len(tasks) >= ahead:
                    yield self._result(tasks)
            while tasks:
                yield self._result(tasks)
        finally:
            for _, future in tasks:
                future.cancel()

    def _submit(self, task: Task) -> Any:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _result(self, tasks: Tasks) -> Any:
        """Wait for the first of the tasks, and take it out of them."""
        value = tasks[0][1].result()
        tasks.popleft()
        return value


class Processes(_Remote):
    """Computes parts in processes of this machine, by default one for each core."""

    def __init__(self, workers: int | None = None) -> None:
        import joblib

        self.workers = workers or joblib.cpu_count()

    def _submit(self, task: Task) -> Any:
        from concurrent.futures.process import BrokenProcessPool

        # of joblib, not of Python: forks would hang in OpenMP, and orphans would not end
        from joblib.externals.loky import get_reusable_executor

        for _ in range(MAX_DEATHS):
            pool = get_reusable_executor(self.workers, timeout=IDLE_SECONDS, reuse=True)
            with suppress(BrokenProcessPool):  # if a process was killed since the line above
                return pool.submit(compute, *task)
        raise EngineError(KILLED)

    def _count(self) -> int:
        return self.workers

    def _result(self, tasks: Tasks) -> Any:
        from concurrent.futures.process import BrokenProcessPool

        for deaths in range(MAX_DEATHS):
            if deaths:  # one of them was killed, and took the others along
                again = [(task, self._submit(task)) for task, _ in tasks]
                tasks.clear()
                tasks.extend(again)
            with suppress(BrokenProcessPool):
                return super()._result(tasks)
        raise EngineError(KILLED)


class Dask(_Remote):
    """Computes parts in the workers of a Dask scheduler, which replaces those that are lost."""

    def __init__(self, address: str, packages: Names = ()) -> None:
        self.address = address
        self.packages = packages

    @cached_property
    def client(self) -> Any:
        """The connection to the scheduler, made when it is first needed."""
        import distributed

        logging.getLogger("distributed").setLevel(logging.ERROR)  # it goes on without some
        try:
            client = distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, RuntimeError, TypeError, ValueError) as error:  # TypeError: no TLS
            raise EngineError(f"no Dask workers at {self.address}: {error}") from None
        return client

    def _spread(self, function: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[Value]:
        if find_spec("distributed") is None:
            raise ConfigError("engine is dask; run: pip install dask distributed")
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            yield from super()._spread(function, items)
        except (CancelledError, CommClosedError, KilledWorker) as error:
            raise EngineError(
                f"the Dask cluster at {self.address} was lost during the work; nothing of it was "
                f"recorded, and the next run does it again ({type(error).__name__})"
            ) from None
        except RuntimeError as error:
            if UNKNOWN_TO_SCHEDULER not in str(error):
                raise
            raise EngineError(
                f"the Dask scheduler at {self.address} does not know this project: start it, as "
                "the workers, with PYTHONPATH set to the folder of the project"
            ) from None

    def _submit(self, task: Task) -> Any:
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE_TASK}):
            return self.client.submit(compute, *task, pure=False)

    def _count(self) -> int:
        threads: list[int] = [*self.client.nthreads().values()]
        return max(sum(threads), 1)


def of(config: Config) -> Engine:
    """Return the engine of the settings."""
    if config.engine == "processes":
        return Processes(config.engine_workers)
    if config.engine == "dask":
        return _connected(config.engine_address or "", config.training.estimator_packages)
    return LOCAL


@cache
def _connected(address: str, packages: Names) -> Engine:
    return Dask(address, packages)


def compute(expected: str, function: bytes, item: bytes, packages: Names = ()) -> Any:
    """Compute one part in a worker, on one thread."""
    if fingerprint(packages) != expected:
        raise EngineError(
            f"the worker on {platform.node()} has another version of this project, of Python or of "
            f"{', '.join((*PACKAGES, *packages))}, so its results could differ: install the same "
            "there"
        )
    called = _loaded(function)
    threadpool_limits(1)  # for good: threads of one worker would undo it for each other
    return called(pickle.loads(item))


@lru_cache(maxsize=2)
def _loaded(function: bytes) -> Any:
    return pickle.loads(function)


@cache
def fingerprint(packages: Names = ()) -> str:
    """Return a digest of everything that a result depends on: this project, Python, packages."""
    known = hashlib.sha256(platform.python_version().encode())
    for package in PACKAGES:
        known.update(f"{package} {version(package)}\n".encode())
    for package in ("risk", *packages):
        known.update(f"{package}\n".encode())
        for name, path in _sources(package):
            known.update(f"{name}\n".encode() + path.read_bytes())
    return known.hexdigest()


def _sources(package: str) -> Iterator[tuple[Path, Path]]:
    """Yield the files of Python of a package or module, each after its name within it, in order.

    There are none if it is not installed.
    """
    found = find_spec(package)
    folders = (found and found.submodule_search_locations) or []
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder), path
    if found and found.origin and not folders:
        yield Path(Path(found.origin).name), Path(found.origin)
