"""The devices of a run: one; several GPUs of one machine; those of several machines. CPU devices
stand in where there are no GPUs.

Every device trains on its own share of each minibatch: it is a replica. What the replicas must
agree on (gradients, statistics) is summed over all of them inside the compiled step, see
`all_reduce`. """
import contextlib
import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, in_short
from tfutil.cluster import Cluster, ClusterError, wait_for_machines

PRESETS = (1, 2, 4, 8)  # numbers of GPUs that config.py has a preset for


class Devices(NamedTuple):
    """Where a run computes.

    Attributes:
        strategy: TensorFlow's; variables are made in its scope, and steps run by it.
        index, workers: which process this is, of how many. Process 0 is the chief, which writes the
    results. """
    strategy: tf.distribute.Strategy
    index: int = 0
    workers: int = 1

    @property
    def is_chief(self):
        return self.index == 0

    @property
    def num_replicas(self):
        """Replicas in all processes together."""
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self):
        """Replicas in this process."""
        return self.num_replicas // self.workers

    @property
    def local_names(self):
        """Names of the devices of this process's replicas."""
        if self.num_replicas > 1:
            return self.strategy.extended.worker_devices
        return replica_devices(1)

    def shares(self, *tensors):
        """Split this process's part of a minibatch among its replicas, in order, each on its own
        device; for `strategy.run`.

        Args:
            tensors: tensors in the memory of the host, [N, ...].
        """
        shares = [[
            _on_device(part, name)
            for part, name in zip(np.split(tensor.numpy(), self.local_replicas), self.local_names)
        ] for tensor in tensors]
        if self.local_replicas == 1:
            return tuple(parts[0] for parts in shares)
        first = self.index * self.local_replicas
        return tuple(
            self.strategy.experimental_distribute_values_from_function(
                lambda context, parts=parts: parts[context.replica_id_in_sync_group - first])
            for parts in shares)

    def wait_for_all(self):
        """Come back when every process has called this."""
        if self.workers > 1:
            @tf.function(autograph=False)
            def meet():
                return self.strategy.run(lambda: all_reduce([tf.ones([])]))
            meet()

    def from_chief(self, variables, text):
        """Hand the chief's values to all machines.

        Args:
            variables: list of tf.Variable, the same on each machine; they get the chief's values.
            text: bytes; what the other machines hand in does not matter.

        Returns:
            The chief's text.
        """
        if self.workers == 1:
            return text

        @tf.function(autograph=False, reduce_retracing=True)
        def chiefs(values):
            """The chief's values of a flat tensor: all but its first replica add zeros."""
            def add():
                first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
                return all_reduce([tf.where(first, values, tf.zeros_like(values))])[0]
            return self.strategy.experimental_local_results(self.strategy.run(add))[0]

        size = int(chiefs(tf.constant([len(text)], tf.float64))[0])
        sent = np.zeros(size, np.float64)
        sent[:min(size, len(text))] = np.frombuffer(text, np.uint8)[:size]
        received = chiefs(tf.constant(sent)).numpy()
        for var in variables:  # one at a time: together they may be as large as the memory of a GPU
            flat = chiefs(tf.reshape(tf.cast(var, tf.float64), [-1]))
            var.assign(tf.cast(tf.reshape(flat, var.shape), var.dtype))
        return np.rint(received).astype(np.uint8).tobytes()

    @contextlib.contextmanager
    def watching_machines(self):
        """Turn TensorFlow's many ways of saying that another machine is gone into one.

        Raises:
            ClusterError: another process of this run has ended, or cannot be reached any more.
        """
        errors = tf.errors
        try:
            yield
        except (errors.UnavailableError, errors.AbortedError, errors.CancelledError,
                errors.DeadlineExceededError, errors.FailedPreconditionError) as error:
            if self.workers == 1:
                raise
            raise ClusterError(
                'another machine of this run has stopped or cannot be reached, so this one '
                f'(number {self.index} of {self.workers}) stops, too. What was saved before is in '
                'the result folder, where the first machine wrote it. Look at the other machines '
                'for the cause, then start all of them again. TensorFlow says: '
                f'{_telling_part(error)}') from error


def _telling_part(error):
    """The telling line of a TensorFlow error, which also lists where in the program it came up."""
    lines = [line.strip() for line in str(error.message).split('\n') if line.strip()]
    return in_short(
        next((line for line in lines if line.startswith('Collective ops is aborted')),
             lines[-1] if lines else error))


def _on_device(array, name):
    with tf.device(name):
        return tf.convert_to_tensor(array)


def all_reduce(tensors):
    """Sum tensors over all replicas, inside of a replica's step; alone, a replica gets its own
    back.

    Args:
        tensors: list of float tensors, of the same shapes on each replica.
    """
    context = tf.distribute.get_replica_context()
    return tensors if context.num_replicas_in_sync == 1 or not tensors else context.all_reduce(
        tf.distribute.ReduceOp.SUM, tensors)


def copies(var):
    """A variable, and its copies on the devices of this process."""
    return [var, *getattr(var, 'values', ())]


def set_in_replica(var, value):
    """Set a variable inside of a replica's step, each replica its own copy: they must all set the
    same.
    """
    tf.raw_ops.AssignVariableOp(resource=var.handle, value=tf.cast(value, var.dtype))


