"""Snapshots that travel to the original program: read by another Python with a stand-in for the original's class.

OLD_PYTHONS names further interpreters to try, e.g. OLD_PYTHONS=/opt/python3.7/bin/python (with NumPy; separated by ':').
"""
import hashlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import misc
import tfutil

INTERPRETERS = [sys.executable, *filter(None, os.environ.get('OLD_PYTHONS', '').split(os.pathsep))]


@pytest.fixture(scope='module')
def networks():
    options = dict(num_channels=1, resolution=16, label_size=2, fmap_base=64, fmap_max=16)
    G = tfutil.Network('G', 'networks.G_paper', **options)
    G.set_var('lod', 0.75)
    return G, tfutil.Network('D', 'networks.D_paper', mbstd_group_size=2, **options), G.clone('Gs')


@pytest.mark.parametrize('writer', ['misc.save_pkl', 'pickle.dump'])
@pytest.mark.parametrize('interpreter', INTERPRETERS)
def test_other_pythons_read_the_state(interpreter, writer, networks, tmp_path):
    path = tmp_path / 'network.pkl'
    if writer == 'misc.save_pkl':
        misc.save_pkl(networks, path)
    else:
        path.write_bytes(pickle.dumps(networks, protocol=4))
    done = subprocess.run([interpreter, ROOT / 'tests' / 'snapshot_reader.py', path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for network, state in zip(networks, json.loads(done.stdout)['states'], strict=True):
        assert state.pop('variables') == [[name, ['float32', list(var.shape), hashlib.sha256(var.numpy().tobytes()).hexdigest()]]
                                          for name, var in network.vars.items()]
        func = {'G': 'G_paper', 'D': 'D_paper', 'Gs': 'G_paper'}[network.name]
        # Exactly the original's keys; its class executes build_module_src, which gets it its own functions of these names.
        assert state == {'version': 2, 'name': network.name, 'static_kwargs': network.static_kwargs, 'build_func_name': func,
                         'build_module_src': 'from networks import *\n'}


def test_what_another_program_would_read_is_what_we_read(networks, tmp_path):
    misc.save_pkl(networks, tmp_path / 'network.pkl')
    for network, again in zip(networks, misc.load_pkl(tmp_path / 'network.pkl'), strict=True):
        assert list(again.vars) == list(network.vars) and again.static_kwargs == network.static_kwargs
        assert all(np.array_equal(again.get_var(name), network.get_var(name)) for name in network.vars)
