"""The machines of a run: TF_CONFIG, and waiting for each other at the start."""
import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping

from pgan.errors import ConfigError, UserError

WAIT_MINUTES = 10  # how long the machines of a run wait for one another at the start


_TASKS = ('chief', 'worker')


class ClusterError(UserError):
    """Another machine of the run does not appear, or is gone."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The machines of a run, as TF_CONFIG names them.

    Attributes:
        addresses: 'host:port' of each, the chief's first.
        index: which of them this process is.
    """
    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> 'Cluster | None':
        """Return the cluster of the environment variable TF_CONFIG.

        Returns:
            None if TF_CONFIG is not set or names just one machine.

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
            raise _bad_cluster(text, f'it has tasks of type {unknown[0]!r}, which training has no '
                                     'use for')
        everyone = addresses['chief'] + addresses['worker']
        if not all(map(_is_address, everyone)):
            raise _bad_cluster(text, "an address is not 'host:port'")
        if len(set(everyone)) < len(everyone):
            raise _bad_cluster(text, 'two tasks have the same address')
        if kind not in _TASKS or not 0 <= index < len(addresses[kind]):
            raise _bad_cluster(text, f'it says that this process is {kind!r} number {index}, '
                                     'which its cluster does not have')
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
    """Return when every other machine has been seen.

    Meanwhile this machine's port answers the others; it is free again afterwards. TensorFlow alone
    would wait silently, without naming the machines that are missing.

    Args:
        cluster: the machines.
        limit: seconds until the missing machines are given up.
        repeat: seconds between two reminders of what is being waited for.

    Raises:
        ClusterError: a machine has not appeared.
        ConfigError: this machine's port is taken.
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
                    'command, with the same TF_CONFIG but for its own index, that these names '
                    'lead to them from here, and that no firewall closes their ports; then start '
                    'all of them again. See docs/distributed.md.')
            if now - reminded >= repeat:
                print(f'Still waiting for {", ".join(missing)}...', flush=True)
                reminded = now
            time.sleep(0.5)


@contextlib.contextmanager
def _answering(cluster: Cluster) -> Iterator[None]:
    """Let the other machines connect to this one's port, on which TensorFlow listens later."""
    port = int(cluster.addresses[cluster.index].rpartition(':')[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(('', port), family=family, backlog=1024, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(f'port {port}, which TF_CONFIG gives to this machine (number '
                          f'{cluster.index}), cannot be opened: {error.strerror}. If an earlier '
                          'run is still at work here, stop it; or choose another port, the same '
                          'in the TF_CONFIG of every machine.') from error
    with server:
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(':')
    try:
        with socket.create_connection((host.strip('[]'), int(port)), timeout=2) as connection:
            # A connection to a port of this machine that nobody has opened may, by chance, end at
            # itself.
            return connection.getsockname() != connection.getpeername()
    except (OSError, UnicodeError):
        return False
