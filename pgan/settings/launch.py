"""From a configuration to the function that it names, running: what `train.py` and
`util_scripts.py` have in common.
"""
import contextlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pgan import settings
from pgan.errors import ConfigError, exit_on_user_error, explaining_memory
from pgan.signals import Stopped, signals_as_exceptions

if TYPE_CHECKING:
    from misc import RunToResume

_PRODUCTS = ('.png', '.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')
_NEED_MEMORY = ('minibatch_size', 'grid_size', 'num_images', 'num_starts')  # options of scripts


def exit_code_of(action: Callable[..., object], *arguments: Any) -> int:
    """Run a program's action; mistakes of the user and signals end it with a line that says so.
    Returns the exit code.
    """
    try:
        with exit_on_user_error(), signals_as_exceptions(), _importing_from_here():
            action(*arguments)
    except KeyboardInterrupt:
        print('Interrupted. What was finished before is in the result folder.')
        return 128 + signal.SIGINT
    except Stopped as stopped:
        print(f'Stopped by {stopped.signal_name}. {stopped.left}'
              f'{" To continue: " if stopped.go_on else ""}{stopped.go_on}')
        return stopped.code
    return 0


@contextlib.contextmanager
def _importing_from_here() -> Iterator[None]:
    """Modules in the current folder can be imported in the block, after all others of their name.

    Python itself looks in the program's folder, not in the current one.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was deleted
        here = os.curdir
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)


def start(config: ModuleType, resume: 'RunToResume | None' = None, dry_run: bool = False) -> None:
    """Start TensorFlow as the configuration wants it, check the configuration, and run
    config.train.func.
    """
    import misc  # does without TensorFlow
    settings.apply_env(config)  # before anything imports TensorFlow

    misc.init_output_logging()
    settings.check_spelling(config)  # at once: TensorFlow takes seconds to start
    misc.import_tensorflow()
    import tfutil
    settings.check_config(config)
    print('Initializing TensorFlow...')
    tfutil.init_tf(config.tf_config, config.random_seed, config.num_gpus)
    print(f'Running {config.train.func}()...')
    end(config, run(config, resume, dry_run))


def end(config: ModuleType, result: object) -> None:
    """Print the program's last lines; a script's result is the path of what it has written."""
    if config.train.func.startswith('util_scripts.') and isinstance(result, str):
        print('Written:', main_product(result))
    print('Exiting...')


def main_product(path: str) -> str:
    """The picture or video that a script has written, if its result folder holds one; else the
    path as it is.
    """
    if not os.path.isdir(path):
        return path
    found = [name for name in sorted(os.listdir(path)) if name.lower().endswith(_PRODUCTS)]
    return os.path.join(path, found[0]) if len(found) == 1 else path


def run(config: ModuleType, resume: 'RunToResume | None' = None, dry_run: bool = False) -> Any:
    """Call config.train's function with its options; one that has a `config` argument also gets the
    rest of the configuration.
    """
    from tfutil import import_obj
    options = dict(config.train)
    func = import_obj(options.pop('func'))
    parameters = inspect.signature(func).parameters
    for name, flag, value in (('resume', '--resume', resume), ('dry_run', '--dry-run', dry_run)):
        if name in parameters:
            options[name] = value
        elif value:
            raise ConfigError(f'{flag} is for training, but config.train.func is '
                              f'{config.train.func!r}, which has no argument {name!r}.')
    if 'config' in parameters:
        options['config'] = config
    with explaining_memory(_options_of_memory(parameters)):
        return func(**options)


def _options_of_memory(parameters):
    """Names of the options of a function that decide how much memory it needs."""
    if 'dry_run' in parameters:  # training
        return ('sched.minibatch_base', 'sched.minibatch_dict', 'grid.size')
    return [f'train.{name}' for name in _NEED_MEMORY if name in parameters]
