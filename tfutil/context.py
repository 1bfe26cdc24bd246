"""Values that hold in a block: while a step is traced, what is in force depends on where it is."""
import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar('T')


@contextlib.contextmanager
def holding(variable: contextvars.ContextVar[Any], value: T) -> Iterator[T]:
    """Give a context variable a value in the block; yields the value.

    Args:
        variable: a ContextVar of the value's type or a wider one.
        value: any.
    """
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
