"""Network snapshots: pickles that are read as data, without executing code.

A pickle is a program for a small virtual machine that can import and call anything. `load_pkl`
admits only the names that a snapshot needs: networks, arrays, plain containers. Each admitted name
resolves to an object of this module that validates its arguments. Any other name aborts the load
before anything is called.
"""
import collections
import contextlib
import itertools
import math
import os
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from pgan import file_kinds
from pgan.errors import DataError, UserError, did_you_mean, in_short
from pgan.files import atomic_write, expanded

# dtype kinds: bool, integers, floats, complex, bytes and strings; never Python objects.
_ADMITTED_KINDS = 'biufcSU'


def save_pkl(obj: Any, filename: str | os.PathLike) -> None:
    """Write a pickle atomically, with protocol 4. Any NumPy version can read its arrays.

    Args:
        obj: the object, e.g. the tuple (G, D, Gs).
        filename: path of the file; an existing file is replaced.

    Raises:
        DataError: the file cannot be written; an existing file is left unchanged.
        TypeError: an array in `obj` has elements that `load_pkl` would refuse, such as Python
            objects.
    """
    with atomic_write(filename) as file:
        _Pickler(file, protocol=4).dump(obj)


def load_pkl(filename: str | os.PathLike, trust_source: bool = False) -> Any:
    """Read a pickle of networks, arrays and plain containers. Nothing in the file is executed.

    Args:
        filename: e.g. 'results/000-pgan/network-final.pkl', written by this program, the original
            or the Theano version. Theano networks are converted; one with an unknown build function
            becomes a network 'Dummy', and a line is printed.
        trust_source: whether a network with an unknown build function may import its module or
            execute the source code in the file. Pass True only for files from people you trust.

    Returns:
        The unpickled object; for a snapshot, the tuple (G, D, Gs).

    Raises:
        DataError: the file is missing, damaged or not a pickle, uses a name that a snapshot does
            not need, or holds a Theano network that cannot be converted.
    """
    filename = expanded(filename)
    with _open(filename) as file, contextlib.ExitStack() as stack:
        try:
            _check_sizes(file)
            file.seek(0)
            return _Unpickler(file, filename, stack, trust_source).load_all()
        except UserError as error:
            if filename in str(error):
                raise
            raise DataError(f'Cannot read {filename!r}: {error}') from error
        except Exception as error:
            raise DataError(_damaged(filename, error)) from error


# --------------------------------------------------------------------------------------------------
# Writing.

class _Pickler(pickle.Pickler):
    """Pickler that reduces arrays to numpy.ndarray(shape, dtype, bytes).

    This avoids NumPy's private module paths, which differ between versions.
    """

    def reducer_override(self, obj):
        if isinstance(obj, np.ndarray):
            _check_kind(obj.dtype, TypeError)
            return np.ndarray, (obj.shape, obj.dtype.str, obj.tobytes())
        if isinstance(obj, np.generic):
            _check_kind(obj.dtype, TypeError)
            return np.ndarray, ((), obj.dtype.str, obj.tobytes())
        return NotImplemented


def _check_kind(dtype, error_class):
    if dtype.kind not in _ADMITTED_KINDS or dtype.hasobject:
        raise error_class('arrays in a pickle must hold numbers, booleans or strings. Received: '
                          f'dtype {dtype}. Convert it, e.g. with .astype(np.float32).')


# --------------------------------------------------------------------------------------------------
# Reading.

def _check_sizes(file):
    """Check all sizes in a pickle before it is loaded.

    Python's unpickler allocates the memory that a size requests before it finds that the file is
    shorter.

    Raises:
        ValueError: a string is longer than the rest of the file, or a memo index exceeds the number
            of opcodes read so far.
    """
    size = os.fstat(file.fileno()).st_size
    for count in itertools.count():
        code = file.read(1)
        opcode = pickletools.code2op.get(code.decode('latin1'))
        if opcode is None or code == pickle.STOP:
            return  # The end, or damage that the unpickler reports itself.
        length, number = _read_argument(file, opcode.arg)
        if opcode.name == 'FRAME':
            _expect(number <= size - file.tell(), number, 'bytes')
        elif opcode.name in ('PUT', 'LONG_BINPUT'):
            _expect(number <= count, number, 'places in the memo')
        _expect(length <= size - file.tell(), length, 'bytes')
        file.seek(length, os.SEEK_CUR)


