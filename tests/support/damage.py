"""Damaged files of all kinds. A reader must read each one, or report the damage quickly and in one
paragraph.
"""
import contextlib
import signal

import numpy as np

from pgan.errors import UserError

SECONDS_A_CASE = 20  # No case takes that long, even on a busy machine.


LONGEST_MESSAGE = 2500  # characters per paragraph, mostly file names and advice


class TookTooLong(BaseException):
    """Not an Exception, so that readers that handle any exception of a damaged file do not catch
    it.
    """


@contextlib.contextmanager
def time_limit():
    """Raise TookTooLong in Python code; code that hangs in C ends the process with a traceback."""
    def too_long(number, frame):
        raise TookTooLong
    previous = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_CASE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def cut(data, rs):
    """Truncated: at any position, within the first bytes, or within the last."""
    return data[:rs.choice([
        rs.randint(len(data)),
        rs.randint(min(40, len(data))),
        len(data) - rs.randint(1, min(40, len(data)))
    ])]


def flip_bit(data, rs):
    return flip(data, [rs.randint(len(data))], rs)


def flip_bits(data, rs):
    return flip(data, rs.randint(len(data), size=rs.randint(2, 17)), rs)


def flip(data, positions, rs):
    changed = bytearray(data)
    for position in positions:
        changed[position] ^= 1 << rs.randint(8)
    return bytes(changed)


def overwrite(data, rs):
    """Some bytes are random."""
    start, size = rs.randint(len(data)), rs.randint(1, 65)
    return data[:start] + rs.bytes(size)[:len(data) - start] + data[start + size:]


def zero_block(data, rs):
    """A block of zeros, as if it had never been written to disk."""
    start = rs.randint(len(data)) // 512 * 512
    return data[:start] + bytes(min(512, len(data) - start)) + data[start + 512:]


def lose(data, rs):
    start, size = rs.randint(len(data)), rs.randint(1, 200)
    return data[:start] + data[start + size:]


def repeat(data, rs):
    start, size = rs.randint(len(data)), rs.randint(1, 200)
    return data[:start + size] + data[start:]


def random_bytes(data, rs):
    return rs.bytes(rs.randint(len(data) + 1))


KINDS = [cut, flip_bit, flip_bits, overwrite, zero_block, lose, repeat, random_bytes]


def damaged(data, count, seed, kinds=KINDS):
    """Iterate over (description, bytes): `count` damaged versions of a file's bytes, with equal
    numbers of each kind.
    """
    rs = np.random.RandomState(seed)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield f'{kind.__name__}, case {number} of seed {seed}', kind(data, rs)


def check_all(path, cases, read, check, names=None):
    """Read each damaged file; return how many could be read.

    Args:
        path: the file to damage; it is restored afterwards.
        cases: pairs (description, bytes).
        read: function that reads the file.
        check: function of (result, bytes) that fails if the result does not match the file.
        names: name that an error's message must contain; by default the file's.
    """
    original, readable = path.read_bytes(), 0
    try:
        for case, data in cases:
            path.write_bytes(data)
            with time_limit():
                try:
                    result = read()
                except UserError as error:
                    check_error(error, case, names or path.name)
                    continue
                except (Exception, TookTooLong) as error:
                    raise AssertionError(f'{case}: {error!r}') from error
            readable += 1
            try:
                check(result, data)
            except AssertionError as error:
                raise AssertionError(f'{case}: {error}') from error
    finally:
        path.write_bytes(original)
    return readable


def check_error(error, case, name):
    """The message is one paragraph that names the file, and no excessive memory was requested."""
    text = str(error)
    assert name in text, f'{case}: {text}'
    assert '\n' not in text.strip() and 40 < len(text) < LONGEST_MESSAGE, f'{case}: {text}'
    while error is not None:
        assert not isinstance(error, MemoryError), f'{case}: {text}'
        error = error.__cause__ or error.__context__


NUM_IMAGES = 12


def make_images(seed=0, count=NUM_IMAGES, size=16):
    """Grey noise and two white images, whose pixels resemble very large numbers."""
    images = np.random.RandomState(seed).randint(0, 256, size=[count, 1, size, size],
                                                 dtype=np.uint8)
    images[0] = images[-1] = 255
    return images


def flips_within(positions):
    """Damage to one or two of the given bytes."""
    positions = np.asarray(positions)

    def flip_structure(data, rs):
        return flip(data, rs.choice(positions, size=rs.randint(1, 3)), rs)
    return flip_structure


def find_all(data, part):
    start = data.find(part)
    while start >= 0:
        yield start
        start = data.find(part, start + 1)


def half_precision(data):
    """Change float32 to float16, as two flipped bits would, so that the data ends too early."""
    for at in find_all(data, b'<f4'):
        yield f'<f2 at {at}', data[:at] + b'<f2' + data[at + 3:]