def prepare_devices(num_gpus):
    """Before TensorFlow starts: see that there are `num_gpus` GPUs, or CPU devices where this
    machine has none.

    Raises:
        ConfigError: there are fewer GPUs, or TensorFlow has started already, with fewer CPU
    devices. """
    cluster = Cluster.from_environment()
    gpus = tf.config.list_physical_devices('GPU')
    local = num_gpus if cluster is None else _share_of_machine(num_gpus, cluster, bool(gpus))
    if gpus:
        _check_gpus(num_gpus, local, len(gpus), cluster)
        # TensorFlow takes the memory of every GPU that it sees, and the strategy of several
        # machines also trains on all of them. TensorFlow has started: it has taken what it takes
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices(gpus[:local], 'GPU')
    elif local > 1:
        make_cpu_devices(local)


def _share_of_machine(num_gpus, cluster, has_gpus):
    """Replicas on each machine of a cluster."""
    machines = len(cluster.addresses)
    if num_gpus % machines:
        raise ConfigError(f'num_gpus = {num_gpus} is the number of GPUs of all machines together, '
                          f'and TF_CONFIG names {machines} machines. Expected a multiple of '
                          f'{machines}: the same number on each.')
    if not has_gpus and num_gpus != machines:
        raise ConfigError(f'num_gpus = {num_gpus} on {machines} machines asks for '
                          f'{num_gpus // machines} GPUs on each, but this one (number '
                          f'{cluster.index}, {cluster.addresses[cluster.index]}) has none that '
                          'TensorFlow can use. Without GPUs, each machine trains on its CPU: set '
                          f'num_gpus={machines}.')
    return num_gpus // machines


def _check_gpus(num_gpus, local, available, cluster):
    if local <= available:
        return
    machines = 1 if cluster is None else len(cluster.addresses)
    where = 'this machine' if cluster is None else (f'machine {cluster.index} '
                                                    f'({cluster.addresses[cluster.index]})')
    fitting = [
        count for count in PRESETS if count <= available * machines and count % machines == 0
    ]
    preset = (f"choose 'preset-v2-{fitting[-1]}gpu{'s' if fitting[-1] > 1 else ''}' in config.py, "
              'or ') if fitting else ''
    raise ConfigError(f'num_gpus = {num_gpus} asks for {local} GPUs on {where}, which has '
                      f'{available}. To use what there is, {preset}run with --set '
                      f'num_gpus={available * machines}.')


def make_cpu_devices(count):
    """Cut the CPU into so many devices, unless it is already."""
    cpus = tf.config.list_physical_devices('CPU')
    configured = tf.config.get_logical_device_configuration(cpus[0])
    if configured is None or len(configured) < count:
        try:
            tf.config.set_logical_device_configuration(
                cpus[0], [tf.config.LogicalDeviceConfiguration()] * count)
        except RuntimeError as error:
            raise ConfigError(f'num_gpus = {count}: this machine has no GPU, and TensorFlow has '
                              'started already, with '
                              f'{len(tf.config.list_logical_devices("CPU"))} CPU device(s). Call '
                              f'tfutil.init_tf(num_gpus={count}) before anything else.') from error


def replica_devices(num_gpus):
    """Names of up to `num_gpus` devices of this machine to compute on: its GPUs, or else its CPU
    devices.
    """
    devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
    return [device.name for device in devices[:num_gpus]]


def make_devices(num_gpus=1):
    """The devices of a training run, with TensorFlow's strategy for them; tells where CPU devices
    stand in, and of other machines.

    Args:
        num_gpus: replicas, over all machines.

    Raises:
        ConfigError: see `prepare_devices`, or several machines are asked for after TensorFlow has
    started. """
    cluster = Cluster.from_environment()
    prepare_devices(num_gpus)
    if cluster is not None:
        return _join(cluster)
    if num_gpus == 1:
        return Devices(tf.distribute.get_strategy())
    if not tf.config.list_physical_devices('GPU'):
        print(f'Note: TensorFlow finds no GPU on this machine. {num_gpus} CPU devices stand for '
              f'num_gpus = {num_gpus}: the run computes what it would on so many GPUs, at the '
              'speed of one CPU.')
    return Devices(_mirrored(tuple(replica_devices(num_gpus))))


@functools.cache
def _mirrored(devices):
    # What adds up across CPU devices by default takes the sums of two strategies in one process for
    # one another's.
    on_cpu = 'CPU' in devices[0]
    return tf.distribute.MirroredStrategy(devices,
                                          tf.distribute.ReductionToOneDevice() if on_cpu else None)


def _join(cluster):
    """Meet the other machines."""
    wait_for_machines(cluster)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(f'TF_CONFIG asks for {len(cluster.addresses)} machines, but TensorFlow '
                          f'has started already on this one alone: {in_short(error)} Start '
                          'training in a process of its own, as python train.py does.') from error
    except tf.errors.OpError as error:
        raise ClusterError(f'the machines of TF_CONFIG ({", ".join(cluster.addresses)}) do not '
                           f'find one another: {_telling_part(error)}. Check that each runs the '
                           'same command, with its own index, and that the ports are open and '
                           'free.') from error
    print(f'All {len(cluster.addresses)} machines are here: {strategy.num_replicas_in_sync} '
          'replicas.')
    return Devices(strategy, cluster.index, len(cluster.addresses))
