"""The devices of a run: one, several GPUs of one machine, or those of several machines.

CPU devices stand in where there are no GPUs. Every device trains on its own share of each
minibatch: it is a replica. What the replicas must agree on (gradients, statistics) is summed over
all of them inside the compiled step, see `all_reduce`.
"""
import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, in_short
from tfutil.cluster import Cluster, ClusterError, wait_for_machines

PRESETS = (1, 2, 4, 8)  # numbers of GPUs that config.py has a preset for


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a run computes.

    Attributes:
        strategy: TensorFlow's; variables are made in its scope, and steps run by it.
        index, workers: which process this is, of how many. Process 0 is the chief, which writes the
            results.
    """
    strategy: tf.distribute.Strategy
    index: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def num_replicas(self) -> int:
        """Replicas in all processes together."""
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self) -> int:
        """Replicas in this process."""
        return self.num_replicas // self.workers

    @property
    def local_names(self) -> Sequence[str]:
        """Names of the devices of this process's replicas."""
        if self.num_replicas > 1:
            return self.strategy.extended.worker_devices
        return replica_devices(1)

    def split_among_replicas(
            self, *tensors: tf.Tensor
    ) -> tuple[tf.Tensor | tf.distribute.DistributedValues, ...]:
        """Split this process's part of a minibatch among its replicas, for `strategy.run`.

        Args:
            tensors: tensors in the memory of the host, [N, ...].

        Returns:
            For each tensor its shares, in order, each on its replica's device. A single replica
            gets plain tensors.
        """
        count, names = self.local_replicas, self.local_names
        shares = [
            [_on_device(part, name) for part, name in zip(np.split(tensor.numpy(), count), names)]
            for tensor in tensors
        ]
        if count == 1:
            return tuple(parts[0] for parts in shares)
        first = self.index * count

        def distributed(parts):
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: parts[context.replica_id_in_sync_group - first])
        return tuple(map(distributed, shares))

    def wait_for_all(self) -> None:
        """Barrier: return when every process has called this."""
        if self.workers > 1:
            @tf.function(autograph=False)
            def meet():
                return self.strategy.run(lambda: all_reduce([tf.ones([])]))
            meet()

    def broadcast_from_chief(self, variables: Sequence[tf.Variable], data: bytes) -> bytes:
        """Broadcast the chief's values to all machines.

        Args:
            variables: tf.Variable, the same on each machine; they get the chief's values.
            data: any bytes; only the chief's matter.

        Returns:
            The chief's data.
        """
        if self.workers == 1:
            return data

        @tf.function(autograph=False, reduce_retracing=True)
        def chiefs(values):
            """The chief's values of a flat tensor: all but its first replica add zeros."""
            def add():
                first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
                return all_reduce([tf.where(first, values, tf.zeros_like(values))])[0]
            return self.strategy.experimental_local_results(self.strategy.run(add))[0]

        size = int(chiefs(tf.constant([len(data)], tf.float64))[0])
        sent = np.zeros(size, np.float64)
        sent[:min(size, len(data))] = np.frombuffer(data, np.uint8)[:size]
        received = chiefs(tf.constant(sent)).numpy()
        for var in variables:  # one at a time: together they may be as large as the memory of a GPU
            flat = chiefs(tf.reshape(tf.cast(var, tf.float64), [-1]))
            var.assign(tf.cast(tf.reshape(flat, var.shape), var.dtype))
        return np.rint(received).astype(np.uint8).tobytes()

    @contextlib.contextmanager
    def explaining_lost_peers(self) -> Iterator[None]:
        """Turn TensorFlow's many errors about a lost machine into one.

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
                f'{_cause_of(error)}') from error


def _cause_of(error: tf.errors.OpError) -> str:
    """The line of a TensorFlow error that names the cause; the others list where it came up."""
    lines = [line.strip() for line in str(error.message).split('\n') if line.strip()]
    aborted = [line for line in lines if line.startswith('Collective ops is aborted')]
    return in_short([*aborted, *lines[-1:], error][0])


def _on_device(array: np.ndarray, name: str) -> tf.Tensor:
    with tf.device(name):
        return tf.convert_to_tensor(array)


def all_reduce(tensors: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """Sum tensors over all replicas, inside a replica's step. A single replica gets its own back.

    Args:
        tensors: float tensors, of the same shapes on each replica.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1 or not tensors:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def replica_copies(var: tf.Variable) -> list[tf.Variable]:
    """A variable and its copies on the devices of this process."""
    return [var, *getattr(var, 'values', ())]


