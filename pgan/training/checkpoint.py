"""Checkpoints: all that a run needs to go on as if it had never been stopped."""
import base64
import contextlib
import glob
import json
import os
import random
import shutil
import sys

import numpy as np
import tensorflow as tf

from misc.resuming import FOLDER
from pgan import files
from pgan.errors import ConfigError, DataError, in_short

KEPT = 3  # if the newest cannot be read, the one before it serves


class Checkpoints:
    """Writes and reads the checkpoints of a run: variables of networks and optimizers, and plain
    values that the caller hands in.

    Args:
        result_subdir: the run's folder; None on a machine that is not the chief, which then learns
            everything from the chief.
        devices: `tfutil.devices.Devices`.
        networks: (G, D, Gs).
        optimizers: (G_opt, D_opt), which have their slots.
    """

    def __init__(self, result_subdir, devices, networks, optimizers):
        G, D, Gs = networks
        G_opt, D_opt = (opt.state_variables(net.trainables) for opt, net in zip(optimizers, (G, D)))
        variables = dict(G=dict(G.vars), D=dict(D.vars), Gs=dict(Gs.vars), G_opt=G_opt, D_opt=D_opt)
        self._devices = devices
        self._variables = tf.nest.flatten(variables)
        self._values = _PlainValues()
        self._manager = None
        self._checkpoint = tf.train.Checkpoint(**variables, random=tf.random.get_global_generator(),
                                               values=self._values)
        if result_subdir is not None:
            self.folder = os.path.join(result_subdir, FOLDER)
            self._list = _tidied(self.folder)
            self._manager = tf.train.CheckpointManager(self._checkpoint, self.folder,
                                                       max_to_keep=KEPT, checkpoint_name='ckpt')

    def save(self, values):
        """Write a checkpoint, and remove the oldest beyond those that are kept. Nothing happens
        where there is no folder.

        Args:
            values: nested dicts and lists of numbers, texts and arrays.

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
                'mend the permissions, then go on with: python train.py --resume') from error

    def restore(self):
        """Set the variables to those of the newest checkpoint that can be read.

        Returns:
            The values that it was saved with; None if the run has none yet.

        Raises:
            ConfigError: the networks are not those of the checkpoint.
            DataError: there are checkpoints, but none of them can be read.
        """
        content = self._restore_newest() if self._manager is not None else None
        text = self._devices.from_chief(self._variables, _encoded(content))
        return _decoded(text)

    def _restore_newest(self):
        problems = []
        for path in reversed(self._list):
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


def _tidied(folder):
    """Bring a folder of checkpoints in order after whatever may have happened to it.

    TensorFlow's own list, the file `checkpoint`, is written anew from what is there: it may be
    damaged. What a process left that was killed while it wrote is removed.

    Returns:
        Paths of the checkpoints, as TensorFlow names them, the oldest first.
    """
    pattern = os.path.join(glob.escape(folder), 'ckpt-')
    indices = [
        path for path in glob.glob(pattern + '*.index')
        if path.removesuffix('.index').rpartition('-')[2].isdigit()
    ]
    paths = sorted((path.removesuffix('.index') for path in indices),
                   key=lambda path: int(path.rpartition('-')[2]))
    for path in glob.glob(pattern + '*'):
        if path.partition('.index')[0].partition(
                '.data-')[0] not in paths or 'temp' in os.path.basename(path):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    if paths:
        names, times = [os.path.basename(path)
                        for path in paths], [os.path.getmtime(f'{path}.index') for path in paths]
        state = tf.compat.v1.train.generate_checkpoint_state_proto(
            # all may be deleted
            os.path.abspath(folder),
            names[-1],
            names,
            times,
            last_preserved_timestamp=min(times) - 1.0)
        with files.atomic_write(os.path.join(folder, 'checkpoint'), 'w') as file:
            file.write(str(state))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, 'checkpoint'))
    return paths


class _PlainValues(tf.train.experimental.PythonState):
    """The values of a checkpoint that are not variables."""

    def __init__(self):
        self.content = None

    def serialize(self):
        return _encoded(self.content)

    def deserialize(self, string_value):
        self.content = _decoded(string_value)


def _encoded(content):
    return json.dumps(content, default=_array_as_json).encode()


def _array_as_json(value):
    array = np.asarray(value)
    return dict(__dtype__=array.dtype.str, shape=array.shape,
                data=base64.b64encode(array.tobytes()).decode())


def _decoded(text):
    return json.loads(text, object_hook=_array_from_json)


def _array_from_json(entry):
    if '__dtype__' not in entry:
        return entry
    return np.frombuffer(base64.b64decode(entry['data']),
                         entry['__dtype__']).reshape(entry['shape']).copy()


# ---------------------------------------------------------------- random numbers that are not keyed

def random_state():
    """Where Python's and NumPy's random numbers are, for a checkpoint."""
    return dict(python=random.getstate(), numpy=np.random.get_state(legacy=False))


def restore_random_state(state):
    """Go to where the random numbers were when `random_state` was taken."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state['numpy'])
