"""Result folders: create them, find them, and load networks and data sets of earlier runs."""
import ast
import contextlib
import functools
import glob
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

import dataset
from misc import logs, own_code, run_files
from misc.pickles import load_pkl
from pgan.errors import (
    DataError,
    UnknownFunctionError,
    did_you_mean,
    in_short,
    nearest_names,
)
from pgan.files import LONGEST_DESC, atomic_write, expanded, nearest_path, short_name
from pgan.locks import locked

_SHOWN = 12
BEST = 'network-best.pkl'  # kept by runs that compute metrics, see train.metrics


class MissingDataSetError(DataError, KeyError):
    """Raised if config.txt of an earlier run names no data set.

    Also a KeyError, as for any missing entry.
    """


# --------------------------------------------------------------------------------------------------
# Creating a result folder.

def create_result_subdir(result_dir: str | os.PathLike, desc: str,
                         config_values: Mapping[str, Any] | None = None) -> str:
    """Create the next numbered result folder, '%03d-desc'.

    If output is being collected, it is logged to log.txt in the new folder from then on.

    Args:
        result_dir: the parent folder of all results; created if necessary.
        desc: description of the run, used in the folder's name; slashes become dashes.
        config_values: {name: value} to write to config.txt; None writes no such file.

    Returns:
        Path of the new folder.

    Raises:
        DataError: `desc` is too long, or the folder cannot be created or written to.
    """
    result_dir = expanded(result_dir)
    if len(os.fsencode(desc)) > LONGEST_DESC:
        raise DataError(f'desc is too long for the name of a result folder. Expected at most '
                        f'{LONGEST_DESC} bytes. Received: {in_short(desc)!r}.')
    desc = re.sub(r'[/\\]+', '-', desc)
    if os.path.exists(result_dir) and not os.path.isdir(result_dir):
        raise DataError(f'Cannot make a result folder in {result_dir!r}: that is a file, not a '
                        'folder. Set result_dir to another name, or move the file away.')
    try:
        os.makedirs(result_dir, exist_ok=True)
        with contextlib.ExitStack() as stack:
            # Without the lock, two runs started at the same moment could get the same number.
            with contextlib.suppress(OSError):
                stack.enter_context(locked(result_dir, wait=True))
            result_subdir = _make_numbered(result_dir, desc)
    except OSError as error:
        raise DataError(f'Cannot make a result folder in {result_dir!r}: '
                        f'{error.strerror or error}. Expected a folder that can be written; set '
                        'result_dir to another one, or fix its permissions.') from error
    print('Saving results to', result_subdir)
    if logs.output_logging_active():
        logs.set_output_log_file(os.path.join(result_subdir, 'log.txt'))
    if config_values is not None:
        write_config(result_subdir, config_values)
    return result_subdir


def write_config(result_subdir: str | os.PathLike, values: Mapping[str, Any]) -> None:
    """Write config.txt: one line `name = value` per item, sorted by name."""
    with atomic_write(os.path.join(result_subdir, 'config.txt'), 'w') as file:
        for name, value in sorted(values.items()):
            text = str(value)
            file.write(f'{name} = {text!r}\n' if '\n' in text else f'{name} = {text}\n')


def _make_numbered(result_dir, desc):
    """Create the folder with the next number after the largest one in use."""
    numbers = [number for number in map(_run_number, os.listdir(result_dir)) if number is not None]
    number = max(numbers, default=-1) + 1
    while True:
        result_subdir = os.path.join(result_dir, f'{number:03d}-{desc}')
        try:
            os.mkdir(result_subdir)
            return result_subdir
        except FileExistsError:
            number += 1


def _run_number(name):
    """The number before the first '-' of a folder's name, or None.

    Without a '-', the last character is dropped instead.
    """
    try:
        return int(name[:name.find('-')])
    except ValueError:
        return None


# --------------------------------------------------------------------------------------------------
# Finding result folders and networks.

