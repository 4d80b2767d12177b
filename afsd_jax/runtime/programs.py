"""Compiled programs that a later process loads whole, without tracing their functions again.

JAX's own cache saves a process from compiling, but to find a program there JAX must first trace and
lower its function in Python, which takes seconds. Here a program also has a key that is known
before: a digest of everything that determines it (see `_environment` and `Program`).

A new version of the package changes all keys. So each program has a second key, the digest of its
lowered form; if that is known, the program is not compiled again.

This is only done on CPUs, in a single process with one device.
"""

import contextlib
import functools
import glob
import hashlib
import importlib.metadata
import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from afsd_jax.runtime.compilation import compiled
from afsd_jax.runtime.trusted_folder import TrustedFolder

_PACKAGE = Path(__file__).parents[1]
_VERSIONED = ("flax", "jax", "jaxlib", "ml-dtypes", "numpy", "optax")
_VARIABLES = ("XLA_", "TF_", "TRITON_")  # what the names of environment variables begin with
_LOGS = ("TF_CPP_", "jax_debug_log", "jax_log", "jax_traceback")  # settings of messages alone
# What describes the processor in /proc/cpuinfo, on x86 and ARM.
_FIELDS = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
_MOST_BYTES = 2**30

_folder: TrustedFolder | None = None


def store_in(path: Path | None) -> None:
    """Stores the programs of this process in a folder; None: nowhere, which is the default."""
    global _folder
    _folder = TrustedFolder(path, _MOST_BYTES) if path and hasattr(os, "geteuid") else None


class Program:
    """A function that is compiled for each shape of its arguments, or loaded for it.

    Attributes:
      executables: what was compiled or loaded, by the description of the arguments.
    """

    def __init__(
        self, function: Callable[..., Any], values: Callable[[], str] | None, **options: Any
    ):
        """Compiles nothing yet.

        Args:
          function: function of arrays; positional arguments only.
          values: returns a text of all values that the function depends on besides its arguments
            and the package's code: with one text it must compute the same. None: it is not stored.
          **options: options of `jax.jit`.
        """
        self._function, self._values, self._options = function, values, options
        self._latest: Any = None
        self.executables: dict[Any, Any] = {}

    def __call__(self, *args: Any) -> Any:
        if self._latest is not None:
            try:
                return self._latest(*args)
            except (TypeError, ValueError):  # it is for other shapes or places
                pass
        return self.prepare(*args)(*args)

    def prepare(self, *args: Any) -> Any:
        """Loads or compiles the program for arguments such as these, and returns it.

        Args:
          *args: arrays, or `jax.ShapeDtypeStruct`s of them.
        """
        description = _described(args)
        if description not in self.executables:
            self.executables[description] = self._load_or_compile(args, description)
        self._latest = self.executables[description]
        return self._latest

    def _load_or_compile(self, args: tuple[Any, ...], description: Any) -> Any:
        if self._values is None or _folder is None or not _alone():
            return self._lowered(args).compile()
        places = _names((self._options, [leaf[-1] for leaf in description[0]]))
        arguments = [leaf[:-1] for leaf in description[0]], str(description[1])
        function = self._function.__module__, self._function.__qualname__, self._values()
        key = _digest(_sources(), _environment(), function, arguments, places)
        program = _loaded(_folder.read(key))
        if program is not None:
            return program
        lowered = self._lowered(args)
        # The lowered form lacks arguments that the function does not use; the program has them.
        content = _digest(_environment(), arguments, places, lowered.as_text())
        program = _loaded(_folder.read(content))
        if program is None:
            with _cache_of_jax.off():
                program = lowered.compile()
            serialized = _serialized(program)
            if serialized is None:
                return program
            _folder.write(content, serialized)
        _folder.link(content, key)
        return program

    def _lowered(self, args: tuple[Any, ...]) -> Any:
        # As a function of its own, for which JAX finds no executable that this process has already
        # read from JAX's cache: XLA would serialize that one without its code.
        @functools.wraps(self._function)
        def function(*args: Any) -> Any:
            return self._function(*args)

        return compiled(function, **self._options).lower(*args)


