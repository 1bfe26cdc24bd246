"""Bit-exact reconstruction of a CelebA-HQ image from a CelebA photograph (paper, appendix C).

The published MD5 sums were computed with Pillow 3.1.1, libjpeg 8d, NumPy 1 and SciPy 1.0.
`exact_jpeg`, `exact_pillow` and `exact_blur` reproduce these libraries. This module uses float32
wherever NumPy 1 did. (In NumPy 2, a NumPy float64 or int64 scalar promotes float32 arrays to
float64, which changes single pixels of some images by one level. Therefore scalars are plain Python
numbers, and constants are np.float32.)
"""
import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pgan.errors import DataError
from pgan.importers.celebahq.delta import DELTA_CAUSE, JPEG_CAUSE, WrongJpeg, read_delta
from pgan.importers.celebahq.exact_blur import gaussian_blur
from pgan.importers.celebahq.exact_jpeg import decode
from pgan.importers.celebahq.exact_pillow import resize, resize_lines, transform, transform_columns

SIDE = 1024  # side of the images
WARPED = 4096  # side of the square that the face is warped to, before it is resized
# Limits for the side of the square around a face: in pixels, and as a multiple of the photograph's
# longer side.
MIN_QUAD, MAX_QUAD = 8, 8
f32 = np.float32


class ImageError(DataError):
    """One image cannot be rebuilt; others may be intact."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Input files and expected MD5 sums of one image.

    Attributes:
        index: number of the image in CelebA-HQ.
        orig_file: name of the photograph, e.g. '000001.jpg'.
        jpeg_path: path of the photograph.
        landmarks: x and y of left eye, right eye, nose, left and right corner of the mouth.
        zip_path: path of the archive that holds the delta.
        proc_md5, final_md5: MD5 sums of the image's bytes [3, 1024, 1024] before and after adding
            the delta.
    """
    index: int
    orig_file: str
    jpeg_path: str
    landmarks: tuple[tuple[float, float], ...]
    zip_path: str
    proc_md5: str
    final_md5: str

    def __str__(self) -> str:
        return f'image {self.index} ({self.orig_file!r})'


def rebuild(task: Task) -> np.ndarray:
    """Rebuild one image and check both MD5 sums: uint8 [3, 1024, 1024].

    Raises:
        ImageError: files are missing or damaged, or an MD5 sum differs from the published one.
        ConfigError: a package is missing.
    """
    try:
        photograph = decode(task.jpeg_path)
        if photograph.ndim != 3:
            raise DataError(f'{task.jpeg_path!r} is grayscale. Expected RGB. {JPEG_CAUSE}')
        image = process(photograph, task.landmarks)
        if _md5(image) != task.proc_md5:
            raise DataError(_why_not_processed(task, _md5(image)))
        image += read_delta(task)  # modulo 256
        if _md5(image) != task.final_md5:
            raise DataError('the sum of the processed photograph, which is correct, and the delta '
                            f'has the MD5 {_md5(image)}. Expected the final_md5 of '
                            f'image_list.txt, {task.final_md5}. Stage to suspect: the delta. '
                            f'{DELTA_CAUSE}')
    except DataError as error:
        raise ImageError(f'{task}: {error}') from error
    return image


def _md5(image):
    return hashlib.md5(image).hexdigest()


# --------------------------------------------------------------------------------------------------
# Processing.


@dataclasses.dataclass
class _Picture:
    """Image and geometry between the stages.

    Attributes:
        image: uint8 [H, W, 3].
        quad: float32 [4, 2], x and y of the corners of the square around the face: upper left,
            lower left, lower right, upper right.
        zoom: pixels of the result per pixel of the image.
        watch: function of a stage's name and its output, called after each stage.
    """
    image: np.ndarray
    quad: np.ndarray
    zoom: float
    watch: Callable[[str, Any], None]

    def bounds(self) -> tuple[int, int, int, int]:
        """Bounding box of the quad: left, top, right, bottom."""
        left, top = map(math.floor, self.quad.min(axis=0))
        right, bottom = map(math.ceil, self.quad.max(axis=0))
        return left, top, right, bottom


def process(photograph: np.ndarray, landmarks: Sequence[Sequence[float]] | np.ndarray,
            watch: Callable[[str, Any], None] = lambda stage, value: None) -> np.ndarray:
    """Process a photograph; all steps except adding the delta.

    Args:
        photograph: uint8 [H, W, 3].
        landmarks: x and y of left eye, right eye, nose, left and right corner of the mouth; [5, 2].
        watch: function called with the name and the output (an array or a number) of each stage;
            three times for stages that process one colour at a time.

    Returns:
        uint8 [3, 1024, 1024]

    Raises:
        DataError: the landmarks cannot be those of a face in this photograph.
    """
    picture = _Picture(photograph, *face_quad(landmarks), watch)
    _check_quad(picture, landmarks)
    watch('decoded', photograph)
    watch('quad_initial', picture.quad)
    _shrink(picture)
    border = max(round(SIDE * 0.1 / picture.zoom), 3)
    _crop(picture, border)
    _super_resolve(picture)
    _pad(picture, border)
    return _warp(picture)


