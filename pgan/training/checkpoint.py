"""Checkpoints: all that a run needs to continue as if it had never been stopped."""
import base64
import contextlib
import glob
import json
import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from misc.run_files import checkpoint_folder, resume_command
from pgan import files
from pgan.errors import ConfigError, DataError, in_short
from tfutil import Network, Optimizer
from tfutil.devices import Devices

KEPT = 3  # if the newest cannot be read, the one before it serves


class Checkpoints:
    """Writes and reads the checkpoints of a run.

    They hold the variables of networks and optimizers, and plain values that the caller hands in.

    Args:
        result_subdir: the run's folder; None on a machine that is not the chief, which then learns
            everything from the chief.
        devices: the devices of the run.
        networks: G, D, Gs.
        optimizers: G_opt, D_opt, which have their slots.
    """

    def __init__(self, result_subdir: str | None, devices: Devices, networks: Sequence[Network],
                 optimizers: Sequence[Optimizer]):
        G, D, Gs = networks
        G_opt, D_opt = optimizers
        variables = dict(G=dict(G.vars), D=dict(D.vars), Gs=dict(Gs.vars),
                         G_opt=G_opt.state_variables(G.trainables),
                         D_opt=D_opt.state_variables(D.trainables))
        self._devices = devices
        self._variables = tf.nest.flatten(variables)
        self._values = _PlainValues()
        self._manager = None
        self._checkpoint = tf.train.Checkpoint(**variables, random=tf.random.get_global_generator(),
                                               values=self._values)
        if result_subdir is not None:
            self.folder = checkpoint_folder(result_subdir)
            self._paths = _clean_up(self.folder)
            self._manager = tf.train.CheckpointManager(self._checkpoint, self.folder,
                                                       max_to_keep=KEPT, checkpoint_name='ckpt')

    def save(self, values: dict[str, Any]) -> None:
        """Write a checkpoint, and remove the oldest beyond those that are kept.

        Without a folder, do nothing.

        Args:
            values: nested dicts and lists of numbers, strings and arrays.

        Raises:
            DataError: it cannot be written; those before it are intact.
        """
        if self._manager is None:
            return
        self._values.content = values
        try:
            path = self._manager.save()
            for part in glob.glob(glob.escape(path) + '.*'):
                files.sync(part)
        except (OSError, tf.errors.OpError) as error:
            raise DataError(
                f'the checkpoint cannot be written into {self.folder!r}: '
                f'{in_short(error)}. What was saved before is intact: make room or '
                'fix the permissions, then continue with: '
                f'{resume_command(os.path.dirname(self.folder))}') from error

    def restore(self) -> dict[str, Any] | None:
        """Set the variables to those of the newest checkpoint that can be read.

        Returns:
            The values that it was saved with; None if the run has none yet.

        Raises:
            ConfigError: the networks are not those of the checkpoint.
            DataError: there are checkpoints, but none of them can be read.
        """
        content = self._restore_newest() if self._manager is not None else None
        return _decoded(self._devices.broadcast_from_chief(self._variables, _encoded(content)))

    def _restore_newest(self) -> dict[str, Any] | None:
        problems = []
        for path in reversed(self._paths):
            try:
                self._checkpoint.restore(path).assert_consumed()
                return self._values.content
            except (AssertionError, ValueError) as error:
                raise ConfigError(f'the networks of this configuration are not those of {path!r}: '
                                  f'{in_short(error)}. Resume with the G, D, data set and '
                                  'optimizers that the run was started with.') from error
            # IndexError is how TensorFlow reports a truncated file.
            except (OSError, IndexError, tf.errors.OpError) as error:
                problems.append(f'{path!r} cannot be read: {in_short(error)}')
                print(f'Warning: {problems[-1]}. Going on from the one before it.', file=sys.stderr)
        if problems:
            raise DataError(f'no checkpoint of this run can be read. {" ".join(problems)} Start a '
                            'new run from its last network snapshot (train.resume_run_id, '
                            'train.resume_kimg).')
        return None


def _clean_up(folder: str) -> list[str]:
    """Bring a folder of checkpoints in order, whatever has happened to it.

    Rewrites TensorFlow's own list, the file `checkpoint`, from the files that exist: it may be
    damaged. Removes what a killed process left half-written.

    Returns:
        Paths of the checkpoints, as TensorFlow names them, the oldest first.
    """
    pattern = os.path.join(glob.escape(folder), 'ckpt-')
    complete = (path.removesuffix('.index') for path in glob.glob(pattern + '*.index'))
    numbered = [path for path in complete if path.rpartition('-')[2].isdigit()]
    paths = sorted(numbered, key=lambda path: int(path.rpartition('-')[2]))
    for path in glob.glob(pattern + '*'):
        checkpoint = path.partition('.index')[0].partition('.data-')[0]
        if checkpoint not in paths or 'temp' in os.path.basename(path):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    if paths:
        names = [os.path.basename(path) for path in paths]
        times = [os.path.getmtime(f'{path}.index') for path in paths]
        state = tf.compat.v1.train.generate_checkpoint_state_proto(
            os.path.abspath(folder), names[-1], names, times,
            last_preserved_timestamp=min(times) - 1.0)  # so that all may be deleted
        with files.atomic_write(os.path.join(folder, 'checkpoint'), 'w') as file:
            file.write(str(state))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, 'checkpoint'))
    return paths


class _PlainValues(tf.train.experimental.PythonState):
    """The values of a checkpoint that are not variables."""

    def __init__(self) -> None:
        self.content: dict[str, Any] | None = None

    def serialize(self):
        return _encoded(self.content)

    def deserialize(self, string_value):
        self.content = _decoded(string_value)


def _encoded(content: Any) -> bytes:
    return json.dumps(content, default=_array_as_json).encode()


def _array_as_json(value):
    array = np.asarray(value)
    return dict(__dtype__=array.dtype.str, shape=array.shape,
                data=base64.b64encode(array.tobytes()).decode())


def _decoded(text: bytes | str) -> Any:
    return json.loads(text, object_hook=_array_from_json)


def _array_from_json(entry):
    if '__dtype__' not in entry:
        return entry
    flat = np.frombuffer(base64.b64decode(entry['data']), entry['__dtype__'])
    return flat.reshape(entry['shape']).copy()


# ---------------------------------------------------------------- random numbers that are not keyed

def random_state() -> dict[str, Any]:
    """State of Python's and NumPy's generators, for a checkpoint."""
    return dict(python=random.getstate(), numpy=np.random.get_state(legacy=False))


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set the generators to a `random_state`."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state['numpy'])
