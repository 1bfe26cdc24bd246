"""Cluster of a run: TF_CONFIG, and the rendezvous of its machines at the start."""
import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping

from pgan.errors import ConfigError, UserError

WAIT_MINUTES = 10  # how long the machines of a run wait for each other at the start


_TASKS = ('chief', 'worker')


class ClusterError(UserError):
    """Another machine of the run is missing or lost."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Machines of a run, as listed in TF_CONFIG.

    Attributes:
        addresses: 'host:port' of each machine, the chief's first.
        index: index of this process in `addresses`.
    """
    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> 'Cluster | None':
        """Return the cluster of the environment variable TF_CONFIG.

        Returns:
            The cluster; None if TF_CONFIG is not set or names only one machine.

        Raises:
            ConfigError: TF_CONFIG is not in TensorFlow's format.
        """
        text = environ.get('TF_CONFIG', '').strip()
        if not text:
            return None
        try:
            config = json.loads(text)
            jobs, task = config.get('cluster') or {}, config.get('task') or {}
            kind, index = task.get('type', 'worker'), int(task.get('index', 0))
            addresses = {job: list(jobs.get(job, [])) for job in _TASKS}
        except (ValueError, TypeError, AttributeError) as error:
            raise _bad_cluster(text, f'it cannot be read ({error})') from None
        unknown = sorted(set(jobs) - set(_TASKS))
        if unknown:
            raise _bad_cluster(text, f'it has tasks of type {unknown[0]!r}, which training does '
                                     'not use')
        everyone = addresses['chief'] + addresses['worker']
        if not all(map(_is_address, everyone)):
            raise _bad_cluster(text, "an address is not 'host:port'")
        if len(set(everyone)) < len(everyone):
            raise _bad_cluster(text, 'two tasks have the same address')
        if kind not in _TASKS or not 0 <= index < len(addresses[kind]):
            raise _bad_cluster(text, f'its task is {kind!r} number {index}, which its cluster '
                                     'does not have')
        if len(everyone) == 1:
            return None
        before = len(addresses['chief']) if kind == 'worker' else 0
        return cls(tuple(everyone), before + index)


def _is_address(address: object) -> bool:
    port = re.fullmatch(r'[^\s/]+:([0-9]{1,5})', address) if isinstance(address, str) else None
    return port is not None and 0 < int(port[1]) < 2 ** 16


def _bad_cluster(text: str, what: str) -> ConfigError:
    return ConfigError(
        f'TF_CONFIG does not describe the machines of a run: {what}. Expected, on the first of '
        'two machines: {"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": '
        f'"worker", "index": 0}}}}, and "index": 1 on the second. Received: {text[:300]!r}. To '
        'train on one machine, unset TF_CONFIG. See docs/distributed.md.')


def wait_for_machines(cluster: Cluster, limit: float = WAIT_MINUTES * 60,
                      repeat: float = 60) -> None:
    """Wait until every other machine can be reached.

    Meanwhile this machine accepts connections at its port, which is free again afterwards.
    TensorFlow would wait silently, without naming the missing machines.

    Args:
        cluster: the machines.
        limit: timeout in seconds.
        repeat: seconds between two messages about the missing machines.

    Raises:
        ClusterError: a machine is still missing after the timeout.
        ConfigError: this machine's port is in use.
    """
    missing = [address for i, address in enumerate(cluster.addresses) if i != cluster.index]
    print(f'This is machine {cluster.index} of {len(cluster.addresses)}, '
          f'{cluster.addresses[cluster.index]}. Waiting for {", ".join(missing)}, up to '
          f'{limit / 60:g} minutes...', flush=True)
    start = reminded = time.monotonic()
    with _answering(cluster):
        while missing := [address for address in missing if not _answers(address)]:
            now = time.monotonic()
            if now - start >= limit:
                raise ClusterError(
                    f'{len(missing)} of {len(cluster.addresses)} machines did not appear within '
                    f'{limit / 60:g} minutes: {", ".join(missing)}. Check that each runs the same '
                    'command, with the same TF_CONFIG except for its own index, that these names '
                    'can be reached from here, and that no firewall blocks their ports; then '
                    'start all of them again. See docs/distributed.md.')
            if now - reminded >= repeat:
                print(f'Still waiting for {", ".join(missing)}...', flush=True)
                reminded = now
            time.sleep(0.5)


@contextlib.contextmanager
def _answering(cluster: Cluster) -> Iterator[None]:
    """Accept connections at this machine's port, where TensorFlow will listen later."""
    port = int(cluster.addresses[cluster.index].rpartition(':')[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(('', port), family=family, backlog=1024, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(f'port {port}, which TF_CONFIG gives to this machine (number '
                          f'{cluster.index}), cannot be opened: {error.strerror}. If an earlier '
                          'run is still active here, stop it; or choose another port, the same '
                          'in the TF_CONFIG of every machine.') from error
    with server:
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(':')
    try:
        with socket.create_connection((host.strip('[]'), int(port)), timeout=2) as connection:
            # A connection to a closed local port may, by chance, connect to itself.
            return connection.getsockname() != connection.getpeername()
    except (OSError, UnicodeError):
        return False