def locate_result_subdir(run_id_or_result_subdir: int | str,
                         result_dir: str | os.PathLike = 'results') -> str:
    """Locate the result folder of a run.

    Args:
        run_id_or_result_subdir: path of the folder, number of the run, or the folder's name or any
            part of it before a '-'.
        result_dir: folder to search, together with its subfolders `results` and `networks`.

    Returns:
        Path of the folder.

    Raises:
        DataError: no folder matches, or several do; the message lists candidates.
    """
    query = run_id_or_result_subdir
    if isinstance(query, (str, os.PathLike)):
        query = expanded(query)
        if os.path.isdir(query):
            return query
    prefix = f'{query:03d}' if isinstance(query, (int, np.integer)) else str(query)
    result_dir = expanded(result_dir)
    below = [os.path.join(result_dir, name) for name in ('results', 'networks')]
    several: list[str] = []
    for folder in (result_dir, *below):
        by_name = os.path.join(folder, str(query))
        if os.path.isdir(by_name):
            return by_name
        paths = sorted(glob.glob(os.path.join(glob.escape(folder), prefix + '-*')))
        found = [path for path in paths if os.path.isdir(path)]
        if len(found) == 1:
            return found[0]
        several += found
    raise DataError(f'Cannot locate result subdir for run {query!r}. '
                    f'{_what_there_is(query, several, result_dir)}')


def _what_there_is(query, several, result_dir):
    """Second half of the message about a run that cannot be found."""
    if several:
        return f'Several match: {_some(several)}. Give the full name of one of them.'
    if not os.path.isdir(result_dir):
        return (f'There is no folder {result_dir!r} here ({os.getcwd()!r}). Set result_dir, or '
                'give the run as a path.')
    runs = [
        name for name in sorted(os.listdir(result_dir)) if name[0] not in '._' and
        os.path.isdir(os.path.join(result_dir, name)) and
        _script_of(os.path.join(result_dir, name)) is None
    ]
    close = _close_runs(query, runs)
    hint = f' Did you mean {" or ".join(map(repr, close))}?' if close else (
        nearest_path(query) if isinstance(query, str) else '')
    others = [name for name in runs if name not in close]
    found = ', '.join(filter(None, [*close, _some(others)])) or 'no run'
    return (f'Expected a number, name or path of a run.{hint} Found in {result_dir!r}'
            f'{", the closest first" if close and others else ""}: {found}.')


def _close_runs(query, runs):
    """Up to three names like '012-cats' that are similar to the query, the closest first."""
    numbers = {name: _run_number(name) for name in runs}
    wanted = str(query)
    if wanted.isdigit():
        known = [name for name in runs if numbers[name] is not None]
        return sorted((name for name in known if abs(numbers[name] - int(wanted)) <= 2),
                      key=lambda name: abs(numbers[name] - int(wanted)))[:3]
    wanted = os.path.basename(os.path.normpath(wanted))
    named: dict[str, list[str]] = {}  # newest run first
    for name in reversed(runs):
        for key in {name, name.partition('-')[2] if numbers[name] is not None else name}:
            named.setdefault(key, []).append(name)
    holding = [name for name in reversed(runs) if wanted.casefold() in name.casefold()]
    near = [name for key in nearest_names(wanted, named) for name in named[key]]
    return list(dict.fromkeys([*named.get(wanted, []), *holding, *near]))[:3]


def _script_of(folder):
    """(script, run_id) if a result folder was made by a utility script; None for a training run."""
    try:
        train = _read_config(folder, ['train']).get('train', {})
    except DataError:
        return None
    module, _, script = str(train.get('func')).rpartition('.')
    return (script, train.get('run_id')) if module == 'util_scripts' else None


def why_no_networks(folder: str) -> str:
    """Explanation of why a result folder holds no networks, and what to do; one or two sentences.
    """
    made_by = _script_of(folder)
    if made_by is not None:
        return (f'It is the output of {made_by[0]} for the run {made_by[1]!r}. Name that run '
                'instead.')
    first = 'A run saves its first one after network_snapshot_ticks ticks.'
    if not os.path.isfile(run_files.run_json(folder)):
        return first
    return (f'{first} If it is not training now, continue it: '
            f'{run_files.resume_command(folder)}')


