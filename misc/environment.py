"""environment.json: what a result folder was made with and on.

It has an entry for each time that a program worked in the folder.
"""
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from typing import Any

from pgan.files import atomic_write, to_json

FILE = 'environment.json'
PROGRAM = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ('tensorflow', 'keras', 'numpy', 'scipy', 'pillow', 'tensorboard')
_KEPT = 100  # entries: a run on a machine that stops it every hour has many


def describe(**more: Any) -> dict[str, Any]:
    """The program's surroundings, in plain values.

    Args:
        more: what else is to be noted, e.g. random_seed.

    Returns:
        dict of time, command, folder, git_commit, python, packages, platform, devices, tf32 and
            `more`.
    """
    return dict(time=datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
                command=_command(), folder=os.getcwd(), git_commit=git_commit(),
                python=platform.python_version(), packages=_versions(),
                platform=platform.platform(), devices=_devices(), tf32=_tf32(), **more)


def write_environment(result_subdir: str | os.PathLike, **more: Any) -> None:
    """Add an entry to a result folder's environment.json; replace a file that cannot be read.

    Args:
        result_subdir: the folder.
        more: for `describe`.

    Raises:
        DataError: it cannot be written.
    """
    entries = [*read_environment(result_subdir), describe(**more)][-_KEPT:]
    with atomic_write(os.path.join(result_subdir, FILE), 'w') as file:
        file.write(to_json(entries, indent=1))


def read_environment(result_subdir: str | os.PathLike) -> list[dict[str, Any]]:
    """The entries of a result folder's environment.json, oldest first.

    Returns:
        []: there is no such file, or it holds something else.
    """
    try:
        with open(os.path.join(result_subdir, FILE), encoding='utf-8') as file:
            entries = json.load(file)
    except (OSError, ValueError):
        return []
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _command():
    return shlex.join(['python', *sys.argv])


def git_commit(folder: str | os.PathLike = PROGRAM) -> str | None:
    """The commit of the checkout that the program runs from, with ' and changes' if files differ.

    Returns:
        None: it does not run from a checkout.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        checkout = pathlib.Path(_git(folder, 'rev-parse', '--show-toplevel'))
        if checkout.resolve() == pathlib.Path(folder).resolve():
            changes = _git(folder, 'status', '--porcelain', '-uno')
            return _git(folder, 'rev-parse', 'HEAD') + (' and changes' if changes else '')
    return None


def _git(folder, *arguments):
    return subprocess.run(['git', '-C', str(folder), *arguments], check=True, capture_output=True,
                          text=True, timeout=10).stdout.strip()


def _versions():
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _devices():
    """What TensorFlow computes on, if it has been imported: ['CPU 0: 8 cores', 'GPU 0: ...']."""
    if 'tensorflow' not in sys.modules:
        return []
    import tensorflow as tf
    found = []
    for device in tf.config.list_physical_devices():
        kind, _, number = device.name.removeprefix('/physical_device:').partition(':')
        name = f'{os.cpu_count()} cores'
        if kind != 'CPU':
            details = tf.config.experimental.get_device_details(device)
            name = details.get('device_name', 'of unknown make')
        found.append(f'{kind} {number}: {name}')
    return found


def _tf32():
    """Whether TensorFlow may use TensorFloat-32; None if it has not been imported."""
    if 'tensorflow' not in sys.modules:
        return None
    from tfutil.runtime import tf32_allowed
    return tf32_allowed()
