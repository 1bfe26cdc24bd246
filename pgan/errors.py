"""Errors that the user can fix: one paragraph with what is wrong, the value, and what to do.

Entry points print the paragraph and exit with code 1 (`exit_on_user_error`). Any other exception is
a bug and keeps its traceback.
"""
import contextlib
import difflib
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

_LONGEST = 300  # characters shown of a third-party message; some contain a whole file


class UserError(Exception):
    """Base class of errors that a user can fix without reading code."""


class ConfigError(UserError, ValueError):
    """A value in config.py, an override file or on the command line cannot be used."""


class DataError(UserError, OSError):
    """A data set, snapshot or result folder is missing, damaged or of the wrong kind."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ''


class UnknownFunctionError(DataError):
    """The build function of a network is unknown in this process.

    Attributes:
        function: dotted name of the build function.
    """

    def __init__(self, message: str, function: str):
        super().__init__(message)
        self.function = function


def expect(condition: object, where: str, expected: str, received: object,
           hint: str = '') -> None:
    """Raise ConfigError '<where>: expected <expected>. Received: ...<hint>' unless `condition` is
    true.
    """
    if not condition:
        raise ConfigError(f'{where}: expected {expected}. Received: {received!r}.{hint}')


def did_you_mean(name: object, candidates: Iterable[object]) -> str:
    """Return ' Did you mean ...?' for a misspelt name, or '' if no candidate is similar."""
    close = nearest_names(name, candidates, n=1)
    return f' Did you mean {close[0]!r}?' if close else ''


def nearest_names(name: object, candidates: Iterable[object], n: int = 3) -> list[str]:
    """Candidates similar to a misspelt name, most similar first. Case is ignored."""
    names: dict[str, list[str]] = {}
    for candidate in map(str, candidates):
        names.setdefault(candidate.casefold(), []).append(candidate)
    close = difflib.get_close_matches(str(name).casefold(), names, n=n, cutoff=0.6)

    def likeness(candidate):
        return difflib.SequenceMatcher(None, str(name), candidate).ratio(), candidate

    return [each for folded in close for each in sorted(names[folded], key=likeness,
                                                        reverse=True)][:n]


def in_short(error: object) -> str:
    """A third-party error, or its message, flattened to one line and truncated."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'


# ---------------------------------------------------------------- memory

# Messages that mean out of memory in errors of other types: cuDNN's autotuning and workspaces, the
# driver, copies to the device.
_SHORTAGE = ('no algorithm worked', 'failed to allocate', 'out of memory', 'oom when allocating',
             'cudnn_status_alloc_failed', 'dst tensor is not initialized')
# Messages of cuDNN and cuBLAS that cannot start.
_LIBRARY_FAILED = ('dnn library initialization failed', 'dnn library is not found',
                   'no dnn in stream', 'no dnn support', 'blas support', 'cudnn handle',
                   'cublas handle', 'status_not_initialized', 'failed to initialize gpu')
_BYTES = dict(half=2, bfloat16=2, float=4, double=8, uint8=1, int8=1, bool=1, int32=4, int64=8)


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error means that a device or the host is out of memory."""
    if isinstance(error, MemoryError):  # NumPy's as well
        return True
    tf = sys.modules.get('tensorflow')
    if tf is not None and isinstance(error, tf.errors.ResourceExhaustedError):
        return True
    return _has_message(error, _SHORTAGE)


def _has_message(error: BaseException, parts: Sequence[str]) -> bool:
    """Whether an error comes from a TensorFlow operation and its message has one of the parts."""
    tf = sys.modules.get('tensorflow')
    if tf is None or not isinstance(error, tf.errors.OpError):
        return False
    message = str(error.message).lower()
    return any(part in message for part in parts)


def memory_asked_for(error: BaseException) -> str:
    """Description of the failed allocation, e.g. 'an array of shape [64, 3], 768 bytes', or ''."""
    shape = getattr(error, 'shape', None)
    bytes_each = getattr(getattr(error, 'dtype', None), 'itemsize', None)
    found = re.search(r'shape ?\[([\d,]*)\] and type (\w+)', str(error))
    if found:  # TensorFlow's; the others are NumPy's
        shape, bytes_each = re.findall(r'\d+', found[1]), _BYTES.get(found[2])
    if shape is None or not bytes_each:
        return ''
    sizes = [int(size) for size in shape]
    return f'an array of shape {sizes}, {math.prod(sizes) * bytes_each:,} bytes'


def memory_error(error: BaseException, lower: Sequence[str] = ()) -> ConfigError | None:
    """The ConfigError for an out-of-memory error, or None for any other error.

    Args:
        error: the exception raised.
        lower: names of the options that determine memory use.
    """
    if not is_memory_shortage(error):
        return None
    asked = memory_asked_for(error)
    what = f' for {asked}' if asked else ''
    do = f'Lower {" or ".join(lower)}, or close' if lower else 'Close'
    where = 'The GPU' if 'GPU:' in str(error) else 'This machine'
    which = ' (nvidia-smi lists them)' if where == 'The GPU' else ''
    return ConfigError(f'{where} does not have enough memory{what}. {do} other programs that use '
                       f'a lot of it{which}.')


def gpu_library_error(error: BaseException) -> ConfigError | None:
    """The ConfigError for CUDA libraries that do not start, or None for any other error.

    A full GPU is the most common cause; then these libraries fail before any allocation does.
    """
    if not _has_message(error, _LIBRARY_FAILED):
        return None
    reason = in_short(getattr(error, 'message', error)).rstrip('.')
    return ConfigError(
        f'the GPU does not start: {reason}. Usually other programs, such as a training run, hold '
        'its memory; nvidia-smi lists them. Close them, use another GPU (export '
        'CUDA_VISIBLE_DEVICES=1), or no GPU (export CUDA_VISIBLE_DEVICES=-1). Otherwise CUDA and '
        'TensorFlow do not match: see docs/troubleshooting.md, section 1.')


@contextlib.contextmanager
def explaining_memory(lower: Sequence[str]) -> Iterator[None]:
    """Raise `memory_error` or `gpu_library_error` if the block fails for these reasons."""
    try:
        yield
    except Exception as error:
        explained = memory_error(error, lower) or gpu_library_error(error)
        if explained is None:
            raise
        raise explained from error


# ---------------------------------------------------------------- exit

@contextlib.contextmanager
def exit_on_user_error(lower: Sequence[str] = ()) -> Iterator[None]:
    """Report a UserError, PermissionError or out-of-memory error as one paragraph on stderr, then
    exit with code 1.

    Args:
        lower: see `memory_error`.
    """
    try:
        with explaining_memory(lower):
            yield
    except UserError as error:
        _exit_with(error)
    except PermissionError as error:
        _exit_with(f'no permission to use {error.filename!r}: {error.strerror}. Fix its '
                   'permissions or choose another path.')


def _exit_with(message):
    sys.stdout.flush()
    if sys.stderr is not None:
        print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
