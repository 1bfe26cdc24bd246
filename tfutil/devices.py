"""Devices of a run: one device, several GPUs of one machine, or those of several machines.

CPU devices stand in for missing GPUs. Each device holds a replica, which trains on its share of
each minibatch. Gradients and statistics are summed over all replicas inside the compiled step, see
`all_reduce`.
"""
import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, in_short
from tfutil.cluster import Cluster, ClusterError, wait_for_machines

PRESETS = (1, 2, 4, 8)  # numbers of GPUs of the presets in config.py


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices of a run.

    Attributes:
        strategy: TensorFlow's distribution strategy, which creates variables and runs steps.
        index, workers: index of this process, and number of processes. Process 0 is the chief,
            which writes the results.
    """
    strategy: tf.distribute.Strategy
    index: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def num_replicas(self) -> int:
        """Number of replicas in all processes."""
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self) -> int:
        """Number of replicas in this process."""
        return self.num_replicas // self.workers

    @property
    def local_names(self) -> Sequence[str]:
        """Device names of this process's replicas."""
        if self.num_replicas > 1:
            return self.strategy.extended.worker_devices
        return replica_devices(1)

    def split_among_replicas(
            self, *tensors: tf.Tensor
    ) -> tuple[tf.Tensor | tf.distribute.DistributedValues, ...]:
        """Split this process's part of a minibatch among its replicas, for `strategy.run`.

        Args:
            tensors: tensors in host memory, [N, ...].

        Returns:
            The shares of each tensor, in order, each on its replica's device. A single replica gets
            plain tensors.
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
            variables: tf.Variables in the same order on each machine; set to the chief's values.
            data: any bytes; only the chief's are used.

        Returns:
            The chief's data.
        """
        if self.workers == 1:
            return data

        @tf.function(autograph=False, reduce_retracing=True)
        def chiefs(values):
            """Broadcast by all-reduce: all replicas but the chief's first contribute zeros."""
            def add():
                first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
                return all_reduce([tf.where(first, values, tf.zeros_like(values))])[0]
            return self.strategy.experimental_local_results(self.strategy.run(add))[0]

        size = int(chiefs(tf.constant([len(data)], tf.float64))[0])
        sent = np.zeros(size, np.float64)
        sent[:min(size, len(data))] = np.frombuffer(data, np.uint8)[:size]
        received = chiefs(tf.constant(sent)).numpy()
        for var in variables:  # one at a time: all together may fill the memory of a GPU
            flat = chiefs(tf.reshape(tf.cast(var, tf.float64), [-1]))
            var.assign(tf.cast(tf.reshape(flat, var.shape), var.dtype))
        return np.rint(received).astype(np.uint8).tobytes()

    @contextlib.contextmanager
    def explaining_lost_peers(self) -> Iterator[None]:
        """Translate TensorFlow's various errors about a lost peer into one.

        Raises:
            ClusterError: another process of this run has ended or can no longer be reached.
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
                f'(number {self.index} of {self.workers}) stops, too. The last saved state is in '
                'the result folder of the first machine. Look for the cause on the other '
                'machines, then start all of them again. TensorFlow reports: '
                f'{_cause_of(error)}') from error


def _cause_of(error: tf.errors.OpError) -> str:
    """Return the line of a TensorFlow error that names the cause; the others are a traceback."""
    lines = [line.strip() for line in str(error.message).split('\n') if line.strip()]
    aborted = [line for line in lines if line.startswith('Collective ops is aborted')]
    return in_short([*aborted, *lines[-1:], error][0])


def _on_device(array: np.ndarray, name: str) -> tf.Tensor:
    with tf.device(name):
        return tf.convert_to_tensor(array)


def all_reduce(tensors: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """Sum tensors over all replicas, inside a replica's step.

    A single replica gets its tensors back unchanged.

    Args:
        tensors: float tensors of the same shapes on each replica.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1 or not tensors:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def replica_copies(var: tf.Variable) -> list[tf.Variable]:
    """Return a variable and its copies on the devices of this process."""
    return [var, *getattr(var, 'values', ())]


