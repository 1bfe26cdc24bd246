"""Colour profiles as embedded by image programs, written by hand."""
import struct

import numpy as np

# red, green and blue as XYZ under D50, and the exponent of the tone curve
P3 = np.array([[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]])
ADOBE = np.array([[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087],
                  [0.14919, 0.06322, 0.74457]])
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708],
                 [0.14307, 0.06061, 0.71410]])
WHITE = (0.9642, 1, 0.8249)


def _fixed(*values):
    return struct.pack(f'>{len(values)}i', *(round(value * 65536) for value in values))


def _profile(space, pcs, tags, kind=b'mntr'):
    """Bytes of a profile with these tags, {signature: content}."""
    name = b'test\0'
    tags = {b'desc': b'desc' + bytes(4) + struct.pack('>I', len(name)) + name + bytes(78),
            b'wtpt': b'XYZ ' + bytes(4) + _fixed(*WHITE), **tags}
    table, content = struct.pack('>I', len(tags)), b''
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        data += bytes(-len(data) % 4)
        table += signature + struct.pack('>II', start + len(content), len(data))
        content += data
    header = (struct.pack('>I', start + len(content)) + b'lcms' + struct.pack('>I', 0x02400000)
              + kind + space + pcs + struct.pack('>6H', 2020, 1, 1, 0, 0, 0) + b'acsp')
    header = header.ljust(68, b'\0') + _fixed(*WHITE)
    return header.ljust(128, b'\0') + table + content


def _curve(gamma):
    """Tone curve: an exponent, or None for the table of sRGB."""
    if gamma is not None:
        return b'curv' + bytes(4) + struct.pack('>IH', 1, round(gamma * 256))
    levels = np.linspace(0, 1, 256)
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return b'curv' + bytes(4) + struct.pack('>I', 256) + np.rint(65535 * linear).astype(
        '>u2').tobytes()


def rgb_profile(primaries, gamma):
    tags = {sign + b'XYZ': b'XYZ ' + bytes(4) + _fixed(*row)
            for sign, row in zip((b'r', b'g', b'b'), primaries)}
    tags |= {sign + b'TRC': _curve(gamma) for sign in (b'r', b'g', b'b')}
    return _profile(b'RGB ', b'XYZ ', tags)


def gray_profile(gamma):
    return _profile(b'GRAY', b'XYZ ', {b'kTRC': _curve(gamma)})


def cmyk_profile():
    """Profile whose black ink prints a dark red."""
    corners = np.zeros([2, 2, 2, 2, 3], np.uint8)
    corners[..., 0, :] = (255, 128, 128)  # Lab: white without black ink, whatever the others
    corners[..., 1, :] = (100, 200, 190)
    identity = bytes(range(256))
    lut = (b'mft1' + bytes(4) + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
           + identity * 4 + corners.tobytes() + identity * 3)
    return _profile(b'CMYK', b'Lab ', {b'A2B0': lut, b'A2B1': lut}, b'prtr')


def to_srgb(pixels, primaries, gamma):
    """Convert pixels of an RGB profile to sRGB, as specified in the standard."""
    linear = (pixels / 255.0) ** (round(gamma * 256) / 256) @ primaries @ np.linalg.inv(SRGB)
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear,
                          1.055 * linear ** (1 / 2.4) - 0.055)
