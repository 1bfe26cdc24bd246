"""Records in a run's folder that let it resume: start options, lock, file sizes.

The networks themselves are saved by `pgan.training.checkpoint`.
"""
import contextlib
import glob
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from misc.results import locate_result_subdir
from misc.run_files import (
    DONE_MARK,
    FOLDER,
    checkpoint_folder,
    resume_command,
    run_json,
)
from pgan.errors import ConfigError, DataError, in_short
from pgan.files import (
    atomic_append,
    atomic_write,
    cannot_write,
    expect_utf8,
    make_folder,
    to_json,
)
from pgan.invocation import command
from pgan.locks import lock

_APPENDED = ('log.txt', '*tfevents*', 'stats.jsonl')  # files that a run appends to


class RunToResume(NamedTuple):
    """A run to resume.

    Attributes:
        path: result folder; None on a worker without one, where only the chief writes it.
        config_files, assignments, uses: --config files (absolute paths), --set strings and --use
            names that the run was started with.
        values: {'train.total_kimg': '12000', ...}: its configuration, see `flat_values`.
        wanted: the argument of `find_run`, if path is None.
        start: record of the networks that training started from (`pgan.training.transfer`).
    """
    path: str | None
    config_files: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    values: Mapping[str, str] = {}
    wanted: str = ''
    uses: tuple[str, ...] = ()
    start: Mapping[str, Any] = {}

    @property
    def is_done(self) -> bool:
        """Whether the run has finished."""
        return self.path is not None and os.path.exists(os.path.join(self.path, DONE_MARK))


# ---------------------------------------------------------------- how a run was started

