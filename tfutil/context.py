"""Values that hold in a block: while a step is traced, what is in force depends on where it is."""
import contextlib


@contextlib.contextmanager
def holding(variable, value):
    """Let a `contextvars.ContextVar` have a value in the block; yields the value."""
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