def _alone() -> bool:
    return jax.default_backend() == "cpu" and jax.device_count() == 1


def _described(args: tuple[Any, ...]) -> Any:
    """Returns the properties of the arguments that the compiler uses, as a hashable value.

    That is (shape, dtype, whether it is weakly typed, sharding) of each array, and their tree.
    """
    leaves, tree = jax.tree.flatten(args)

    def leaf(x: Any) -> Any:
        placed = getattr(x, "committed", True)
        sharding = getattr(x, "sharding", None) if placed else None
        return x.shape, str(x.dtype), bool(getattr(x, "weak_type", False)), sharding

    return tuple(map(leaf, leaves)), tree


def _names(tree: Any) -> tuple[list[str], str]:
    """Returns a tree of options and shardings as texts."""
    leaves, structure = jax.tree.flatten(tree)
    return list(map(_name, leaves)), str(structure)


@functools.lru_cache(maxsize=1024)
def _name(value: Any) -> str:
    return repr(value)


@functools.cache
def _sources() -> str:
    """Returns a digest of the package's code."""
    digest = hashlib.sha256()
    # In a checkout some sub-packages are links, which `glob` follows and `rglob` does not.
    for name in sorted(glob.glob("**/*.py", root_dir=_PACKAGE, recursive=True)):
        content = hashlib.sha256((_PACKAGE / name).read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


@functools.cache
def _environment() -> str:
    """Returns a digest of all else that determines a program: libraries, settings and processor."""
    settings = {name: x for name, x in jax.config.values.items() if "cache" not in name}
    variables = {name: x for name, x in os.environ.items() if name.startswith(_VARIABLES)}
    settings, variables = (
        {name: x for name, x in values.items() if not name.startswith(_LOGS)}
        for values in (settings, variables)
    )
    versions = [(name, importlib.metadata.version(name)) for name in _VERSIONED]
    machine = platform.machine(), platform.python_version(), *_processor()
    devices = [(str(device), device.device_kind) for device in jax.devices()]
    client = jax.devices()[0].client.platform_version
    parts = sorted(settings.items()), sorted(variables.items()), versions, machine, devices, client
    return _digest(*parts)


def _processor() -> tuple[Any, ...]:
    """Returns the processor's kind, its features and how many of its cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor(), platform.node(), cores  # a program may serve only one machine
    first, _, _ = cpuinfo.read_text(errors="replace").partition("\n\n")
    return *(line for line in first.splitlines() if line.startswith(_FIELDS)), cores


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _serialized(program: Any) -> bytes | None:
    """Returns a compiled program as bytes, or None if this JAX cannot serialize it."""
    from jax.experimental import serialize_executable

    try:
        return pickle.dumps(serialize_executable.serialize(program))
    except Exception:  # JAX raises many types; the program itself is not affected
        return None


def _loaded(content: bytes | None) -> Any:
    """Returns the program whose bytes `_serialized` returned; None if it cannot be loaded."""
    if content is None:
        return None
    from jax.experimental import serialize_executable

    try:
        return serialize_executable.deserialize_and_load(*pickle.loads(content))
    except Exception:  # of another version, although the key is the same; it is compiled again
        return None


class _CacheOfJax:
    """JAX's cache, which is off while programs are compiled that are to be serialized.

    XLA for CPUs cannot serialize a program again that JAX has read from its cache.
    """

    def __init__(self) -> None:
        self._lock, self._off = threading.Lock(), 0

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Switches it off while the block runs, in all threads."""
        with self._lock:
            if not self._off:
                self._was_on = self._set(False)
            self._off += 1
        try:
            yield
        finally:
            with self._lock:
                self._off -= 1
                if not self._off:
                    self._set(self._was_on)

    def _set(self, on: bool) -> bool:
        from jax.experimental.compilation_cache import compilation_cache

        before: bool = jax.config.values["jax_enable_compilation_cache"]
        jax.config.update("jax_enable_compilation_cache", on)
        compilation_cache.reset_cache()  # JAX reads the setting only once
        return before


_cache_of_jax = _CacheOfJax()