def _some(names):
    """The last few names (those of the newest runs), joined by commas."""
    shown = [os.path.normpath(name) for name in names[-_SHOWN:]]
    return ', '.join((['...'] if len(names) > _SHOWN else []) + shown)


def list_network_pkls(run_id_or_result_subdir: int | str, include_final: bool = True,
                      result_dir: str | os.PathLike = 'results') -> list[str]:
    """List the network pickles of a run: snapshots sorted by name, then network-final.pkl.

    network-best.pkl is left out: it is a copy of one of them.

    Args:
        run_id_or_result_subdir: the run, see `locate_result_subdir`.
        include_final: whether to include network-final.pkl, if it exists.
        result_dir: folder that holds the runs.

    Returns:
        A list of paths.

    Raises:
        DataError: the run cannot be found.
    """
    result_subdir = locate_result_subdir(run_id_or_result_subdir, result_dir)
    pkls = sorted(path for path in glob.glob(os.path.join(glob.escape(result_subdir),
                                                          'network-*.pkl'))
                  if os.path.basename(path) != BEST)
    if pkls and os.path.basename(pkls[0]) == 'network-final.pkl':
        pkls = pkls[1:] + (pkls[:1] if include_final else [])
    return pkls


def locate_network_pkl(run_id_or_result_subdir_or_network_pkl: int | str,
                       snapshot: int | str | None = None,
                       result_dir: str | os.PathLike = 'results') -> str:
    """Locate a network pickle of a run.

    Args:
        run_id_or_result_subdir_or_network_pkl: the run, see `locate_result_subdir`; or the path of
            a pickle, which is returned unchanged.
        snapshot: kimg of the snapshot; 'best' for network-best.pkl; None for the last one, which is
            network-final.pkl if the run has finished.
        result_dir: folder that holds the runs.

    Returns:
        Path of the pickle.

    Raises:
        DataError: the run or snapshot cannot be found; the message lists existing snapshots.
    """
    query = run_id_or_result_subdir_or_network_pkl
    if isinstance(query, (str, os.PathLike)):
        query = expanded(query)
        if os.path.isfile(query):
            return query
    pkls = list_network_pkls(query, result_dir=result_dir)
    if snapshot == 'best':
        return _locate_best(locate_result_subdir(query, result_dir), pkls)
    if snapshot is None and pkls:
        return pkls[-1]
    for pkl in pkls:
        number = os.path.splitext(os.path.basename(pkl))[0].rpartition('-')[2]
        if number.isdigit() and int(number) == snapshot:
            return pkl
    result_subdir = locate_result_subdir(query, result_dir)
    if not pkls:
        raise DataError(f'Cannot locate network pkl for snapshot {snapshot!r}: {result_subdir!r} '
                        f'holds no network-*.pkl. {why_no_networks(result_subdir)}')
    raise DataError(f'Cannot locate network pkl for snapshot {snapshot!r} in {result_subdir!r}. '
                    'Expected the kimg of one of these as a number: '
                    f'{_some([os.path.basename(pkl) for pkl in pkls])}; or omit it for the last.')


def _locate_best(result_subdir, pkls):
    path = os.path.join(result_subdir, BEST)
    if os.path.isfile(path):
        return path
    found = _some([os.path.basename(pkl) for pkl in pkls]) or 'no network-*.pkl'
    raise DataError(f"Cannot locate network pkl for snapshot 'best': {result_subdir!r} holds no "
                    f'{BEST}. A run keeps one if it computes metrics, e.g. with --set '
                    "train.metrics=['swd']. Expected the kimg of one of these as a number: "
                    f'{found}; or omit it for the last. The script evaluate_metrics measures '
                    'them all.')


def get_id_string_for_network_pkl(network_pkl: str) -> str:
    """Name for files made from a network: folder and file name joined by a dash, without '.pkl'.

    Very long names are shortened.
    """
    return short_name('-'.join(network_pkl.replace('.pkl', '').replace('\\', '/').split('/')[-2:]))