def set_in_replica(var: tf.Variable, value: tf.Tensor) -> None:
    """Set a replica's copy of a variable, inside its step. All replicas must set the same value."""
    tf.raw_ops.AssignVariableOp(resource=var.handle, value=tf.cast(value, var.dtype))


def prepare_devices(num_gpus: int) -> None:
    """Check that `num_gpus` GPUs exist; on a machine without GPUs, create CPU devices instead.

    Call it before TensorFlow starts.

    Raises:
        ConfigError: there are fewer GPUs, or TensorFlow has already started with fewer CPU devices.
    """
    cluster = Cluster.from_environment()
    gpus = tf.config.list_physical_devices('GPU')
    local = num_gpus if cluster is None else _share_of_machine(num_gpus, cluster, bool(gpus))
    if gpus:
        _check_gpus(num_gpus, local, len(gpus), cluster)
        hide_gpus(after=local)  # the strategy for several machines trains on all visible GPUs
    elif local > 1:
        make_cpu_devices(local)


def hide_gpus(after: int) -> None:
    """Hide all GPUs but the first `after` from TensorFlow, which allocates memory on each it sees.

    Nothing happens if TensorFlow has already started.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices(tf.config.list_physical_devices('GPU')[:after], 'GPU')


def _share_of_machine(num_gpus: int, cluster: Cluster, has_gpus: bool) -> int:
    """Return the number of replicas on each machine of a cluster."""
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
    """Split the CPU into `count` devices, unless there are that many already."""
    cpus = tf.config.list_physical_devices('CPU')
    configured = tf.config.get_logical_device_configuration(cpus[0])
    if configured is None or len(configured) < count:
        wanted = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpus[0], wanted)
        except RuntimeError as error:
            raise ConfigError(f'num_gpus = {count}: this machine has no GPU, and TensorFlow has '
                              'already started with '
                              f'{len(tf.config.list_logical_devices("CPU"))} CPU device(s). Call '
                              f'tfutil.init_tf(num_gpus={count}) before anything else.') from error


def replica_devices(num_gpus: int) -> list[str]:
    """Return up to `num_gpus` device names of this machine: its GPUs, or else its CPU devices."""
    devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
    return [device.name for device in devices[:num_gpus]]


def make_devices(num_gpus: int = 1) -> Devices:
    """Return the devices of a training run, with TensorFlow's strategy for them.

    Prints a note if CPU devices stand in for GPUs, and about the other machines.

    Args:
        num_gpus: number of replicas on all machines together.

    Raises:
        ConfigError: see `prepare_devices`; or TF_CONFIG names several machines but TensorFlow has
            already started.
    """
    cluster = Cluster.from_environment()
    prepare_devices(num_gpus)
    if cluster is not None:
        return _join(cluster)
    if num_gpus == 1:
        return Devices(tf.distribute.get_strategy())
    if not tf.config.list_physical_devices('GPU'):
        print(f'Note: TensorFlow finds no GPU on this machine. {num_gpus} CPU devices stand in '
              f'for num_gpus = {num_gpus}: the run computes the same as on GPUs, at the speed of '
              'one CPU.')
    return Devices(_mirrored(tuple(replica_devices(num_gpus))))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # The default all-reduce of CPU devices mixes up the sums of two strategies in one process.
    operations = tf.distribute.ReductionToOneDevice() if 'CPU' in devices[0] else None
    return tf.distribute.MirroredStrategy(devices, operations)


def _join(cluster: Cluster) -> Devices:
    """Wait for the other machines and create the strategy."""
    wait_for_machines(cluster)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(f'TF_CONFIG asks for {len(cluster.addresses)} machines, but TensorFlow '
                          f'has already started on this one alone: {in_short(error)} Start '
                          'training in a separate process, as train.py does.') from error
    except tf.errors.OpError as error:
        raise ClusterError(f'the machines of TF_CONFIG ({", ".join(cluster.addresses)}) do not '
                           f'find each other: {_cause_of(error)}. Check that each runs the '
                           'same command, with its own index, and that the ports are open and '
                           'free.') from error
    print(f'All {len(cluster.addresses)} machines are here: {strategy.num_replicas_in_sync} '
          'replicas.')
    return Devices(strategy, cluster.index, len(cluster.addresses))
