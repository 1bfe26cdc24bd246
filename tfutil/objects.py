"""Import of objects by dotted names such as 'networks.G_paper', as config.py gives them."""
import contextlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from pgan.errors import ConfigError, did_you_mean


def find_obj_in_module(module: ModuleType, name: str) -> Any:
    """Return the object with a dotted name below a module: `find_obj_in_module(np, 'random.rand')`.

    Raises:
        ConfigError: there is no such name; the message suggests the closest one.
    """
    obj = module
    for part in name.split('.'):
        if not hasattr(obj, part):
            public = [n for n in dir(obj) if not n.startswith('_')]
            raise ConfigError(f'{module.__name__!r} has no {name!r}.{did_you_mean(part, public)}')
        obj = getattr(obj, part)
    return obj


def _split(dotted_name: str) -> tuple[ModuleType, str]:
    """Import the longest prefix of a dotted name that is a module.

    Returns:
        The module, and the remaining name.
    """
    parts = str(dotted_name).split('.')
    if not all(part.isidentifier() for part in parts):
        raise ConfigError('expected a dotted name, like networks.G_paper. Received: '
                          f'{dotted_name!r}.')
    for count in range(len(parts), 0, -1):
        module_name = '.'.join(parts[:count])
        try:
            return importlib.import_module(module_name), '.'.join(parts[count:])
        except ModuleNotFoundError as error:
            # A prefix that is no module is expected; a failed import inside a module is an error.
            if error.name is None or not (module_name == error.name
                                          or module_name.startswith(error.name + '.')):
                raise
    known = [n for n in sys.modules if '.' not in n]
    raise ConfigError(f'there is no module {parts[0]!r} (in '
                      f'{dotted_name!r}).{did_you_mean(parts[0], known)} Write names as '
                      'module.function, e.g. networks.G_paper; your own module must be in '
                      f'the current folder ({os.getcwd()!r}) or on PYTHONPATH.')


def import_module(dotted_name: str) -> ModuleType:
    """Import the module of a dotted name: `networks` for 'networks.G_paper'."""
    return _split(dotted_name)[0]


def import_obj(dotted_name: str) -> Any:
    """Import the object with a dotted name: the function for 'networks.G_paper'.

    Raises:
        ConfigError: there is no such module or object; the message suggests the closest one.
    """
    module, rest = _split(dotted_name)
    return find_obj_in_module(module, rest) if rest else module


EXPECTED_OF_BUILD_FUNCTIONS = (
    'Expected a function of keywords (num_channels, resolution, label_size and its own options) '
    'that returns a Keras model, with layers instead of tf.variable_scope and tf.get_variable; '
    "see docs/design.md, 'Functions of your own'.")


def expect_tensorflow2(where: str, build_func: Callable[..., Any]) -> None:
    """Raise ConfigError for a build function for TensorFlow 1, which takes input tensors.

    Args:
        where: start of the message.
        build_func: the function.
    """
    try:
        parameters = inspect.signature(build_func).parameters.values()
    except (TypeError, ValueError):  # some callables have no signature
        return
    tensors = [each.name for each in parameters
               if each.name.endswith('_in') and each.default is each.empty]
    if tensors:
        name = getattr(build_func, '__name__', build_func)
        raise ConfigError(f'{where}: {name} takes the tensors {", ".join(tensors)}, so it is a '
                          f'build function for TensorFlow 1. {EXPECTED_OF_BUILD_FUNCTIONS}')


def missing_in_tensorflow2(error: AttributeError) -> str | None:
    """The name of TensorFlow 1 that a piece of code has used, e.g. 'tf.random_normal'; None if the
    error is another one.
    """
    module = error.obj.__name__ if isinstance(error.obj, ModuleType) else ''
    root, *parts = module.split('.')
    if root not in ('tensorflow', 'keras'):
        return None
    inner = [part for part in parts if part not in ('v2', 'keras') and part[0] != '_']
    return '.'.join(['tf', *inner[:1 if root == 'tensorflow' else None], str(error.name)])


@contextlib.contextmanager
def expecting_tensorflow2(what: str) -> Iterator[None]:
    """Raise ConfigError where code in the block uses a name of TensorFlow 1.

    Args:
        what: kind of code, e.g. 'a loss'.
    """
    try:
        yield
    except AttributeError as error:
        name = missing_in_tensorflow2(error)
        if name is None:
            raise
        # TensorFlow's modules that are loaded late have a __getattr__
        place = [frame for frame in traceback.extract_tb(error.__traceback__)
                 if frame.name != '__getattr__'][-1]
        raise ConfigError(f'{what} uses {name}, which TensorFlow 2 does not have: {place.name} in '
                          f'{place.filename}, line {place.lineno}. Use its name of today, or '
                          f'{name.replace("tf.", "tf.compat.v1.", 1)} if that exists.') from error


def call_func_by_name(*args: Any, func: str | None = None, **kwargs: Any) -> Any:
    """Call the function with a dotted name. Kept from the original's interface; unused here."""
    if func is None:
        raise ConfigError("a 'func' line is missing: write e.g. train = "
                          "EasyDict(func='train.train_progressive_gan').")
    return import_obj(func)(*args, **kwargs)
