"""Block-scoped values: settings in effect for the code traced inside a block."""
import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar('T')


@contextlib.contextmanager
def holding(variable: contextvars.ContextVar[Any], value: T) -> Iterator[T]:
    """Set a context variable in the block; yield the value.

    Args:
        variable: a ContextVar of the value's type or a wider one.
        value: any.
    """
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
