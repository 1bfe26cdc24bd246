"""Snapshots in the Theano version's format."""
import pickle
import sys
import types

import numpy as np

import misc
from tests.support.golden import GOLDEN


def theano_bytes(states, protocol=2):
    """Bytes of a Theano snapshot with these states."""
    module = types.ModuleType('network')
    module.Network = type('Network', (), {
        '__module__': 'network', '__qualname__': 'Network', '__getstate__': lambda self: self.state
    })
    networks = [module.Network() for _ in states]
    for network, state in zip(networks, states):
        network.state = state
    sys.modules['network'] = module
    try:
        return pickle.dumps(tuple(networks), protocol=protocol)
    finally:
        del sys.modules['network']


def load_bytes(data, **options):
    """Return misc.load_pkl of a file with these bytes."""
    with open('theano.pkl', 'wb') as file:
        file.write(data)
    return misc.load_pkl('theano.pkl', **options)


def load_state(state, protocol=2, **options):
    return load_bytes(theano_bytes([state], protocol), **options)[0]


def theano_weight(name, weight):
    """Convert a weight to Theano's layout; return it and the He gain of its layer."""
    gain = np.sqrt(2)
    if name == '4x4/Dense':  # [inputs, (maps, y, x)]
        return np.moveaxis(weight.reshape(len(weight), -1, 4, 4), 1, 0), gain / 4
    if name == '4x4/Dense0':  # [(maps, y, x), outputs]
        return np.rot90(np.moveaxis(weight.reshape(-1, 4, 4, weight.shape[1]), -1, 0), 2,
                        axes=(2, 3)), gain
    if name == '4x4/Dense1':
        return weight, 1.0
    if 'RGB' in name:
        return weight[0, 0], 1.0 if 'To' in name else gain
    return np.einsum('yxio->oiyx', np.rot90(weight, 2)), gain


class TheanoPickle(pickle.Unpickler):
    """Reads the states of a Theano snapshot, so that they can be changed and written again."""

    def find_class(self, module, name):
        return types.SimpleNamespace if (module,
                                         name) == ('network',
                                                   'Network') else super().find_class(module, name)


def states_of(case):
    """States of (G, D, Gs) in a golden snapshot."""
    with open(GOLDEN / f'theano-{case}.pkl', 'rb') as file:
        return [vars(network) for network in TheanoPickle(file, encoding='latin1').load()]
