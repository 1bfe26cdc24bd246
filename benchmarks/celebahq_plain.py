"""Plain version of the recipe of CelebA-HQ: whole arrays, one step after another.

`benchmarks.celebahq` compares pgan.importers.celebahq.recipe with it. Both give the same bits. Only
the warp works in strips of rows, because whole 4096x4096 coordinate arrays would take gigabytes.
"""
import math

import numpy as np
import scipy.ndimage

from pgan.importers.celebahq.exact_blur import gaussian_weights
from pgan.importers.celebahq.exact_pillow import lanczos_taps
from pgan.importers.celebahq.recipe import face_quad

STRIP = 128  # rows
f32 = np.float32


def resize(image, size):
    """Resize the width, then the height; each tap for all pixels at once."""
    return image if image.shape[1::-1] == size else resize_axis(resize_axis(image, size[0], 1),
                                                                size[1], 0)


def resize_axis(image, size, axis):
    image = np.moveaxis(image, axis, 0)
    taps = lanczos_taps(len(image), size)
    total = np.full([size, *image.shape[1:]], 0.5, np.float32)
    for number in range(max(len(row) for _, row in taps)):
        pixels = [min(start + number, len(image) - 1) for start, _ in taps]
        factors = np.array([row[number] if number < len(row) else 0 for _, row in taps], np.float32)
        total += image[pixels] * factors[:, np.newaxis, np.newaxis]
    return np.moveaxis(np.clip(total, 0, 255).astype(np.uint8), 0, axis)


def transform(image, size, data):
    """QUAD transform, in strips of rows."""
    return np.concatenate(
        [transform_rows(image, size, data, top) for top in range(0, size[1], STRIP)])


def transform_rows(image, size, data, top):
    height, width = image.shape[:2]
    northwest, southwest, southeast, northeast = data.reshape(4, 2)
    y, x = np.mgrid[top:top + STRIP, :size[0]].astype(np.float64)
    u, v = [
        float(northwest[axis]) + float((northeast - northwest)[axis]) / size[0] * x + float(
            (southwest - northwest)[axis]) / size[1] * y + float(
                (southeast - southwest - northeast + northwest)[axis]) / size[0] / size[1] * x * y
        for axis in (0, 1)
    ]
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u -= 0.5
    v -= 0.5
    left, upper = np.floor(u), np.floor(v)
    dx, dy = (u - left)[..., np.newaxis], (v - upper)[..., np.newaxis]
    left, upper = left.astype(int), upper.astype(int)
    x0, x1 = left.clip(0, width - 1), (left + 1).clip(0, width - 1)
    y0, y1 = upper.clip(0, height - 1), (upper + 1).clip(0, height - 1)
    p00, p01, p10, p11 = [
        image[rows, columns].astype(np.float64) for rows in (y0, y1) for columns in (x0, x1)
    ]
    top, bottom = p00 + (p01 - p00) * dx, p10 + (p11 - p10) * dx
    return np.where(inside[..., np.newaxis], top + (bottom - top) * dy, 0).astype(np.uint8)


def bounds(quad):
    return [
        *np.floor(quad.min(axis=0)).astype(int).tolist(),
        *np.ceil(quad.max(axis=0)).astype(int).tolist()
    ]


def pad(image, quad, pads, zoom, watch):
    left, top, right, bottom = pads
    image = np.pad(image.astype(np.float32), [(top, bottom), (left, right), (0, 0)], mode='reflect')
    height, width = image.shape[:2]
    y, x, _ = np.mgrid[:height, :width, :1].astype(np.float32)
    mask = f32(1) - np.minimum(
        np.minimum(x / f32(left), y / f32(top)),
        np.minimum((f32(width - 1) - x) / f32(right), (f32(height - 1) - y) / f32(bottom)))
    watch('mask', mask)
    blurred = image
    for axis in (0, 1):
        blurred = scipy.ndimage.correlate1d(blurred, gaussian_weights(20.48 / zoom), axis=axis,
                                            mode='reflect')
    watch('gauss', blurred)
    image += (blurred - image) * np.clip(mask * f32(3) + f32(1), f32(0), f32(1))
    image += (np.median(image, axis=(0, 1)) - image) * np.clip(mask, f32(0), f32(1))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def process(image, landmarks, watch):
    """Same as pgan.importers.celebahq.recipe.process."""
    quad, zoom = face_quad(landmarks)
    shrink = math.floor(0.5 / zoom)
    if shrink > 1:
        image = resize(image, (round(image.shape[1] / shrink), round(image.shape[0] / shrink)))
        quad /= f32(shrink)
        zoom *= shrink
    border = max(round(102.4 / zoom), 3)
    left, top, right, bottom = bounds(quad)
    left, top = max(left - border, 0), max(top - border, 0)
    image = image[top:bottom + border, left:right + border]
    quad -= np.array([left, top], np.float32)
    factor = int(2 ** math.ceil(math.log2(zoom)))
    if factor > 1:
        image = resize(image, (image.shape[1] * factor, image.shape[0] * factor))
        quad *= f32(factor)
        zoom /= factor
    watch('superresolved', image)
    left, top, right, bottom = bounds(quad)
    height, width = image.shape[:2]
    pads = [
        max(-left + border, 0),
        max(-top + border, 0),
        max(right - width + border, 0),
        max(bottom - height + border, 0)
    ]
    if max(pads) > border - 4:
        pads = [max(size, round(307.2 / zoom)) for size in pads]
        image = pad(image, quad, pads, zoom, watch)
        quad += np.array(pads[:2], np.float32)
    watch('padded', image)
    image = transform(image, (4096, 4096), (quad + f32(0.5)).flatten())
    return resize(image, (1024, 1024)).transpose(2, 0, 1)