def load_network_pkl(run_id_or_result_subdir_or_network_pkl: int | str,
                     snapshot: int | str | None = None,
                     result_dir: str | os.PathLike = 'results') -> tuple:
    """Load the networks (G, D, Gs) of a run; see `locate_network_pkl` and `load_pkl`.

    User-defined build functions are imported by the names in the run's config.txt.
    """
    query = run_id_or_result_subdir_or_network_pkl
    return _load_vouched(locate_network_pkl(query, snapshot, result_dir))


def load_snapshot(path: str, config: Any = None) -> tuple:
    """Load the networks (G, D, Gs) of a training run from one of its pickles.

    Args:
        path: path of the pickle, e.g. from `locate_network_pkl`.
        config: the configuration. The build functions that its G and D name are trusted, so
            networks built by them can be loaded. Those that the run's config.txt names are trusted
            only if they are in the user's own files.

    Raises:
        DataError: the file cannot be read, or does not hold three networks.
    """
    networks = _load_vouched(path, config)
    if not isinstance(networks, (tuple, list)) or len(networks) != 3 or not all(
            hasattr(net, 'run') for net in networks):
        raise DataError(f'{path!r} does not hold the three networks G, D, Gs of a training run. '
                        'Name a run, or one of its network-*.pkl.')
    return tuple(networks)


def load_generator(path: str, config: Any = None) -> Any:
    """Load the generator from a pickle: Gs of (G, D, Gs), or the only network in the file.

    Args:
        path, config: see `load_snapshot`.

    Raises:
        DataError: the file cannot be read, or holds no generator.
    """
    return generator_of(_load_vouched(path, config), path)


def _load_vouched(path, config=None):
    """Load a pickle whose build functions may be named by `config`, which is trusted, or by the
    run's config.txt, as far as `own_code` admits them.
    """
    for name in ('G', 'D'):
        options = getattr(config, name, None)
        if isinstance(options, dict) and options.get('func'):
            import tfutil  # Imports TensorFlow, which most of this module does not need.

            tfutil.build_function(tfutil.import_obj(options['func']))
    try:
        return _load_naming_unknown(path)
    except UnknownFunctionError as error:
        named = _import_build_functions(path, error)
    try:
        return _load_naming_unknown(path)
    except UnknownFunctionError as error:
        raise DataError(f'{path!r} holds a network built by {error.function!r}, but the config.txt '
                        f'next to it names {" and ".join(named)}. {_HOW_TO_NAME}') from error


_HOW_TO_NAME = ('If you trust the file, name its build functions on the command line with --set '
                'G.func=my_module.my_G --set D.func=my_module.my_D; in a program, import the '
                'module first, with the functions marked @tfutil.build_function.')


def _load_naming_unknown(path):
    """`load_pkl`, but raise UnknownFunctionError itself for an unknown build function."""
    try:
        return load_pkl(path)
    except DataError as error:
        if isinstance(error.__cause__, UnknownFunctionError):
            raise error.__cause__ from None
        raise


def _import_build_functions(path, error):
    """Import and register the build functions that a run's config.txt names; return their names."""
    from tfutil.network import STOCK_FUNCTIONS, build_function
    folder = os.path.dirname(path) or os.curdir
    config_txt = os.path.join(folder, 'config.txt')
    if not os.path.isfile(config_txt):
        raise DataError(f'{path!r} holds a network built by {error.function!r}, and there is no '
                        f'config.txt next to it. {_HOW_TO_NAME}') from error
    named = []
    for section, options in sorted(_read_config(folder, ['G', 'D']).items(), reverse=True):
        named.append(repr(options.get('func')))
        if options.get('func') not in STOCK_FUNCTIONS.values():
            build_function(own_code.import_own(f'{section}.func', options, config_txt))
    return named or ['none']


