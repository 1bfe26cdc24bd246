"""misc.pickles: files can be read anywhere, and are read as data, never as code."""
import collections
import gzip
import os
import pickle
import pickletools
import struct
import tempfile

import numpy as np
import pytest

import misc
from misc import pickles
from pgan.errors import DataError
from tests.support.golden import GOLDEN

ARRAYS = {
    'float32': np.arange(6, dtype=np.float32).reshape(2, 3), 'float16': np.float16([1, 2]),
    'int64': np.arange(3), 'big endian': np.arange(3, dtype='>i2'), 'bool': np.array([True, False]),
    'complex': np.array([1j]), 'no axes': np.array(3.5), 'empty': np.zeros([0, 4], np.float32),
    'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    'strided': np.arange(12).reshape(3, 4)[::2, ::-1], 'text': np.array(['a', 'bcd']),
    'bytes': np.array([b'a', b'bc']), 'number': np.float32(0.1), 'truth': np.bool_(True)
}


def assert_same(received, expected):
    assert np.asarray(received).dtype == np.asarray(expected).dtype
    assert np.shape(received) == np.shape(expected)
    np.testing.assert_array_equal(received, expected)


def load_bytes(data):
    """Return misc.load_pkl of a file with these bytes."""
    with open('test.pkl', 'wb') as file:
        file.write(data)
    return misc.load_pkl('test.pkl')


# ------------------------------------------------------------ writing

@pytest.mark.parametrize('array', ARRAYS.values(), ids=ARRAYS)
def test_round_trip(array, in_tmp):
    misc.save_pkl((array,), 'a.pkl')
    received, = misc.load_pkl('a.pkl')
    assert_same(received, array)
    if np.ndim(received):
        received[...] = received[::-1]  # Loaded arrays are writable.
    with open('a.pkl', 'rb') as file:
        assert_same(pickle.load(file)[0], array)


