"""Decorator for scripts: checks the options and supplies the configuration."""
import functools
import importlib
from typing import Any, cast

from pgan.options import Checked, checked


def script(function: Checked) -> Checked:
    """Decorate a script: check its options, see `pgan.options.checked`.

    Without the argument `config`, the module `config` is used, as in the original.
    """
    checking = checked('train')(function)

    @functools.wraps(function)
    def call(*args: Any, config: Any = None, **kwargs: Any) -> Any:
        if config is None:
            config = importlib.import_module('config')
        return checking(*args, config=config, **kwargs)
    return cast(Checked, call)