def face_quad(landmarks: Sequence[Sequence[float]] | np.ndarray) -> tuple[np.ndarray, float]:
    """Compute the square to crop from the landmarks of a face: (quad float32 [4, 2], zoom)."""
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(landmarks, np.float32)
    eyes = (left_eye + right_eye) * f32(0.5) + f32(0.5)
    mouth = (left_mouth + right_mouth) * f32(0.5) + f32(0.5)
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    x = eye_to_eye - _rot90(eye_to_mouth)
    with np.errstate(invalid='ignore'):  # if all points coincide; checked by the caller
        x /= np.hypot(*x)
    x *= f32(max(float(np.hypot(*eye_to_eye)) * 2.0, float(np.hypot(*eye_to_mouth)) * 1.8))
    y = _rot90(x)
    center = eyes + eye_to_mouth * f32(0.1)
    quad = np.stack([center - x - y, center - x + y, center + x + y, center + x - y])
    return quad, SIDE / (float(np.hypot(*x)) * 2)


def _check_quad(picture, landmarks):
    """Raise DataError for implausible landmarks, which might request images of any size."""
    height, width = picture.image.shape[:2]
    (x, y), side = picture.quad.mean(axis=0).tolist(), SIDE / picture.zoom
    if not (0 <= x <= width and 0 <= y <= height
            and MIN_QUAD <= side <= MAX_QUAD * max(width, height)):
        points = ', '.join(f'({x:g}, {y:g})' for x, y in landmarks)
        raise DataError(f'its landmarks, {points}, are not those of a face in a photograph of '
                        f'{width}x{height}. Stage to suspect: the landmarks. Check that '
                        'list_landmarks_celeba.txt is the one for the images "in the wild".')


def _rot90(vector):
    return np.array([-vector[1], vector[0]])


def _shrink(picture):
    """Shrink an image of more than twice the required resolution by an integer factor."""
    factor = math.floor(0.5 / picture.zoom)
    if factor > 1:
        height, width = picture.image.shape[:2]
        picture.image = resize(picture.image, (round(width / factor), round(height / factor)))
        picture.quad /= f32(factor)
        picture.zoom *= factor
    picture.watch('shrunk', picture.image)


def _crop(picture, border):
    """Crop to the quad's bounding box, extended by `border` pixels."""
    height, width = picture.image.shape[:2]
    left, top, right, bottom = picture.bounds()
    left, top = max(left - border, 0), max(top - border, 0)
    right, bottom = min(right + border, width), min(bottom + border, height)
    picture.image = picture.image[top:bottom, left:right]
    picture.quad -= np.array([left, top], np.float32)
    picture.watch('cropped', picture.image)


def _super_resolve(picture):
    """Enlarge an image of too low resolution by a power of two.

    The original used a network for this; the delta contains the difference.
    """
    factor = int(2 ** math.ceil(math.log2(picture.zoom)))
    if factor > 1:
        height, width = picture.image.shape[:2]
        picture.image = resize(picture.image, (width * factor, height * factor))
        picture.quad *= f32(factor)
        picture.zoom /= factor
    picture.watch('superresolved', picture.image)


def _pad(picture, border):
    """Extend the image where the quad is outside of it.

    The extension is mirrored, blurred, and fades into the median colour.
    """
    height, width = picture.image.shape[:2]
    left, top, right, bottom = picture.bounds()
    beyond = (-left, -top, right - width, bottom - height)
    pads = [max(pixels + border, 0) for pixels in beyond]
    if max(pads) > border - 4:
        pads = [max(pad, round(SIDE * 0.3 / picture.zoom)) for pad in pads]
        left, top, right, bottom = pads
        planes = np.pad(picture.image.transpose(2, 0, 1), [(0, 0), (top, bottom), (left, right)],
                        mode='reflect')
        # 1 at the outer edges, 0 at the edge of the original image, negative inside of it.
        y_depths = _depths(planes.shape[1], top, bottom)
        x_depths = _depths(planes.shape[2], left, right)
        mask = f32(1) - np.minimum.outer(y_depths, x_depths)
        picture.watch('mask', mask)
        sigma = SIDE * 0.02 / picture.zoom
        for plane in planes:  # one at a time takes a third of the memory
            plane[:] = _fade(plane.astype(np.float32), mask, sigma, picture.watch)
        picture.image = planes.transpose(1, 2, 0)
        picture.quad += np.array([left, top], np.float32)
    picture.watch('padded', picture.image)
    picture.watch('quad_padded', picture.quad)


