"""Measure the speed of a run in a separate process.

A process cannot change its thread settings or release GPU memory, so the run itself must start in a
fresh one. `measure` does not need TensorFlow; the process that it starts runs `main`.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from typing import Any, NamedTuple

import misc
from pgan import settings
from pgan.errors import ConfigError, in_short
from pgan.files import to_json
from pgan.invocation import ROOT
from pgan.options import with_defaults
from pgan.settings import launch

_START = ('import sys; sys.path[0] = sys.argv[1]; from pgan.training import trials; '
          'trials.main()')


class Measured(NamedTuple):
    """Measured times of a run on this machine.

    Attributes:
        startup: seconds until the first step: imports, networks, first pictures, a checkpoint.
        timetable: state of a `Timetable` with a trial of each stage.
        num_gpus: number of GPUs found by TensorFlow.
        capability: compute capability of the first GPU, e.g. (8, 0); None without a GPU or if it is
            unknown.
    """
    startup: float
    timetable: dict[str, Any]
    num_gpus: int = 0
    capability: tuple[int, int] | None = None


def measure(config_files: Sequence[str], assignments: Sequence[str], uses: Sequence[str],
            seconds: float, resolutions: Sequence[int] | None = None) -> Measured:
    """Measure the startup time of a run and the speed of each stage.

    Args:
        config_files, assignments, uses: the configuration, as for `settings.load`.
        seconds: measuring time per stage.
        resolutions: see `TrainingRun.measure`.

    Raises:
        ConfigError: the run cannot be trained; the message states the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'measured.json')
        request = dict(config_files=list(config_files), assignments=list(assignments),
                       uses=list(uses), seconds=seconds, resolutions=resolutions, path=path,
                       started=time.time())
        done = subprocess.run(
            [sys.executable, '-c', _START, str(ROOT), to_json(request)],
            capture_output=True, text=True, errors='replace')
        if done.returncode == 0:
            with open(path, encoding='utf-8') as file:
                found = json.load(file)
            capability = found['capability']
            return Measured(found['startup'], found['timetable'], found['num_gpus'],
                            None if capability is None else (capability[0], capability[1]))
    _, is_explained, message = done.stderr.rpartition('error: ')
    if is_explained and 'Traceback' not in done.stderr:
        raise ConfigError(message.strip())
    if done.returncode < 0:
        raise ConfigError(f'signal {-done.returncode} ended the measurement of a step. If this '
                          'machine ran out of memory, set smaller networks, e.g. --set '
                          'G.fmap_max=32 --set D.fmap_max=32, or a smaller sched.minibatch_base.')
    raise RuntimeError(f'measuring a step failed: {in_short(done.stderr[-300:])}')


def main() -> None:
    """Entry point of the process: read the request, write the result."""
    request = json.loads(sys.argv[2])
    sys.exit(launch.exit_code_of(lambda: _write_measured(**request)))


def _write_measured(config_files, assignments, uses, seconds, resolutions, path, started):
    config = settings.load(config_files, assignments, uses)
    settings.apply_env(config)
    misc.import_tensorflow()
    import tfutil
    settings.check_config(config)
    tfutil.init_tf(config.tf_config, config.random_seed, config.num_gpus)
    run = _make_run(config)
    startup = time.time() - started
    startup += run.measure(seconds, resolutions)
    with misc.atomic_write(path, 'w') as file:
        file.write(to_json(dict(startup=startup, timetable=run.timetable.state(),
                                   **_gpus())))


def _make_run(config: types.ModuleType) -> Any:
    from pgan.signals import StopRequest
    from pgan.training import threads
    from pgan.training.loop import TrainingRun, train_progressive_gan
    from tfutil.devices import make_devices
    given = {name: value for name, value in config.train.items() if name != 'func'}
    options = types.SimpleNamespace(**with_defaults(train_progressive_gan, given))
    options.dry_step = False  # all stages are measured anyway
    parts = threads.configure_threads(config, options)
    devices = make_devices(config.num_gpus)
    return TrainingRun(options, config, devices, StopRequest(), parts=parts)


def _gpus():
    import tensorflow as tf
    gpus = tf.config.list_physical_devices('GPU')
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return dict(num_gpus=len(gpus), capability=details.get('compute_capability'))
