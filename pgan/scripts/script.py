"""What makes a function a script: its options are checked, and it finds the configuration."""
import functools
import importlib
from typing import Any, cast

from pgan.options import Checked, checked


def script(function: Checked) -> Checked:
    """Decorator of a script: see `pgan.options.checked`.

    Called from Python without `config`, as the original's scripts were, it takes the module
    `config`.
    """
    checking = checked('train')(function)

    @functools.wraps(function)
    def call(*args: Any, config: Any = None, **kwargs: Any) -> Any:
        if config is None:
            config = importlib.import_module('config')
        return checking(*args, config=config, **kwargs)
    return cast(Checked, call)