def _depths(size, before, after):
    """Distance of each pixel of a line from the nearer end, in paddings: float32 [size]."""
    pixels = np.arange(size, dtype=np.float32)
    return np.minimum(pixels / f32(before), (f32(size - 1) - pixels) / f32(after))


def _fade(plane, mask, sigma, watch):
    """Blur one colour plane and blend it with its median, increasingly towards the edges.

    Returns float32 [H, W], rounded, 0 to 255.
    """
    watch('np_pad', plane)
    blurred = gaussian_blur(plane, sigma)
    watch('gauss', blurred)
    for strip in _strips(plane):
        _blend(plane[strip], blurred[strip], mask[strip] * f32(3) + f32(1))
    watch('blend_blur', plane)
    median = np.median(plane)
    watch('median', median)
    for strip in _strips(plane):
        _blend(plane[strip], median, mask[strip])
    watch('blend_median', plane)
    return np.clip(np.rint(plane, out=plane), 0, 255, out=plane)


def _strips(plane, rows=32):
    """Slices of rows that fit into the processor's cache."""
    return [slice(top, top + rows) for top in range(0, len(plane), rows)]


def _blend(image, other, weight):
    """image += (other - image) * clip(weight, 0, 1), in place."""
    difference = other - image
    difference *= np.clip(weight, f32(0), f32(1))
    image += difference


def _warp(picture):
    """Warp the quad to 4096x4096 and resize it to 1024x1024.

    Only a few columns of the large image are in memory at a time.
    """
    corners = (picture.quad + f32(0.5)).flatten()
    warped = transform_columns(picture.image, (WARPED, WARPED), corners)
    warped = _watched(warped, picture.watch)
    columns = np.stack([*resize_lines(warped, WARPED, SIDE)])  # [1024, 3, 4096]
    rows = np.ascontiguousarray(columns.transpose(2, 1, 0))
    rows = np.stack([*resize_lines(rows, WARPED, SIDE)])  # [1024, 3, 1024]
    return np.ascontiguousarray(rows.transpose(1, 0, 2))


def _watched(columns, watch):
    for column in columns:
        watch('transformed', column)
        yield column


# --------------------------------------------------------------------------------------------------
# Diagnosis of errors.


def _why_not_processed(task, received):
    """Message for an image whose proc_md5 differs from the published one.

    If the delta can be decrypted, the JPEG file is the original.
    """
    found = (f'the processed photograph has the MD5 {received}. Expected the proc_md5 of '
             f'image_list.txt, {task.proc_md5}. ')
    try:
        read_delta(task)
    except WrongJpeg as error:
        return found + str(error)
    except DataError as error:
        return found + f'Whether the JPEG file is the original one cannot be checked: {error}'
    stages = failing_stages()
    if stages:
        return found + ('The JPEG file is the original one. Stage to suspect: '
                        f'{" and ".join(stages)}, with wrong results on this machine: check that '
                        'its processor is x86-64, and that the versions of NumPy and SciPy are '
                        'those of requirements-pip.txt.')
    return found + ('The JPEG file is the original one, and resizing, warping and blurring are '
                    'exact on this machine. Stage to suspect: the landmarks, or JPEG decoding. '
                    f'Check that the line of {task.orig_file} in list_landmarks_celeba.txt is that '
                    'of the landmarks "in the wild" (not of list_landmarks_align_celeba.txt).')


def _noise():
    return np.random.RandomState(1).randint(0, 256, [120, 160, 3], dtype=np.uint8)


_CORNERS = [20.5, -3.25, 4.75, 100.5, 130.25, 119.5, 150.125, 8.5]
# Expected output of each stage for noise: MD5 sums that agree with Pillow 3.1.1 and SciPy 1.0.
_CHECKS: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    'resizing': (lambda: resize(_noise(), (211, 97)), '79ea19aea45010b6361a109edc86543c'),
    'warping': (lambda: transform(_noise(), (200, 180), _CORNERS),
                'e6065484e56283071f4cf8ed5368629c'),
    'blurring': (lambda: gaussian_blur(_noise()[..., 0].astype(np.float32), 7.3),
                 'b8ae5e3b091132e1a4df5cecc40a5b63'),
}


@functools.cache
def failing_stages() -> list[str]:
    """Names of the stages whose results are not exact on this machine."""
    outputs = {name: np.ascontiguousarray(compute()) for name, (compute, _) in _CHECKS.items()}
    return [name for name, (_, md5) in _CHECKS.items() if _md5(outputs[name]) != md5]