def generator_of(loaded: Any, path: str) -> Any:
    """Pick the generator from an unpickled object: Gs of (G, D, Gs), a dict's 'Gs', or a single
    network.

    Args:
        loaded: return value of `load_pkl`.
        path: path of the pickle, for the message.

    Raises:
        DataError: the object holds no generator.
    """
    network = loaded
    if isinstance(loaded, (tuple, list)) and len(loaded) == 3:
        network = loaded[2]
    elif isinstance(loaded, dict):
        network = loaded.get('Gs')
    if not hasattr(network, 'run') or len(network.output_shape) != 4:
        raise DataError(f'{path!r} holds no generator. Expected the networks (G, D, Gs) of a '
                        f'training run, or Gs alone. Received: {_in_words(loaded)}.')
    return network


def _in_words(loaded):
    """Short description of an unpickled object, e.g. 'a tuple of 2'."""
    kind = f'a {type(loaded).__name__}'
    return f'{kind} of {len(loaded)}' if isinstance(loaded, (tuple, list, dict)) else (
        repr(loaded) if hasattr(loaded, 'run') else kind)


class TakesLatents(Protocol):
    """The part of a network's interface that `random_latents` needs."""

    @property
    def input_shape(self) -> Sequence[int | None]: ...


def random_latents(num_latents: int, G: TakesLatents,
                   random_state: np.random.RandomState | None = None) -> np.ndarray:
    """Draw latent vectors for a generator from the standard normal distribution.

    Args:
        num_latents: number of latent vectors.
        G: the network; its input_shape [None, ...] gives the shape of one latent vector.
        random_state: np.random.RandomState; None for NumPy's global generator.

    Returns:
        float32 [num_latents, ...].
    """
    randn = np.random.randn if random_state is None else random_state.randn
    shape = (num_latents, *G.input_shape[1:])
    return np.asarray(randn(*shape), np.float32)


# --------------------------------------------------------------------------------------------------
# The data set of an earlier run.


def load_dataset_for_previous_run(run_id: int | str, result_dir: str | os.PathLike = 'results',
                                  data_dir: str | os.PathLike = 'datasets', config: Any = None,
                                  **kwargs: Any) -> tuple[dataset.Dataset, bool]:
    """Load the data set that a run was trained on.

    Args:
        run_id: the run, see `locate_result_subdir`.
        result_dir, data_dir: folders that hold the runs and the data sets. If only the data_dir
            that the run's config.txt names has its data set, that one is used, and a note printed.
        config: the configuration. The class that its `dataset` names is trusted, so a run that used
            it can be loaded. A class that the run's config.txt names is trusted only if it is in
            the user's own files.
        kwargs: passed to `dataset.load_dataset`; they override the run's options.

    Returns:
        (data set, whether the run mirrored images).

    Raises:
        DataError: the run, its config.txt or the data set's name cannot be found or read.
    """
    result_subdir = locate_result_subdir(run_id, result_dir)
    if 'tfrecord_dir' not in kwargs:
        data_dir = _data_dir_of(result_subdir, data_dir)
    options, mirror_augment = read_dataset_options(result_subdir, data_dir)
    class_name = options.get('class_name')
    vouched = (*own_code.STOCK_CLASSES, (getattr(config, 'dataset', None) or {}).get('class_name'))
    if class_name is not None and class_name not in vouched and 'class_name' not in kwargs:
        own_code.import_own('dataset.class_name', options,
                            os.path.join(result_subdir, 'config.txt'))
    return dataset.load_dataset(**{**options, 'data_dir': data_dir, **kwargs}), mirror_augment


def _data_dir_of(result_subdir, data_dir):
    """data_dir, or the one in config.txt if only that has the run's data set.

    A run that was trained with another data_dir then needs no option in later scripts.
    """
    here = _dataset_folder(result_subdir, data_dir)
    if here is None or os.path.isdir(here):
        return data_dir
    recorded = _read_config(result_subdir, [], ['data_dir']).get('data_dir')
    there = _dataset_folder(result_subdir, recorded) if recorded else None
    if there is None or not os.path.isdir(there):
        return data_dir
    _note_once(f'Note: {here!r} does not exist. Using {there!r}, on which the run was trained.')
    return recorded


