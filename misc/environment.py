"""environment.json: the software, hardware and command that produced a result folder.

Each program that runs in the folder appends one entry.
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
_KEPT = 100  # entries: a run that is stopped and resumed every hour adds many


def describe(**more: Any) -> dict[str, Any]:
    """Description of the current process and machine, as plain values for JSON.

    Args:
        more: additional entries, e.g. random_seed.

    Returns:
        dict of time, command, folder, git_commit, python, packages, platform, devices, tf32 and
            `more`.
    """
    return dict(time=datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
                command=_command(), folder=os.getcwd(), git_commit=git_commit(),
                python=platform.python_version(), packages=_versions(),
                platform=platform.platform(), devices=_devices(), tf32=_tf32(), **more)


def write_environment(result_subdir: str | os.PathLike, **more: Any) -> None:
    """Append an entry to a result folder's environment.json; replace the file if it is unreadable.

    Args:
        result_subdir: the result folder.
        more: additional entries; see `describe`.

    Raises:
        DataError: the file cannot be written.
    """
    entries = [*read_environment(result_subdir), describe(**more)][-_KEPT:]
    with atomic_write(os.path.join(result_subdir, FILE), 'w') as file:
        file.write(to_json(entries, indent=1))


def read_environment(result_subdir: str | os.PathLike) -> list[dict[str, Any]]:
    """The entries of a result folder's environment.json, oldest first.

    Returns:
        A list of dicts; empty if the file is missing or does not hold a list.
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
    """Commit hash of the checkout the program runs from.

    Returns:
        The hash, followed by ' and changes' if tracked files differ from that commit; None if the
            program does not run from a checkout.
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
    """TensorFlow's devices, e.g. ['CPU 0: 8 cores', 'GPU 0: ...']; [] if it is not imported."""
    if 'tensorflow' not in sys.modules:
        return []
    import tensorflow as tf
    found = []
    for device in tf.config.list_physical_devices():
        kind, _, number = device.name.removeprefix('/physical_device:').partition(':')
        name = f'{os.cpu_count()} cores'
        if kind != 'CPU':
            details = tf.config.experimental.get_device_details(device)
            name = details.get('device_name', 'unknown model')
        found.append(f'{kind} {number}: {name}')
    return found


def _tf32():
    """Whether TensorFlow may use TensorFloat-32; None if it is not imported."""
    if 'tensorflow' not in sys.modules:
        return None
    from tfutil.runtime import tf32_allowed
    return tf32_allowed()
