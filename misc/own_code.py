"""Safe import of user-defined functions and classes that a run's config.txt names.

A result folder may come from an untrusted source. Its config.txt may set `G.func='os.system'`, and
the pickle next to it may supply the arguments. So a name is imported only if it leads to the
user's own files.
"""
import importlib.util
import os
import re
import shlex
import sysconfig
from collections.abc import Iterable, Mapping
from typing import Any

from pgan.errors import ConfigError, DataError
from pgan.invocation import ROOT

STOCK_CLASSES = ('dataset.TFRecordDataset', 'dataset.SyntheticDataset')

# Variables for speed, determinism and device selection; none names a file or a program.
HARMLESS_VARIABLES = frozenset([
    'CUDA_DEVICE_ORDER', 'CUDA_VISIBLE_DEVICES', 'KERAS_BACKEND', 'NVIDIA_TF32_OVERRIDE',
    'OMP_NUM_THREADS', 'TF_CPP_MIN_LOG_LEVEL', 'TF_CUDNN_DETERMINISTIC', 'TF_DETERMINISTIC_OPS',
    'TF_ENABLE_ONEDNN_OPTS', 'TF_FORCE_GPU_ALLOW_GROWTH', 'TF_GPU_ALLOCATOR',
    'TF_GPU_THREAD_COUNT', 'TF_GPU_THREAD_MODE', 'TF_NUM_INTEROP_THREADS',
    'TF_NUM_INTRAOP_THREADS'
])
_PLAIN = re.compile(r'[\w,.-]{0,40}')

_TRAINING = 'train.train_progressive_gan'
_STOCK_MODULES = ('networks', 'loss', 'dataset')

# Top-level names of this program. A config.txt may name only the stock functions in them.
PROGRAM = frozenset([
    'benchmarks', 'config', 'configs', 'dataset', 'dataset_tool', 'docs', 'examples', 'legacy',
    'loss', 'metrics', 'misc', 'networks', 'pgan', 'tests', 'tfutil', 'train', 'util_scripts'
])


def import_own(option: str, options: Mapping[str, Any], config_txt: str) -> Any:
    """Import a function or class that config.txt names, if it is defined in the user's own files.

    Nothing is imported from the standard library, installed packages, this program or the folder
    of config.txt.

    Args:
        option: name of the option, e.g. 'G.func'.
        options: all options of its section, e.g. of G.
        config_txt: path of the file.

    Raises:
        DataError: the name cannot be imported, or is refused.
    """
    name = options[option.rpartition('.')[2]]
    module = name.partition('.')[0] if isinstance(name, str) else ''
    if not module.isidentifier():
        raise DataError(f'{config_txt!r} sets {option} to {name!r}. Expected a name like '
                        'my_module.my_function.')
    places = _places_of(module)
    if places is None:
        raise DataError(
            f'The run uses {name!r}, set by {option} in {config_txt!r}, but there is no module '
            f'{module!r} to import. Copy {module}.py into the current folder ({os.getcwd()!r}), or '
            'put its folder on PYTHONPATH.')
    folder = os.path.dirname(config_txt) or os.curdir
    if not _are_own(module, places, folder):
        raise _refusal(option, options, config_txt)
    from tfutil.objects import import_obj  # Imports TensorFlow, which most of `misc` does not need.
    try:
        found = import_obj(name)
    except (ConfigError, ImportError) as error:
        raise DataError(f'The run uses {name!r}, set by {option} in {config_txt!r}, which cannot '
                        f'be imported: {error}') from error
    # A user's module also holds the names that it imports, so check where the object is defined.
    home = getattr(found, '__module__', None)
    home = home.partition('.')[0] if isinstance(home, str) else ''
    if not callable(found) or not _are_own(home, _places_of(home), folder):
        raise _refusal(option, options, config_txt)
    return found


def check_config_files(paths: Iterable[str], folder: str | os.PathLike) -> None:
    """Raise DataError if a run's start record names a --config file that is not the user's own.

    The record alone must not cause files of Python, of a package or of the run's folder to be
    executed.

    Args:
        paths: override files named by the record but not by the user.
        folder: the run's folder.
    """
    for path in paths:
        if not _are_files_of_ones_own([os.path.realpath(path)], os.fspath(folder)):
            raise DataError(
                f'The run {os.fspath(folder)!r} was started with --config {path!r}. This file is '
                "in the run's own folder or in a library, so it may have come with the run. If you "
                f'trust it, name it yourself: add --config {shlex.quote(path)}')


