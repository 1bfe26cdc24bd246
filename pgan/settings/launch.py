"""Run the function that a configuration names: shared by `train.py` and `util_scripts.py`."""
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
from pgan.settings.checking import OWN_FUNCTIONS
from pgan.signals import Stopped, signals_as_exceptions

if TYPE_CHECKING:
    from misc import RunToResume

TRAINING = OWN_FUNCTIONS['train']
_PRODUCTS = ('.png', '.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')
_NEED_MEMORY = ('minibatch_size', 'grid_size', 'num_images', 'num_starts')  # options of scripts


def exit_code_of(action: Callable[..., object], *arguments: Any) -> int:
    """Run a program's action and return the exit code. User errors and signals end it with one
    line.
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
    """Append the current folder to Python's module search path during the block.

    Python itself searches the program's folder, not the current one.
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
    """Start TensorFlow as configured, check the configuration, and run config.train.func."""
    import dataset
    import misc  # neither imports TensorFlow
    settings.apply_env(config)  # before anything imports TensorFlow

    misc.init_output_logging()
    settings.check_spelling(config)  # before TensorFlow, which takes seconds to start
    if config.train.func == TRAINING:
        dataset.check_present(config.dataset, config.data_dir)
    misc.import_tensorflow()
    import tfutil
    from tfutil.devices import hide_gpus
    settings.check_config(config)
    print('Initializing TensorFlow...')
    tf_config = config.tf_config
    if _is_script(config):
        # A script often runs next to training, so it takes only the GPUs and the memory it needs.
        # Training itself hides the GPUs that it does not use.
        hide_gpus(after=config.num_gpus)
        tf_config = {'gpu_options.allow_growth': True, **tf_config}
    tfutil.init_tf(tf_config, config.random_seed, config.num_gpus)
    print(f'Running {config.train.func}()...')
    end(config, run(config, resume, dry_run))


def end(config: ModuleType, result: object) -> None:
    """Print the program's last lines; the result of a script is the path that it has written."""
    if _is_script(config) and isinstance(result, str):
        print('Written:', main_product(result))
    print('Exiting...')


def _is_script(config):
    return config.train.func.startswith('util_scripts.')


def main_product(path: str) -> str:
    """The only picture or video in a script's result folder; without exactly one, the path itself.
    """
    if not os.path.isdir(path):
        return path
    found = [name for name in sorted(os.listdir(path)) if name.lower().endswith(_PRODUCTS)]
    return os.path.join(path, found[0]) if len(found) == 1 else path


def run(config: ModuleType, resume: 'RunToResume | None' = None, dry_run: bool = False) -> Any:
    """Call the function of config.train with its options. If it has an argument `config`, pass the
    rest of the configuration, too.
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
    """Names of a function's options that determine its memory use."""
    if 'dry_run' in parameters:  # training
        return ('sched.minibatch_base', 'sched.minibatch_dict', 'grid.size')
    return [f'train.{name}' for name in _NEED_MEMORY if name in parameters]
