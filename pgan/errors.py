"""Errors that the user can fix: one paragraph with what was wrong, what came, and what to do.

Entry points print the paragraph and exit with code 1 (`exit_on_user_error`); everything else is a
bug and keeps its traceback.
"""
import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator

_LONGEST = 300  # characters of another library's error that are shown; some hold a whole file


class UserError(Exception):
    """Base of all errors that a user can mend without reading code."""


class ConfigError(UserError, ValueError):
    """A value in config.py, an override file or on the command line cannot be used."""


class DataError(UserError, OSError):
    """A data set, snapshot or result folder is missing, damaged or of the wrong kind."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ''


class UnknownFunctionError(DataError):
    """A network's build function is not known in this process.

    Attributes:
        function: its dotted name.
    """

    def __init__(self, message: str, function: str):
        super().__init__(message)
        self.function = function


def expect(condition: object, where: str, expected: str, received: object) -> None:
    """Raise ConfigError '<where>: expected <expected>. Received: ...' unless a condition holds."""
    if not condition:
        raise ConfigError(f'{where}: expected {expected}. Received: {received!r}.')


def did_you_mean(name: object, candidates: Iterable[object]) -> str:
    """Return ' Did you mean ...?' for a misspelt name, or '' when nothing comes close."""
    close = difflib.get_close_matches(str(name), [str(c) for c in candidates], n=1, cutoff=0.6)
    return f' Did you mean {close[0]!r}?' if close else ''


def in_short(error: object) -> str:
    """A third-party error, or its message, flattened to one line and truncated."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turn a UserError, and a lack of permissions, into one paragraph on stderr and exit code 1."""
    try:
        yield
    except UserError as error:
        _exit_with(error)
    except PermissionError as error:
        _exit_with(f'no permission to use {error.filename!r}: {error.strerror}. Mend its '
                   'permissions, or choose another place.')


def _exit_with(message):
    sys.stdout.flush()
    if sys.stderr is not None:
        print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