def set_in_replica(var: tf.Variable, value: tf.Tensor) -> None:
    """Set a replica's own copy of a variable, inside its step; all must set the same value."""
    tf.raw_ops.AssignVariableOp(resource=var.handle, value=tf.cast(value, var.dtype))


def prepare_devices(num_gpus: int) -> None:
    """Check that `num_gpus` GPUs exist; on a machine without any, make CPU devices instead.

    Call it before TensorFlow starts.

    Raises:
        ConfigError: there are fewer GPUs, or TensorFlow has started already, with fewer CPU
            devices.
    """
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


def _share_of_machine(num_gpus: int, cluster: Cluster, has_gpus: bool) -> int:
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


def _check_gpus(num_gpus: int, local: int, available: int, cluster: Cluster | None) -> None:
    if local <= available:
        return
    machines = 1 if cluster is None else len(cluster.addresses)
    where = ('this machine' if cluster is None else
             f'machine {cluster.index} ({cluster.addresses[cluster.index]})')
    usable = available * machines
    fitting = [count for count in PRESETS if count <= usable and count % machines == 0]
    preset = (f"choose 'preset-v2-{fitting[-1]}gpu{'s' if fitting[-1] > 1 else ''}' in config.py, "
              'or ') if fitting else ''
    raise ConfigError(f'num_gpus = {num_gpus} asks for {local} GPUs on {where}, which has '
                      f'{available}. To use what there is, {preset}run with --set '
                      f'num_gpus={usable}.')


def make_cpu_devices(count: int) -> None:
    """Split the CPU into `count` devices, unless it is already."""
    cpus = tf.config.list_physical_devices('CPU')
    configured = tf.config.get_logical_device_configuration(cpus[0])
    if configured is None or len(configured) < count:
        wanted = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpus[0], wanted)
        except RuntimeError as error:
            raise ConfigError(f'num_gpus = {count}: this machine has no GPU, and TensorFlow has '
                              'started already, with '
                              f'{len(tf.config.list_logical_devices("CPU"))} CPU device(s). Call '
                              f'tfutil.init_tf(num_gpus={count}) before anything else.') from error


def replica_devices(num_gpus: int) -> list[str]:
    """Names of up to `num_gpus` devices of this machine: its GPUs, or else its CPU devices."""
    devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
    return [device.name for device in devices[:num_gpus]]


def make_devices(num_gpus: int = 1) -> Devices:
    """The devices of a training run, with TensorFlow's strategy for them.

    Prints a note where CPU devices stand in for GPUs, and about other machines.

    Args:
        num_gpus: replicas, over all machines.

    Raises:
        ConfigError: see `prepare_devices`, or several machines are asked for after TensorFlow has
            started.
    """
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
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # What adds up across CPU devices by default takes the sums of two strategies in one process for
    # one another's.
    operations = tf.distribute.ReductionToOneDevice() if 'CPU' in devices[0] else None
    return tf.distribute.MirroredStrategy(devices, operations)


def _join(cluster: Cluster) -> Devices:
    """Meet the other machines."""
    wait_for_machines(cluster)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(f'TF_CONFIG asks for {len(cluster.addresses)} machines, but TensorFlow '
                          f'has started already on this one alone: {in_short(error)} Start '
                          'training in a process of its own, as train.py does.') from error
    except tf.errors.OpError as error:
        raise ClusterError(f'the machines of TF_CONFIG ({", ".join(cluster.addresses)}) do not '
                           f'find one another: {_cause_of(error)}. Check that each runs the '
                           'same command, with its own index, and that the ports are open and '
                           'free.') from error
    print(f'All {len(cluster.addresses)} machines are here: {strategy.num_replicas_in_sync} '
          'replicas.')
    return Devices(strategy, cluster.index, len(cluster.addresses))
