"""Checkpoints: everything that a run needs to continue as if it had never been interrupted."""
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

KEPT = 3  # if the latest cannot be read, fall back to the previous one


class Checkpoints:
    """Writer and reader of the checkpoints of a run.

    A checkpoint contains the variables of networks and optimizers, and plain values supplied by the
    caller.

    Args:
        result_subdir: folder of the run; None on workers other than the chief, which receive
            everything from the chief.
        devices: the devices of the run.
        networks: G, D, Gs.
        optimizers: G_opt, D_opt, with their slots created.
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
        """Write a checkpoint and delete the oldest if there are more than `KEPT`.

        Without a folder, do nothing.

        Args:
            values: nested dicts and lists of numbers, strings and arrays.

        Raises:
            DataError: the checkpoint cannot be written; earlier ones are intact.
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
                f'{in_short(error)}. Earlier checkpoints are intact: free some space or '
                'fix the permissions, then continue with: '
                f'{resume_command(os.path.dirname(self.folder))}') from error

    def restore(self) -> dict[str, Any] | None:
        """Restore the variables from the latest readable checkpoint.

        Returns:
            The values passed to `save`; None if the run has no checkpoint yet.

        Raises:
            ConfigError: the networks do not match those of the checkpoint.
            DataError: there are checkpoints, but none can be read.
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
                print(f'Warning: {problems[-1]}. Falling back to the previous checkpoint.',
                      file=sys.stderr)
        if problems:
            raise DataError(f'no checkpoint of this run can be read. {" ".join(problems)} Start a '
                            'new run from its last network snapshot (train.resume_run_id, '
                            'train.resume_kimg).')
        return None


def _clean_up(folder: str) -> list[str]:
    """Repair a checkpoint folder after a crash.

    Rewrites TensorFlow's list, the file `checkpoint`, from the existing files, because it may be
    damaged. Removes partially written files of a killed process.

    Returns:
        Paths of the checkpoints, as TensorFlow names them, oldest first.
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
    """Values of a checkpoint other than variables."""

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


# ---------------------------------------------------------------- global random generators

def random_state() -> dict[str, Any]:
    """State of Python's and NumPy's generators, for a checkpoint."""
    return dict(python=random.getstate(), numpy=np.random.get_state(legacy=False))


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set the generators to a `random_state`."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state['numpy'])