def _read_argument(file, argument):
    """Read an opcode's argument, except the bulk of a counted one.

    Returns (number of bytes that follow, value of a numeric argument or 0).
    """
    if argument is None:
        return 0, 0
    if argument.n == pickletools.UP_TO_NEWLINE:
        line = file.readline()
        if argument.name.endswith('_pair'):
            file.readline()
        is_number = argument.name == 'decimalnl_short' and line.strip().isdigit()
        return 0, int(line) if is_number else 0
    counted = argument.n in _SIZES_OF_COUNTS
    number = int.from_bytes(file.read(_SIZES_OF_COUNTS[argument.n] if counted else argument.n),
                            'little')
    return (number, 0) if counted else (0, number)


def _expect(fits, number, what):
    if not fits:
        raise ValueError(f'it requests {number} {what}, more than the file can fill')


# Size in bytes of the length field of each kind of counted argument.
_SIZES_OF_COUNTS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8
}


class _Unpickler(pickle.Unpickler):
    """Unpickler that admits the names of `_ADMITTED` and the Network class, and refuses others."""

    def __init__(self, file, filename, stack, trust_source):
        super().__init__(file, encoding='latin1')  # Python 2 snapshots store bytes as strings.
        self._filename = filename
        self._stack = stack
        self._trust_source = trust_source
        self._theano_networks = []

    def load_all(self):
        """Load the pickle; raise DataError if it leaves a Theano network without a state."""
        obj = self.load()
        if not all(vars(network) for network in self._theano_networks):
            raise DataError(f'{self._filename!r} holds a Theano network without a state. The file '
                            'is damaged: copy it again, or use another snapshot.')
        return obj

    def find_class(self, module, name):
        if (module, name) in _NETWORK:
            return self._network_class()
        if (module, name) in _THEANO_NETWORK:
            return self._theano_network_class()
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        raise DataError(f'{self._filename!r} asks for {module}.{name}. A snapshot may hold only '
                        'networks, arrays and plain containers. Nothing was executed. '
                        f'{_origin(module)}If you do not know where the file comes from, delete '
                        'it.')

    def _network_class(self):
        import tfutil  # Imports TensorFlow, which arrays and containers do not need.

        self._stack.enter_context(tfutil.trusting_source(self._trust_source))
        return _blank_class(lambda: object.__new__(tfutil.Network))

    def _theano_network_class(self):
        import legacy  # Imports TensorFlow.

        def blank():
            self._theano_networks.append(object.__new__(legacy.TheanoNetwork))
            return self._theano_networks[-1]

        return _blank_class(blank)


def _blank_class(make_blank):
    class BlankNetwork:
        """Stand-in for a Network class, whose own constructor would call any function that the
        pickle names.
        """

        def __new__(cls, *args):
            return make_blank()

        @staticmethod
        def __setstate__(state):
            _refuse_change()

    return BlankNetwork


class _Admitted:
    """Function that a pickle may call but not modify.

    A pickle can set attributes of any object that it names; this one refuses.
    """

    __slots__ = ('_function',)

    def __init__(self, function):
        self._function = function

    def __call__(self, *args):
        return self._function(*args)

    def __setstate__(self, state):
        _refuse_change()


def _refuse_change():
    raise DataError('The pickle tries to change a part of the program, so it is not a snapshot. '
                    'Nothing was executed.')


class _PickledDtype:
    """Stand-in for numpy.dtype while an array is read; admits only a name and a byte order."""

    def __init__(self, name, align=False, copy=False):
        self._dtype = np.dtype(_text(name))
        _check_kind(self._dtype, ValueError)

    def __setstate__(self, state):
        order, subarray, names, fields = state[1:5]
        has_parts = subarray is not None or names is not None or fields is not None
        if has_parts or _text(order) not in '<>|=':
            raise ValueError(f'a structured dtype: {state!r:.100}')
        self._dtype = self._dtype.newbyteorder(_text(order))

    def resolve(self):
        return self._dtype


class _PickledArray(np.ndarray):
    """Array in NumPy's own pickled form. Its state is checked before NumPy's C code sees it."""

    def __setstate__(self, state):
        shape, dtype, is_fortran, data = state[-4:]
        data = data.encode('latin1') if isinstance(data, str) else data
        dtype = dtype.resolve()
        _check_size(shape, dtype, data)
        super().__setstate__((1, shape, dtype, bool(is_fortran), bytes(data)))


def _array(shape, dtype, data):
    """Array in this program's pickled form: numpy.ndarray(shape, dtype string, bytes)."""
    dtype = np.dtype(dtype) if isinstance(dtype, str) else dtype.resolve()
    _check_kind(dtype, ValueError)
    _check_size(shape, dtype, data)
    array = np.frombuffer(data, dtype).reshape(shape) if len(data) else np.zeros(shape, dtype)
    return array.copy() if shape else array[()]  # Scalars are saved as arrays of rank 0.


