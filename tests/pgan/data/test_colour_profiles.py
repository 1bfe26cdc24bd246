"""Colour profiles: conversion of other colour spaces, and of variants of sRGB."""
import io

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from pgan.data.colour_profiles import profile_of
from pgan.data.decoding import opened, upright_pixels
from tests.support import icc
from tests.support.importer_inputs import encoded, noise

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
FLAT = PIL.Image.fromarray(  # within all gamuts
    np.random.RandomState(1).randint(90, 170, size=(16, 16, 3), dtype=np.uint8))


def decoded(image, kind, profile, gray=False, **options):
    with opened(io.BytesIO(encoded(image, kind, icc_profile=profile, **options)), 'x') as found:
        return upright_pixels(found, gray), profile_of(found)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('primaries, gamma', [(icc.P3, 2.2), (icc.ADOBE, 2.19921875),
                                              (icc.SRGB, 1.0)])
def test_other_colours_become_srgb(primaries, gamma, kind):
    options = dict(lossless=True) if kind == 'WEBP' else {}
    pixels, profile = decoded(FLAT, kind, icc.rgb_profile(primaries, gamma), **options)
    expected = icc.to_srgb(np.asarray(FLAT), primaries, gamma)
    assert profile.name == 'test' and profile.fault is None
    assert np.abs(pixels - expected).max() <= 2
    assert np.abs(np.asarray(FLAT) - expected).max() > 8  # the conversion is needed


def test_srgb_in_the_words_of_another_program_is_srgb():
    """Its numbers are rounded differently, so a conversion would change pixels by a level."""
    image, own = noise(64, 64), icc.rgb_profile(icc.SRGB, None)
    moved = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(own)),
                                      ImageCms.createProfile('sRGB'))
    assert np.abs(np.asarray(moved, int) - np.asarray(image)).max() == 1
    assert np.array_equal(decoded(image, 'PNG', own)[0], np.asarray(image))
    assert decoded(image, 'PNG', own)[1].convert is None


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', 'LA'])
@pytest.mark.parametrize('profile', [None, SRGB, b'no profile', SRGB[:200], SRGB[:-40]])
def test_pixels_of_srgb_and_of_useless_profiles_stay(profile, mode):
    image = noise(9, 7).convert(mode)
    pixels, _ = decoded(image, 'PNG', profile)
    assert np.array_equal(pixels, np.asarray(image.convert('RGB')))


def test_what_is_wrong_with_a_profile_is_told():
    assert decoded(FLAT, 'PNG', b'no profile')[1].fault
    assert 'for GRAY pixels' in decoded(FLAT, 'PNG', icc.gray_profile(2.2))[1].fault
    assert decoded(FLAT, 'PNG', SRGB)[1].fault is None and decoded(FLAT, 'PNG', None)[1] is None


@pytest.mark.parametrize('mode', ['L', 'LA', 'I;16'])
def test_gray_stays_gray(mode):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = PIL.Image.fromarray(levels.astype(np.uint16) * 257 if mode == 'I;16' else levels)
    image = image if mode == 'I;16' else image.convert(mode)
    gray, _ = decoded(image, 'PNG', icc.gray_profile(1.0), gray=True)
    expected = icc.to_srgb(np.repeat(levels[:, :, np.newaxis], 3, axis=2), icc.SRGB, 1.0)[:, :, 0]
    assert gray.shape == (16, 16) and np.abs(gray - expected).max() <= 2
    colour, _ = decoded(image, 'PNG', icc.gray_profile(1.0))
    assert np.array_equal(colour, np.repeat(gray[:, :, np.newaxis], 3, axis=2))


def test_cmyk_goes_by_its_profile():
    image = PIL.Image.new('CMYK', (8, 8), (0, 0, 0, 255))
    pixels, _ = decoded(image, 'TIFF', icc.cmyk_profile())
    red, green, blue = pixels[0, 0].astype(int)
    assert red > green + 60 and red > blue + 60
    assert not decoded(image, 'TIFF', None)[0].any()  # black, as before


def test_transparency_survives_a_profile():
    image = FLAT.copy()
    image.putalpha(PIL.Image.new('L', FLAT.size, 255))
    clear, _ = decoded(image, 'PNG', icc.rgb_profile(icc.P3, 2.2))
    assert np.array_equal(clear, decoded(FLAT, 'PNG', icc.rgb_profile(icc.P3, 2.2))[0])
    image.putalpha(0)
    assert (decoded(image, 'PNG', icc.rgb_profile(icc.P3, 2.2))[0] == 255).all()
