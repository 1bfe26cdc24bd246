"""Reads a snapshot as the original program would, with a stand-in for its class; runs on Python 3.6
or later with NumPy 1.13 or later.

    python snapshot_reader.py network-final.pkl

Prints the content as JSON.
"""
import hashlib
import json
import pickle
import sys
import types

import numpy as np


class Network(object):  # noqa: UP004
    def __setstate__(self, state):
        self.state = state


def describe(value):
    assert type(value) is np.ndarray, type(value)
    return [
        str(value.dtype),
        list(value.shape),
        hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    ]


def main(path):
    module = types.ModuleType('tfutil')
    module.Network = Network
    sys.modules['tfutil'] = module
    with open(path, 'rb') as file:
        networks = pickle.load(file)
    states = [
        dict(network.state, variables=[[name, describe(value)]
                                       for name, value in network.state['variables']])
        for network in networks
    ]
    print(json.dumps({'python': sys.version.split()[0], 'numpy': np.__version__, 'states': states}))


if __name__ == '__main__':
    main(sys.argv[1])
