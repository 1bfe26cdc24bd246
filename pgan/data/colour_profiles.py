"""ICC colour profiles of images, and conversion of pixels to sRGB."""
import functools
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from pgan.errors import in_short

_GRAY = ('1', 'L', 'LA', 'La', 'I;16', 'I;16L', 'I;16B', 'I;16N')
# (kind of pixels, colour space of the profile): mode of the conversion's input.
_MODES = {('GRAY', 'GRAY'): 'L', ('GRAY', 'RGB'): 'RGB', ('RGB', 'RGB'): 'RGB',
          ('CMYK', 'CMYK'): 'CMYK'}
SAME = 2  # levels of 255; variants of the sRGB profile differ from sRGB by no more


class Profile(NamedTuple):
    """A colour profile and its conversion to sRGB.

    Attributes:
        name: description of the profile, e.g. 'Display P3'.
        fault: reason why the profile cannot be used, or None.
        convert: function from an image of mode `mode` to an RGB image in sRGB; None = no conversion
            is needed.
        mode: input mode of `convert`.
    """
    name: str
    fault: str | None = None
    convert: Callable[[Image.Image], Image.Image] | None = None
    mode: str = ''

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Convert an image of mode L, P, RGB, RGBA or CMYK to sRGB, with mode L, RGB or RGBA.

        If no conversion is needed, returns the image itself.
        """
        if self.convert is None:
            return image
        converted = self.convert(
            image if image.mode == self.mode else image.convert('RGB').convert(self.mode))
        if image.mode == 'RGBA':
            converted.putalpha(image.getchannel('A'))
        return converted.convert('L') if image.mode in _GRAY else converted


def profile_of(image: Image.Image) -> Profile | None:
    """Colour profile of an image opened by Pillow, or None."""
    data = image.info.get('icc_profile')
    if not isinstance(data, bytes) or not data or image.mode in ('I', 'F'):
        return None
    kind = 'GRAY' if image.mode in _GRAY else 'CMYK' if image.mode == 'CMYK' else 'RGB'
    return _read(data, kind)


@functools.lru_cache(maxsize=16)  # images of one camera or program share a profile
def _read(data, kind):
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(profile).strip() or 'without a name'
        space = profile.profile.xcolor_space.strip()
        if (kind, space) not in _MODES:
            return Profile(name, f'it is for {space} pixels, but the image has {kind} pixels')
        mode = _MODES[kind, space]
        convert = _conversion(profile, mode)
        return Profile(name, None, convert if _changes(convert, mode) else None, mode)
    # Damaged profiles raise various exceptions; Pillow without LittleCMS raises ImportError.
    except Exception as error:
        return Profile('', in_short(error))


def _conversion(profile, mode):
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == 'L':  # the optimized conversion interpolates, which is inaccurate for dark grays
        flags |= ImageCms.Flags.NOOPTIMIZE
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile('sRGB'), mode, 'RGB',
                                        ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
    if mode != 'L':
        return transform.apply
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
    table = transform.apply(levels).convert('L').tobytes()
    return lambda image: image.point(list(table)).convert('RGB')


def _changes(convert, mode):
    """Whether a conversion changes any colour of a test grid by more than SAME levels."""
    if mode == 'CMYK':
        return True
    levels = np.linspace(0, 255, 256 if mode == 'L' else 9).astype(np.uint8)
    grid = levels[:, np.newaxis] if mode == 'L' else np.stack(
        np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 9, 3)
    before = Image.fromarray(grid)
    after = np.asarray(convert(before), np.int16)
    return bool((np.abs(after - np.asarray(before.convert('RGB'), np.int16)) > SAME).any())
