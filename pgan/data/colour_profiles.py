"""Colour profiles (ICC) of pictures: pixels of other colour spaces are converted to sRGB."""
import functools
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from pgan.errors import in_short

_GRAY = ('1', 'L', 'LA', 'La', 'I;16', 'I;16L', 'I;16B', 'I;16N')
# (kind of pixels, the profile's colour space): mode in which the profile takes the pixels
_MODES = {('GRAY', 'GRAY'): 'L', ('GRAY', 'RGB'): 'RGB', ('RGB', 'RGB'): 'RGB',
          ('CMYK', 'CMYK'): 'CMYK'}
SAME = 2  # levels of 255: profiles that say sRGB in their own words differ by no more


class Profile(NamedTuple):
    """What a colour profile does to pixels.

    Attributes:
        name: its description, e.g. 'Display P3'.
        fault: why it cannot be used, or None.
        convert: function from an image of mode `mode` to one of RGB in sRGB; None = the pixels
            stay.
        mode: see convert.
    """
    name: str
    fault: str | None = None
    convert: Callable[[Image.Image], Image.Image] | None = None
    mode: str = ''

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An image of mode L, P, RGB, RGBA or CMYK in sRGB: mode L, RGB or RGBA.

        Where the pixels stay, the image itself.
        """
        if self.convert is None:
            return image
        converted = self.convert(
            image if image.mode == self.mode else image.convert('RGB').convert(self.mode))
        if image.mode == 'RGBA':
            converted.putalpha(image.getchannel('A'))
        return converted.convert('L') if image.mode in _GRAY else converted


def profile_of(image: Image.Image) -> Profile | None:
    """The profile of an image that Pillow has opened; None if it has none."""
    data = image.info.get('icc_profile')
    if not isinstance(data, bytes) or not data or image.mode in ('I', 'F'):
        return None
    kind = 'GRAY' if image.mode in _GRAY else 'CMYK' if image.mode == 'CMYK' else 'RGB'
    return _read(data, kind)


@functools.lru_cache(maxsize=16)  # pictures of one camera or program share theirs
def _read(data, kind):
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(profile).strip() or 'without a name'
        space = profile.profile.xcolor_space.strip()
        if (kind, space) not in _MODES:
            return Profile(name, f'it is for {space} pixels, and the image has {kind} pixels')
        mode = _MODES[kind, space]
        convert = _conversion(profile, mode)
        return Profile(name, None, convert if _changes(convert, mode) else None, mode)
    # Damaged profiles raise several kinds; a Pillow without LittleCMS raises ImportError.
    except Exception as error:
        return Profile('', in_short(error))


def _conversion(profile, mode):
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == 'L':  # LittleCMS interpolates, which is coarse in dark grays
        flags |= ImageCms.Flags.NOOPTIMIZE
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile('sRGB'), mode, 'RGB',
                                        ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
    if mode != 'L':
        return transform.apply
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
    table = transform.apply(levels).convert('L').tobytes()
    return lambda image: image.point(list(table)).convert('RGB')


def _changes(convert, mode):
    """Whether a conversion moves any of the colours of a grid by more than SAME levels."""
    if mode == 'CMYK':
        return True
    levels = np.linspace(0, 255, 256 if mode == 'L' else 9).astype(np.uint8)
    grid = levels[:, np.newaxis] if mode == 'L' else np.stack(
        np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 9, 3)
    before = Image.fromarray(grid)
    after = np.asarray(convert(before), np.int16)
    return bool((np.abs(after - np.asarray(before.convert('RGB'), np.int16)) > SAME).any())