@functools.cache
def _note_once(text):
    print(text)


def _dataset_folder(result_subdir, data_dir):
    """Folder of a run's data set in data_dir; None for classes that have none."""
    name = read_dataset_options(result_subdir, data_dir)[0].get('tfrecord_dir')
    return os.path.join(expanded(data_dir), expanded(name)) if isinstance(name, str) else None


def read_dataset_options(result_subdir: str | os.PathLike,
                         data_dir: str | os.PathLike = 'datasets') -> tuple[dict[str, Any], bool]:
    """Read a run's data set options from its config.txt.

    Options and names of older versions of the program are translated. The file is parsed as
    literals, never executed.

    Returns:
        (options for `dataset.load_dataset`, whether the run mirrored images).
    """
    result_subdir = expanded(result_subdir)
    config = _read_config(result_subdir, ['dataset', 'train'])
    options = config.get('dataset', {})
    mirrored = config.get('train', {}).get('mirror_augment', False)
    if options.get('class_name') not in (None, *own_code.STOCK_CLASSES):
        return options, mirrored  # A user-defined class has no options to translate.
    mirror_augment = options.pop('mirror_augment', mirrored)
    options.pop('max_images', None)
    if 'h5_path' in options:
        options['tfrecord_dir'] = str(options.pop('h5_path')).replace('.h5', '')
    if 'max_labels' in options:
        limit = options.pop('max_labels')
        options['max_label_size'] = 'full' if limit == 'all' else 0 if limit is None else limit
    if not isinstance(options.get('tfrecord_dir'), str):
        raise MissingDataSetError(f'{os.path.join(result_subdir, "config.txt")!r} names no data '
                                  f"set. Expected a line like dataset = {{'tfrecord_dir': "
                                  f"'celebahq'}}. Received: {options!r}. Correct the file, or "
                                  'choose a run that was trained on a data set on disk.')
    name = options['tfrecord_dir']
    # If a data set of this name exists, e.g. 'faces-256', the name is not an old one.
    if not os.path.isdir(os.path.join(expanded(data_dir), expanded(name))):
        options['tfrecord_dir'] = _current_dataset_name(name)
    return options, mirror_augment


def _read_config(result_subdir, names, names_of_texts=()):
    """Read some lines of config.txt: `name = {...}` as dicts, others as strings; the last of
    duplicate lines counts.
    """
    path = os.path.join(result_subdir, 'config.txt')
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        there = sorted(os.listdir(result_subdir)) if os.path.isdir(result_subdir) else []
        hint = did_you_mean('config.txt', there)
        raise DataError(f'Cannot read {path!r}, the configuration of the run: {error}.{hint} '
                        f'Found in the folder: {_some(there) or "nothing"}.') from error
    found = {}
    for line in lines:
        name, separator, text = line.partition(' = ')
        if separator and name in names:
            found[name] = _read_dict(path, line, text)
        elif separator and name in names_of_texts:
            found[name] = text
    return found


def _read_dict(path, line, text):
    """Parse the value of a config.txt line as a dict."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DataError(f"{path!r} has an invalid line. Expected name = {{'option': value}} with "
                        f'plain values. Received: {line[:200]!r}. Correct the line, e.g. from the '
                        'config.txt of a similar run.')
    return value


def _current_dataset_name(name):
    """Translate a data set's old name to the current one: 'celeba-hq-1024x1024' to 'celebahq'."""
    for old in ('celeba-hq', 'cifar-10', 'mnist-rgb'):  # 'cifar-100' begins with 'cifar-10'.
        name = name.replace(old, old.replace('-', ''))
    name = re.sub(r'lsun-(100k|full)-([^-]*)', r'lsun-\2-\1', name)
    for resolution in (32, 64, 128, 256, 512, 1024):
        name = name.replace(f'-{resolution}x{resolution}', '').replace(f'-{resolution}', '')
    return name