def flat_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a configuration to strings that can be compared.

    Args:
        values: {name: value} of a configuration; a dict becomes one entry per key.

    Returns:
        {'name' or 'name.key': repr of the value}; classes are left out.
    """
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update({f'{name}.{key}': repr(item) for key, item in sorted(value.items())})
        elif not isinstance(value, type):
            flat[name] = repr(value)
    return flat


def changed_values(before: Mapping[str, str],
                   after: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    """Differences between two results of `flat_values`.

    Returns:
        (name, value before or None, value after or None) for each name whose value differs.
    """
    names = sorted({*before, *after})
    return [(name, before.get(name), after.get(name)) for name in names
            if before.get(name) != after.get(name)]


def check_changes(run: RunToResume, values: Mapping[str, Any]) -> None:
    """Print the changes of the configuration since a run was started or last resumed.

    Args:
        run: the run to resume.
        values: {name: value} of the current configuration.

    Raises:
        ConfigError: the run cannot be resumed with one of the changes.
    """
    changes = changed_values(run.values, flat_values(values)) if run.values else []
    for name, before, after in changes:
        section, _, key = name.partition('.')
        if section in ('G', 'D') and key != 'dtype':
            raise ConfigError(f'{name} was {before or "not set"} when {run.path!r} was started, '
                              f'and is {after or "not set"} now. A run cannot change its networks '
                              'when it resumes. Set it back, or start a new run.')
        if name == 'train.init_from':
            raise ConfigError(f'{name} was {before or "not set"} when {run.path!r} was started, '
                              f'and is {after or "not set"} now. It only affects the start of a '
                              'run. Set it back, or start a new run.')
    if changes:
        print('Changed since this run was started or last resumed:')
    for name, before, after in changes:
        print(f'    {name}: {before or "not set"} -> {after or "not set"}')


def check_something_is_left(run: RunToResume, kimg: float, total_kimg: float) -> None:
    """Raise ConfigError if a run has finished and its length was not raised.

    Args:
        run: the run to resume.
        kimg: thousands of images that it has shown.
        total_kimg: length of the run.
    """
    if run.is_done and kimg >= total_kimg:
        longer = resume_command(run.path or '', f'train.total_kimg={math.ceil(2 * kimg)}')
        raise ConfigError(f'{run.path!r} has finished, at {kimg:g} kimg. To train it further, '
                          f'raise its length: {longer}')


def write_run(result_subdir: str | os.PathLike, config_files: Sequence[str],
              assignments: Sequence[str], values: Mapping[str, Any],
              uses: Sequence[str] = (), start: Mapping[str, Any] = {}) -> None:
    """Record how a run was started, for `find_run`.

    Args:
        result_subdir: the run's folder.
        config_files, assignments, uses, start: see `RunToResume`; paths may be relative.
        values: {name: value} of the configuration.
    """
    make_folder(checkpoint_folder(result_subdir))
    content = dict(config_files=[os.path.abspath(path) for path in config_files],
                   assignments=list(assignments), uses=list(uses), values=flat_values(values),
                   start=dict(start))
    with atomic_write(run_json(result_subdir), 'w') as file:
        file.write(to_json(content, indent=1))


def find_run(run_id: str, result_dir: str | os.PathLike) -> RunToResume:
    """Find the run that `--resume RUN_ID` refers to.

    Args:
        run_id: number, name or folder of a run; '' = the newest unfinished run.
        result_dir: folder that holds the runs.

    Returns:
        A RunToResume.

    Raises:
        DataError: the run cannot be found, or has no start record.
    """
    if run_id == '':
        path = _newest_unfinished(result_dir)
    else:
        path = locate_result_subdir(int(run_id) if run_id.isdigit() else run_id, result_dir)
    expect_utf8('--resume', path)  # TensorFlow, which reads the checkpoint, needs UTF-8 paths.
    try:
        with open(run_json(path), encoding='utf-8') as file:
            content = json.load(file)
        return RunToResume(path, tuple(content['config_files']), tuple(content['assignments']),
                           dict(content['values']), uses=tuple(content.get('uses', ())),
                           start=dict(content.get('start', {})))
    except FileNotFoundError:
        raise DataError(f'{path!r} cannot be resumed: it has no {FOLDER!r} folder. It was not made '
                        'by training, or by a version that saved none. To start a new run from its '
                        'networks, set train.resume_run_id (and train.resume_kimg).') from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'Cannot read {run_json(path)!r}, the record of how the run was started: '
                        f'{in_short(error)}. To start a new run from its networks, set '
                        'train.resume_run_id (and train.resume_kimg).') from error


def _newest_unfinished(result_dir):
    runs = glob.glob(os.path.join(glob.escape(result_dir), '*'))
    folders = [path for path in runs if os.path.exists(run_json(path))]
    unfinished = [path for path in folders if not os.path.exists(os.path.join(path, DONE_MARK))]
    if unfinished:
        return max(unfinished, key=_number_of)
    finished = ''
    if folders:
        last = max(folders, key=_number_of)
        names = sorted(map(os.path.basename, folders))[-5:]
        finished = (f' Finished: {", ".join(names)}. To extend one, raise its length: '
                    f'{resume_command(last, "train.total_kimg=KIMG")}.')
    raise DataError(f'--resume: there is no unfinished run in {result_dir!r} (current folder: '
                    f'{os.getcwd()!r}).{finished} If the run is elsewhere, name its folder. To '
                    f'start one: {command("train.py")}')


def _number_of(path):
    """Sort key of a result folder: its number, then its name."""
    name = os.path.basename(path)
    number = name.partition('-')[0]
    return (int(number) if number.isdigit() else -1, name)


# ---------------------------------------------------------------- who works on it

@contextlib.contextmanager
def only_process(result_subdir: str | os.PathLike) -> Iterator[None]:
    """Hold the run's lock while the block runs, so that no other process trains the same run.

    The operating system releases the lock when the process ends, even if it is killed.

    Raises:
        DataError: another process holds the lock, or the lock file cannot be written.
    """
    path = os.path.join(checkpoint_folder(result_subdir), 'in-use')
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        _lock(handle, result_subdir)
        with contextlib.suppress(OSError):
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def is_in_use(result_subdir: str | os.PathLike) -> bool | None:
    """Whether a process holds a run's lock (see `only_process`); None if that cannot be told, e.g.
    on a file system without locks.
    """
    try:
        handle = os.open(os.path.join(checkpoint_folder(result_subdir), 'in-use'), os.O_RDWR)
    except PermissionError:
        return None
    except OSError:
        return False
    try:
        lock(handle)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


def _lock(handle, result_subdir):
    try:
        lock(handle)
    except BlockingIOError:
        other = os.read(handle, 20).decode(errors='replace')
        raise DataError(f'Process {other or "unknown"} is training {result_subdir!r} right now. '
                        'Wait until it ends, or end it (kill it once: it saves its state), then '
                        'resume.') from None
    except OSError:
        pass  # Windows, or a file system without locks: a second process cannot be detected.


# ---------------------------------------------------------------- how long its files were

def appended_sizes(result_subdir: str | os.PathLike) -> dict[str, int]:
    """Sizes in bytes of the files that a run appends to, by file name."""
    return {os.path.basename(path): os.path.getsize(path) for path in _appended(result_subdir)}


def _appended(result_subdir):
    patterns = [os.path.join(glob.escape(result_subdir), name) for name in _APPENDED]
    return [path for pattern in patterns for path in glob.glob(pattern)]


def cut_appended(result_subdir: str | os.PathLike, sizes: Mapping[str, int]) -> None:
    """Truncate a run's files to the sizes of its checkpoint: training is about to repeat the rest.

    The log's truncated part moves to log-interrupted.txt, as it may tell why the run stopped.

    Args:
        result_subdir: the run's folder.
        sizes: `appended_sizes` at the time of the checkpoint.

    Raises:
        DataError: a file cannot be written.
    """
    for path in _appended(result_subdir):
        size = sizes.get(os.path.basename(path), 0)
        try:
            with open(path, 'rb') as file:
                file.seek(size)
                rest = file.read() if path.endswith('.txt') else b''
            if rest:
                atomic_append(os.path.join(result_subdir, 'log-interrupted.txt'),
                              rest.decode('utf-8', 'replace'))
            if size == 0 and not path.endswith('.txt'):
                os.unlink(path)
            elif os.path.getsize(path) > size:
                os.truncate(path, size)
        except OSError as error:
            raise cannot_write(path, error) from error
