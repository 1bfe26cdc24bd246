"""Damaged weight files: either all values are as saved, or an error leaves the network unchanged.
"""
import numpy as np
import pytest

import tfutil
from pgan.errors import UserError
from tests.support.damage import check_all, damaged, find_all, flips_within, half_precision

pytestmark = pytest.mark.usefixtures('limits')


@pytest.mark.slow
def test_weights(in_tmp):
    """The archive has checksums: either all values are as saved, or an error changes nothing."""
    # More than 4096 bytes per member: smaller ones are read whole, without regard to their header.
    net = tfutil.Network('G', 'networks.G_paper', num_channels=1, resolution=4, fmap_base=16,
                         fmap_max=16, latent_size=20)
    path = in_tmp / 'weights.npz'
    net.save_weights(path)
    saved = {name: var.numpy() for name, var in net.vars.items()}
    before = {name: np.full(value.shape, 7, np.float32) for name, value in saved.items()}

    def read():
        for name, value in before.items():
            net.set_var(name, value)
        try:
            net.load_weights(path)
        except UserError:
            assert all((net.get_var(name) == value).all() for name, value in before.items())
            raise

    def is_saved(result, data):
        for name, value in saved.items():
            np.testing.assert_array_equal(net.get_var(name), value)

    data = path.read_bytes()
    assert check_all(path, damaged(data, 800, seed=1), read, is_saved) < 500
    headers = [at + shift for at in find_all(data, b'\x93NUMPY') for shift in range(80)]
    check_all(path, damaged(data, 400, seed=2, kinds=[flips_within(headers)]), read, is_saved)
    check_all(path, half_precision(data), read, is_saved)