@pytest.mark.parametrize('array', ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_numpys_own_forms_are_read(array, protocol, in_tmp):
    data = pickle.dumps(array, protocol=protocol)
    assert_same(load_bytes(data), pickle.loads(data))
    # Protocol 0 stores names on separate lines, so those of another version are easily substituted.
    if protocol < 4:
        assert_same(load_bytes(data.replace(b'numpy._core.', b'numpy.core.')), pickle.loads(data))


def test_containers(in_tmp):
    value = [{'a': (1, 2.5, None, True), 'b': {3, 4}},
             frozenset([5]), 1 + 2j, b'bytes',
             bytearray(b'array'),
             collections.OrderedDict(x=1), 10**40]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert load_bytes(pickle.dumps(value, protocol=protocol)) == value
    misc.save_pkl(value, 'a.pkl')
    assert misc.load_pkl('a.pkl') == value


def test_written_files_are_protocol_4_without_private_names(in_tmp):
    misc.save_pkl({name: array for name, array in ARRAYS.items()}, 'a.pkl')
    with open('a.pkl', 'rb') as file:
        data = file.read()
    assert data[:2] == b'\x80\x04'
    assert b'_core' not in data
    assert b'multiarray' not in data
    assert max(op.proto for op, _, _ in pickletools.genops(data)) <= 4


@pytest.mark.parametrize(
    'array', [np.array([os.system]),
              np.zeros(2, [('a', 'f4')]),
              np.array(['2018-01-01'], 'M8[D]')])
def test_arrays_that_could_not_be_read_are_not_written(array, in_tmp):
    misc.save_pkl('old', 'a.pkl')
    with pytest.raises(TypeError, match='Received: dtype'):
        misc.save_pkl(array, 'a.pkl')
    assert misc.load_pkl('a.pkl') == 'old'
    assert os.listdir() == ['a.pkl']


# ------------------------------------------------------------ networks

def test_the_originals_networks():
    """The original's file yields three networks with its variables."""
    G, D, Gs = misc.load_pkl(GOLDEN / 'original-format-network.pkl')
    assert (G.name, D.name, Gs.name) == ('G', 'D', 'Gs')
    assert G.static_kwargs['resolution'] == 32
    assert len(Gs.vars) == len(G.vars) > 10


def test_networks_round_trip(in_tmp):
    nets = misc.load_pkl(GOLDEN / 'original-format-network.pkl')
    misc.save_pkl(nets, 'a.pkl')
    again = misc.load_pkl('a.pkl')
    with open('a.pkl', 'rb') as file:
        data = file.read()
    assert b'tfutil' in data
    assert b'_core' not in data
    for net, other in zip(nets, again, strict=True):
        assert list(net.vars) == list(other.vars)
        for name in net.vars:
            np.testing.assert_array_equal(net.get_var(name), other.get_var(name))


@pytest.mark.parametrize('trust', [False, True])
def test_trust_reaches_the_network(trust, in_tmp, monkeypatch):
    """load_pkl passes trust_source on to tfutil while a network is loaded."""
    import tfutil
    from tfutil.network import TRUST_SOURCE
    heard = []
    monkeypatch.setattr(tfutil.Network, '__setstate__', lambda self, state: heard.append(
        (TRUST_SOURCE.get(), state)))
    data = b'\x80\x02ctfutil\nNetwork\n)\x81}X\x01\x00\x00\x00aK\x01sb.'
    with open('a.pkl', 'wb') as file:
        file.write(data)
    assert type(misc.load_pkl('a.pkl', trust_source=trust)) is tfutil.Network
    assert heard == [(trust, {'a': 1})]
    assert TRUST_SOURCE.get() is False


# ------------------------------------------------------------ attacks

class Call:
    """Pickles as a function call."""

    def __init__(self, function, *args):
        self.reduction = function, args

    def __reduce__(self):
        return self.reduction


def state_attack(module, name, state):
    """Pickle that imports a name and then sets its state."""
    return b'\x80\x02c' + f'{module}\n{name}\n'.encode() + pickle.dumps(state,
                                                                        protocol=2)[2:-1] + b'b.'


REFUSED = {
    'shell': pickle.dumps(Call(os.system, 'touch hacked')), 'shell, protocol 0': pickle.dumps(
        Call(os.system, 'touch hacked'),
        protocol=0), 'eval': pickle.dumps(Call(eval, "open('hacked', 'w')")),
    'eval, Python 2 name': b"c__builtin__\neval\n(S\"open('hacked', 'w')\"\ntR.",
    'getattr': pickle.dumps(Call(getattr, np.ndarray, 'tofile')),
    'import': pickle.dumps(Call(__import__, 'os')), 'nested in what is admitted': pickle.dumps(
        collections.OrderedDict(a=[{'b': (Call(os.mkdir, 'hacked'), )}])),
    'open': pickle.dumps(Call(open, 'hacked', 'w')), 'numpy.load': pickle.dumps(Call(np.load, 'x')),
    'dotted name': b'\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.',
    'method of Network': b'\x80\x04\x8c\x06tfutil\x8c\x0bNetwork.run\x93.',
    'module attribute': b'ctfutil\nimport_obj\n(S"os.system"\ntR.',
    'a class of ours': b'cmisc.pickles\nsave_pkl\n(S"x"\nS"hacked"\ntR.',
    'old instance': b'(S"touch hacked"\nios\nsystem\n.',
}


@pytest.mark.parametrize('data', REFUSED.values(), ids=REFUSED)
def test_other_names_are_refused_before_anything_runs(data, in_tmp):
    with pytest.raises(DataError, match='may hold only networks') as caught:
        load_bytes(data)
    assert "'test.pkl' asks for " in str(caught.value)
    assert os.listdir() == ['test.pkl']


MALFORMED = {
    'network made by calling its class': (b'ctfutil\nNetwork\n(S"x"\nS"tempfile.mkdtemp"\n'
                                          b'tR(dS"a"\nI1\nsb.'),
    'change of a function': state_attack('numpy', 'ndarray', (None, {'_function': 1})),
    'change of the network class': state_attack('tfutil', 'Network', (None, {'run': 1})),
    'huge array': pickle.dumps(Call(np.ndarray, (2**50, ), '<f4', b'')),
    'huge array, small product': pickle.dumps(Call(np.ndarray, (0, 2**62), '<f4', b'')),
    'negative shape': pickle.dumps(Call(np.ndarray, (-1, -4), '<f4', b'\0' * 16)),
    'shape is no tuple': pickle.dumps(Call(np.ndarray, 4, '<f4', b'\0' * 16)),
    'too many bytes': pickle.dumps(Call(np.ndarray, (2, ), '<f4', b'\0' * 16)),
    'objects': pickle.dumps(Call(np.ndarray, (1, ), 'O', b'\0' * 8)),
    'a field of objects': pickle.dumps(Call(np.ndarray, (1, ), 'i4,O', b'\0' * 12)),
    'objects in NumPys form': pickle.dumps(np.array([None, 1])), 'structured dtype': pickle.dumps(
        np.zeros(2, [('a', 'f4')])), 'huge bytearray': pickle.dumps(Call(bytearray, 2**45)),
    'huge bytes': pickle.dumps(Call(bytes, 2**45)), 'persistent id': b'Phacked\n.',
    'codec': b'c_codecs\nencode\n(Vx\nVzlib_codec\ntR.', 'state for a set': state_attack(
        'builtins', 'set', (None, {'add': 1})),
    'network without a state': b'ctfutil\nNetwork\n)\x81(dS"version"\nI2\nsb.',
}


@pytest.mark.parametrize('data', MALFORMED.values(), ids=MALFORMED)
def test_malformed_use_of_what_is_admitted(data, in_tmp, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(in_tmp))
    before = vars(pickles).copy(), dict(pickles._ADMITTED)
    with pytest.raises(DataError):
        load_bytes(data)
    assert os.listdir() == ['test.pkl']
    assert (vars(pickles), pickles._ADMITTED) == before


@pytest.mark.parametrize(
    'name',
    [name for name in MALFORMED if 'shape' in name or 'huge array' in name or 'too many' in name])
def test_sizes_are_checked_before_memory_is_reserved(name, in_tmp):
    with pytest.raises(DataError, match='an array of shape'):
        load_bytes(MALFORMED[name])


def test_a_networks_state_does_not_name_functions_to_call(in_tmp):
    """Build functions receive keywords from the file, so the file must not choose arbitrary
    importable functions.
    """
    state = {
        'version': 2, 'name': 'G', 'static_kwargs': {'path': 'hacked'}, 'build_module_src': '',
        'build_func_name': 'mkdir', 'build_module_name': 'os', 'variables': []
    }
    data = b'\x80\x02ctfutil\nNetwork\n)\x81' + pickle.dumps(state, protocol=2)[2:-1] + b'b.'
    with pytest.raises(DataError):
        load_bytes(data)
    assert os.listdir() == ['test.pkl']


# ------------------------------------------------------------ damage

def test_truncated_at_any_place(in_tmp):
    data = pickle.dumps((ARRAYS, [1, 'two']), protocol=4)
    for length in {0, 1, 2, 10, len(data) // 2, len(data) - 1}:
        with pytest.raises(DataError, match='test.pkl'):
            load_bytes(data[:length])


@pytest.mark.parametrize(('data', 'message'), [
    (b'', 'it is empty'),
    (b'<!DOCTYPE html>', 'it is a web page'),
    (b'\n\n\n<!DOCTYPE html>\n<html>', 'it is a web page'),
    (b'\xef\xbb\xbf<html lang="en">', 'it is a web page'),
    ('\ufeff\n<HTML>Quota'.encode('utf-16'), 'it is a web page'),
    (b'<?xml version="1.0"?><Error/>', 'it is XML'),
    (b' {"error": {"code": 403}}', 'it is JSON'),
    (b'404: Not Found', "it is text starting with '404: Not Found'"),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\n', 'git lfs pull'),
    (gzip.compress(b'x', mtime=0), r'archive \(gz\); unpack it first'),
    (b'PK\x03\x04zip', r'archive \(zip\); unpack it first'),
    (b'PK\x03\x04' + bytes(26) + b'archive/data.pkl', 'it is a PyTorch file'),
    (struct.pack('<Q', 12) + b'{"a": "bcd"}', 'it is a safetensors file'),
    (b'\x89HDF\r\n\x1a\n' + bytes(8), 'it is an HDF5 file'),
    (bytes(100), 'it contains only zeros'), (bytes(20000), 'it contains only zeros'),
    ('\x80\x04\x95\xff'.encode(), 'saved as text in UTF-8'),
    (pickle.dumps([f'line {i}\n' for i in range(9)], 2).replace(b'\n', b'\r\n'),
     'transfer it in binary mode'),
    (b'\x80\x04\x95hello', 'damaged, truncated or not a pickle'),
    (struct.pack('<I', 12345) * 20, 'damaged, truncated or not a pickle'),
    (b'\x80\x63.', 'unsupported pickle protocol'),
])
def test_not_a_pickle(data, message, in_tmp):
    with pytest.raises(DataError, match=message) as caught:
        load_bytes(data)
    assert 'use another snapshot' in str(caught.value)


def test_a_folder_is_no_pickle(in_tmp):
    os.makedirs('run.pkl')
    misc.save_pkl(1, 'run.pkl/network-final.pkl')
    with pytest.raises(DataError, match="'run.pkl': it is a folder. Expected .* Pickles in "
                                        "'run.pkl': network-final.pkl"):
        misc.load_pkl('run.pkl')


@pytest.mark.parametrize(('module', 'program'), [
    ('dnnlib.tflib.network', 'StyleGAN2 for TensorFlow 1'),
    ('torch_utils.persistence', 'StyleGAN3 for PyTorch'), ('torch._utils', 'written by PyTorch')])
def test_networks_of_other_programs_are_named(module, program, in_tmp):
    with pytest.raises(DataError, match=f'asks for {module}.*{program}'):
        load_bytes(f'c{module}\nNetwork\n.'.encode())


def test_missing_file_names_the_nearest(in_tmp):
    misc.save_pkl(1, 'network-final.pkl')
    with pytest.raises(DataError, match="Did you mean 'network-final.pkl'.*Pickles in '.': "
                                        'network-final.pkl'):
        misc.load_pkl('network-finale.pkl')
    with pytest.raises(DataError, match=r"Cannot open '\.'"):
        misc.load_pkl('.')
