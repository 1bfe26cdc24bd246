"""pixels: halving, enlarging and rounding."""
import numpy as np
import pytest

from pgan.pixels import box_average, repeat_pixels, to_uint8


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_boxes_are_averaged_in_the_dtype_of_the_images(dtype):
    images = np.arange(32, dtype=dtype).reshape(2, 1, 4, 4)
    halved = box_average(images)
    assert halved.dtype == dtype and halved.shape == (2, 1, 2, 2)
    assert halved[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_three_pixels_become_two():
    halved = box_average(np.float64([[1, 2, 5]] * 3))
    assert halved.tolist() == [[1.5, 3.5]] * 2


def test_the_order_of_additions():
    """Left, right, then the row below: in float32, the order of additions changes the sum."""
    large = np.float32(2.0**24)
    assert box_average(np.float32([[large, 1], [1, -large]])) == 0
    assert box_average(np.float32([[large, -large], [1, 1]])) == 0.5


def test_repeated_pixels_average_to_themselves():
    images = np.random.RandomState(1).randint(256, size=[2, 3, 4, 4]).astype(np.float32)
    repeated = repeat_pixels(images, 2)
    assert repeated.shape == (2, 3, 8, 8) and (box_average(repeated) == images).all()
    assert (repeat_pixels(images, 1) == images).all()


def test_bytes_are_rounded_half_to_even_and_clipped():
    assert to_uint8(np.float64([-3, 0.5, 1.5, 254.5, 255.5, 1e9])).tolist() == [
        0, 0, 2, 254, 255, 255]
    pixels = np.arange(256, dtype=np.uint8)
    assert to_uint8(pixels) is pixels
    assert to_uint8(np.int64([-1, 7, 256])).tolist() == [0, 7, 255]
