"""Damaged network pickles load intact networks, or fail with one paragraph that names the file."""
import pickle
import pickletools
import shutil

import numpy as np
import pytest

import misc
import tfutil
from tests.support.damage import KINDS, check_all, damaged, flips_within
from tests.support.golden import GOLDEN

pytestmark = pytest.mark.usefixtures('limits')


def structure_of(data):
    """Positions of all bytes of a pickle outside the data of arrays."""
    starts = [position for _, _, position in pickletools.genops(data)] + [len(data)]
    return [
        at for start, stop in zip(starts, starts[1:]) for at in range(start, min(stop, start + 40))
    ]


def is_plain_or_network(result, data):
    """Result of loading: intact networks or, if the damage hit the frame around them, plain
    containers.
    """
    if isinstance(result, tfutil.Network):
        for var in result.vars.values():
            assert var.dtype == 'float32' and None not in var.shape
        return
    if isinstance(result, dict):
        result = [*result.keys(), *result.values()]
    if isinstance(result, (tuple, list, set, frozenset)):
        for part in result:
            is_plain_or_network(part, data)
        return
    plain = (type(None), bool, int, float, complex, str, bytes, bytearray, np.ndarray, np.generic,
             type)
    assert isinstance(result, plain) or result in misc.pickles._ADMITTED.values(
    ) or 'Network' in repr(result), repr(result)


def small_networks():
    options = dict(num_channels=1, resolution=4, fmap_base=4, fmap_max=4)
    G = tfutil.Network('G', 'networks.G_paper', latent_size=3, **options)
    return G, tfutil.Network('D', 'networks.D_paper', **options), G.clone('Gs')


@pytest.mark.slow
def test_snapshots_of_this_program(in_tmp):
    path = in_tmp / 'network-final.pkl'
    misc.save_pkl(small_networks(), path)
    data = path.read_bytes()
    structure = flips_within(structure_of(data))
    cases = damaged(data, 405, seed=1, kinds=[*KINDS, structure])
    assert check_all(path, cases, lambda: misc.load_pkl(path), is_plain_or_network) < 300


@pytest.mark.first(2, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize(('name', 'count'), [('original-format-network', 66), ('theano-wscale', 66),
                                             ('theano-progressive8', 66), ('theano-unknown', 66)])
def test_snapshots_of_others(name, count, in_tmp):
    path = in_tmp / 'network-final.pkl'
    shutil.copy(GOLDEN / f'{name}.pkl', path)
    data = path.read_bytes()
    structure = flips_within(structure_of(data))
    check_all(path, damaged(data, count, seed=1, kinds=[*KINDS, structure, structure, structure]),
              lambda: misc.load_pkl(path), is_plain_or_network)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_each_protocol(protocol, in_tmp):
    """Arrays in NumPy's own pickle formats, and containers of all kinds."""
    path = in_tmp / 'a.pkl'
    value = (np.arange(6.0).reshape(2, 3), [1, 2.5, None], {'a': {3}, 'b': b'bytes'}, np.float32(2),
             bytearray(b'x'), 1 << 70, 2j, 'x' * 300, [str(number) for number in range(300)])
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    check_all(path, damaged(path.read_bytes(), 600, seed=protocol), lambda: misc.load_pkl(path),
              is_plain_or_network)


HUGE = {
    'text': b'\x80\x02X\xff\xff\xff\x7f.',
    'bytes': b'\x80\x04\x8e' + (1 << 40).to_bytes(8, 'little') + b'.',
    'bytes of 4': b'\x80\x04B\xff\xff\xff\xff.',
    'bytearray': b'\x80\x05\x96' + (1 << 33).to_bytes(8, 'little') + b'.',
    'frame': b'\x80\x04\x95' + (1 << 33).to_bytes(8, 'little') + b'N.',
    'place in the memo': b'\x80\x02}r\xff\xff\xff\x7f.',
    'place in the memo, as text': b'(dp2000000000\n.', 'number': b'\x80\x02\x8b\xff\xff\xff\x7f.',
    'string': b'\x80\x02T\xff\xff\xff\x7f.'
}


@pytest.mark.parametrize('data', HUGE.values(), ids=HUGE)
def test_sizes_in_a_pickle_reserve_no_memory(data, in_tmp):
    path = in_tmp / 'a.pkl'
    path.write_bytes(b'')
    assert check_all(path, [('', data)], lambda: misc.load_pkl(path), None) == 0