def _check_size(shape, dtype, data):
    """Raise ValueError unless the number of bytes matches the shape and dtype.

    This keeps a forged header from allocating more memory than the file has data.
    """
    fits = (isinstance(shape, tuple)
            and all(isinstance(size, int) and 0 <= size < 2**40 for size in shape)
            and isinstance(data, (bytes, bytearray))
            and math.prod(shape) * dtype.itemsize == len(data))
    if not fits:
        raise ValueError(f'an array of shape {shape!r:.100} and dtype {dtype} with {len(data)} '
                         'bytes')


def _reconstruct(array_class, shape, typecode):
    """First step of NumPy's array format: an empty array, whose state follows."""
    return np.ndarray.__new__(_PickledArray, (0,), np.int8)


def _scalar(dtype, data):
    """NumPy scalar."""
    return _array((), dtype, data.encode('latin1') if isinstance(data, str) else data)


def _frombuffer(data, dtype, shape, order):
    """Array in NumPy's format for protocol 5."""
    array = _array((len(data) // dtype.resolve().itemsize,), dtype, bytes(data))
    return array.reshape(shape, order='F' if order == 'F' else 'C')


def _encode(text, encoding):
    """bytes as Python 3 writes them in protocol 2: a string and its encoding."""
    if encoding not in ('latin1', 'latin-1'):
        raise ValueError(f'bytes encoded as {encoding!r:.100}')
    return text.encode('latin1')


def _bytes(data=b'', encoding='latin1'):
    """bytes or bytearray from bytes or a string.

    An integer is refused: it would allocate that much memory.
    """
    return _encode(data, encoding) if isinstance(data, str) else memoryview(data).tobytes()


def _text(value):
    return value.decode('latin1') if isinstance(value, bytes) else str(value)


_NETWORK = {('tfutil', 'Network'), ('tfutil.network', 'Network')}
_THEANO_NETWORK = {('network', 'Network')}
_ADMITTED: dict[tuple[str, str], Callable] = {
    ('numpy', 'ndarray'): _Admitted(_array),
    ('numpy', 'dtype'): _Admitted(_PickledDtype),
    ('_codecs', 'encode'): _Admitted(_encode),
    ('collections', 'OrderedDict'): collections.OrderedDict,
}
for _core in ('numpy.core', 'numpy._core'):
    _ADMITTED[f'{_core}.multiarray', '_reconstruct'] = _Admitted(_reconstruct)
    _ADMITTED[f'{_core}.multiarray', 'scalar'] = _Admitted(_scalar)
    _ADMITTED[f'{_core}.numeric', '_frombuffer'] = _Admitted(_frombuffer)
for _builtins in ('builtins', '__builtin__'):
    _ADMITTED.update({(_builtins, _class.__name__): _class for _class in (set, frozenset, complex)})
    _ADMITTED[_builtins, 'bytes'] = _Admitted(_bytes)
    _ADMITTED[_builtins, 'bytearray'] = _Admitted(lambda *args: bytearray(_bytes(*args)))


# --------------------------------------------------------------------------------------------------
# Messages.

_OTHER_PROGRAMS = {
    'dnnlib': 'StyleGAN or StyleGAN2 for TensorFlow 1',
    'torch_utils': 'StyleGAN2-ADA or StyleGAN3 for PyTorch',
    'torch': 'PyTorch',
    'keras': 'Keras',
    'sklearn': 'scikit-learn',
    'pandas': 'pandas',
}


def _origin(module):
    """Sentence that names the program a module is from, if known; else ''."""
    program = _OTHER_PROGRAMS.get(module.partition('.')[0])
    return f'It was written by {program}, whose networks are not compatible. ' if program else ''


def _open(filename):
    try:
        return open(filename, 'rb')
    except OSError as error:
        is_folder = os.path.isdir(filename)
        folder = filename if is_folder else os.path.dirname(filename) or '.'
        there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        pkls = ', '.join([name for name in there if name.endswith('.pkl')][-8:]) or 'none'
        is_missing = isinstance(error, FileNotFoundError)
        hint = did_you_mean(os.path.basename(filename), there) if is_missing else ''
        reason = 'it is a folder' if is_folder else error.strerror
        raise DataError(f'Cannot open {filename!r}: {reason}.{hint} '
                        f'Expected a network snapshot. Pickles in {folder!r}: {pkls}.') from error


def _damaged(filename, error):
    """Error message for a file that cannot be unpickled."""
    what = file_kinds.describe(filename)
    if what is not None:
        what = f'The file is not a pickle: {what}.'
    else:
        what = (f'The file ({os.path.getsize(filename)} bytes) is damaged, truncated or not a '
                f'pickle: {type(error).__name__}: {in_short(error)}.')
    return (f'Cannot read {filename!r}. {what} Copy or download it again, or use another snapshot '
            'of the run.')