def check_record(options: Mapping[str, Any], given: Mapping[str, Any],
                 run_json: str | os.PathLike) -> None:
    """Raise DataError if a run's start record names untrusted code or an unsafe environment
    variable (one that may make libraries execute code).

    Trusted functions, classes and metrics are the program's stock ones and those in the user's own
    modules.

    Args:
        options: {'train.func': value, ...}: the configuration, including the record's settings.
        given: the same without the record's settings, i.e. only the user's.
        run_json: path of the record.
    """
    folder = os.path.dirname(os.path.dirname(run_json))
    for option, value in options.items():
        section, _, key = option.partition('.')
        if option in given and _same(given[option], value):
            continue
        if section == 'env' and not (key in HARMLESS_VARIABLES and _PLAIN.fullmatch(str(value))):
            raise DataError(
                f'{os.fspath(run_json)!r} sets {option} to {value!r}. By itself the file may set '
                f'only {", ".join(sorted(HARMLESS_VARIABLES))}, to plain words: other variables '
                'can make libraries execute code. If you trust the run, set it yourself: add --set '
                f'{shlex.quote(f"{option}={value}")}')
        for name in _names_in(option, value):
            module, places = name.partition('.')[0], _places_of(name.partition('.')[0])
            if not _is_stock(option, name) and places is not None and not _are_own(
                    module, places, folder):
                raise DataError(
                    f'{os.fspath(run_json)!r} sets {option} to {value!r}. By itself the file may '
                    "name only the program's stock functions, and your own in modules outside "
                    "Python's library, installed packages, this program and the run's folder. If "
                    'you trust the run, name it yourself: add --set '
                    f'{shlex.quote(f"{option}={value}")}')


def _same(a, b):
    return type(a) is type(b) and isinstance(a, (str, int, float, list, tuple)) and a == b


def _names_in(option, value):
    """Dotted names of functions, classes and metrics in an option's value."""
    if option.rpartition('.')[2] in ('func', 'class_name'):
        return [value] if isinstance(value, str) else []
    if option == 'train.metrics' and isinstance(value, (list, tuple)):
        return [name for name in value if isinstance(name, str) and '.' in name]
    return []


def _is_stock(option, name):
    """Whether a name is one of the program's stock values of an option."""
    if option == 'train.metrics':
        return re.fullmatch(r'metrics\.\w+\.API', name) is not None
    return name == _TRAINING or name.partition('.')[0] in _STOCK_MODULES and name.count('.') == 1


def _refusal(option, options, config_txt):
    section, _, key = option.partition('.')
    text = f'{section}={dict(options)!r}'
    text = shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'
    program = ('pass class_name' if section == 'dataset' else
               'import the module first, with the function marked @tfutil.build_function')
    return DataError(
        f'{config_txt!r} sets {option} to {options[key]!r}. By itself the file may name only your '
        "own functions and classes, in modules outside Python's library, installed packages, this "
        "program and the run's folder. If you trust the run, name it yourself: with --config and "
        f'the file that the run was started with, or with --set {text}; in a program, {program}.')


def _places_of(module):
    """Locate the files of a top-level module without importing it.

    Returns:
        A list of paths, empty for a built-in module; None if the module does not exist.
    """
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # __main__ and the like have no spec.
        return []
    if spec is None:
        return None
    if spec.origin is None or spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations or [])
    return [spec.origin] if spec.has_location else []


def _are_own(module, places, run_folder):
    """Whether a module is the user's own: not Python's, a package's, the program's or the run's."""
    if not places:
        return False
    paths = [os.path.realpath(place) for place in places]
    return _are_files_of_ones_own(paths, run_folder) and (
        module not in PROGRAM or not any(_is_below(path, ROOT) for path in paths))


def _are_files_of_ones_own(paths, run_folder):
    """Whether none of these real paths is in Python's library, a package or the run's folder."""
    libraries = [*map(sysconfig.get_path, ('stdlib', 'platstdlib', 'purelib', 'platlib'))]
    if any(_is_below(path, library) for path in paths for library in [*libraries, run_folder]):
        return False
    return not any({'site-packages', 'dist-packages'} & set(path.split(os.sep)) for path in paths)


def _is_below(path, folder):
    folder = os.path.realpath(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
