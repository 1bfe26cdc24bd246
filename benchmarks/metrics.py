"""Time of SWD and MS-SSIM compared with a plain program: python -m benchmarks.metrics -h

Prints one JSON line per case. The plain program computes the same numbers directly from the
formulas with SciPy: 2-D kernels, one image at a time for MS-SSIM, one minibatch at a time for SWD.
`memory` is the peak of SWD at 1024x1024 for several numbers of images, each in a separate process;
`per_image_mb` is the memory per additional image (its descriptors are kept, its pyramid is not).
"""
import json
import sys
import time

import numpy as np

from benchmarks.common import Parser, run_child

CASES = ('swd', 'msssim', 'memory')
_PEAK = '''
import json, sys
import numpy as np
from benchmarks.common import peak_mb
from metrics.sliced_wasserstein import API
count = int(sys.argv[1])
api = API(count, [3, 1024, 1024], np.uint8, 4)
api.begin('reals')
for start in range(0, count, 4):
    api.feed('reals', np.random.randint(0, 256, size=[4, 3, 1024, 1024], dtype=np.uint8))
api.end('reals')
print(json.dumps(dict(peak_mb=peak_mb())))
'''


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.metrics', description=__doc__.split('\n')[0])
    parser.add_argument('--case', choices=CASES, action='append',
                        help='measure only this; may be given several '
                        'times')
    parser.add_argument('--swd_images', type=int, default=2048, help='of 64x64 (default: 2048)')
    parser.add_argument('--msssim_images', type=int, default=1024,
                        help='of 128x128 (default: 1024)')
    return parser.parse_args(argv)


def some_images(count, size, seed):
    """Synthetic images of blobs and noise, uint8 [count, 3, size, size]."""
    r = np.random.RandomState(seed)
    blobs = r.randint(0, 256, size=(count, 3, size // 4, size // 4),
                      dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
    return np.clip(blobs + r.randint(-32, 33, size=(count, 3, size, size), dtype=np.int16), 0,
                   255).astype(np.uint8)


# --------------------------------------------------------------------------------------------------
# Plain versions.

def plain_pyramid(minibatch, levels):
    import scipy.ndimage
    row = np.float32([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(row, row)[None, None]
    pyramid = [minibatch.astype(np.float32)]
    for _ in range(1, levels):
        pyramid.append(scipy.ndimage.convolve(pyramid[-1], kernel, mode='mirror')[:, :, ::2, ::2])
        spread = np.zeros_like(pyramid[-2])
        spread[:, :, ::2, ::2] = pyramid[-1]
        pyramid[-2] = pyramid[-2] - scipy.ndimage.convolve(spread, 4 * kernel, mode='mirror')
    return pyramid


def plain_descriptors(images, levels=3, half=3, per_image=128, minibatch_size=128):
    """Normalised neighbourhoods of each level."""
    found = [[] for _ in range(levels)]
    for start in range(0, len(images), minibatch_size):
        for level, x in enumerate(plain_pyramid(images[start:start + minibatch_size], levels)):
            count, size = len(x) * per_image, x.shape[-1]
            n, channel, dx, dy = np.ogrid[0:count, 0:3, -half:half + 1, -half:half + 1]
            left = np.random.randint(half, size - half, size=(count, 1, 1, 1))
            top = np.random.randint(half, size - half, size=(count, 1, 1, 1))
            found[level].append(x[n // per_image, channel, top + dy, left + dx])
    for level, parts in enumerate(found):
        desc = np.concatenate(parts)
        desc -= desc.mean(axis=(0, 2, 3), keepdims=True)
        desc /= desc.std(axis=(0, 2, 3), keepdims=True)
        found[level] = desc.reshape(len(desc), -1)
    return found


def plain_swd(reals, fakes):
    """Distances of the levels times 1000."""
    results = []
    pair = [plain_descriptors(reals)]
    for desc in pair[0]:
        plain_distance(desc, desc)
    pair.append(plain_descriptors(fakes))
    for a, b in zip(*pair):
        results.append(plain_distance(a, b) * 1e3)
    return [*results, np.mean(results)]


def plain_distance(a, b, repeats=4, count=128):
    total = 0.0
    for _ in range(repeats):
        directions = np.random.randn(a.shape[1], count)
        directions = (directions / np.sqrt(np.square(directions).sum(axis=0))).astype(np.float32)
        total += np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)).mean()
    return total / repeats


def plain_msssim(a, b):
    """Similarity of two images, float64 [H, W, 3]."""
    from scipy.signal import fftconvolve

    from metrics.ms_ssim import WEIGHTS
    score, c1, c2 = 1.0, (0.01 * 255) ** 2, (0.03 * 255) ** 2
    for level, weight in enumerate(WEIGHTS):
        size = min(11, len(a))
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        window = np.exp(-(x ** 2 + y ** 2) / (2 * (1.5 * size / 11) ** 2))
        window = (window / window.sum())[:, :, None]
        mean_a, mean_b, aa, bb, ab = (fftconvolve(image, window, mode='valid')
                                      for image in (a, b, a * a, b * b, a * b))
        contrast = (2 * (ab - mean_a * mean_b) + c2) / (aa + bb - mean_a ** 2 - mean_b ** 2 + c2)
        similarity = (2 * mean_a * mean_b + c1) / (mean_a ** 2 + mean_b ** 2 + c1) * contrast
        score *= max(np.mean(similarity if level == len(WEIGHTS) - 1 else contrast), 0) ** weight
        a, b = ((x[0::2, 0::2] + x[0::2, 1::2] + x[1::2, 0::2] + x[1::2, 1::2]) /
                4 if level < 4 else x for x in (a, b))
    return score


# --------------------------------------------------------------------------------------------------
# Measuring.

def run_pass(api, mode, images, minibatch_size):
    api.begin(mode)
    for start in range(0, len(images), minibatch_size):
        api.feed(mode, images[start:start + minibatch_size])
    return api.end(mode)


def timed(function):
    """(seconds, result)"""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compared(case, count, plain, ours):
    """Result line of a case. Raises AssertionError if the two programs disagree."""
    np.random.seed(0)
    plain_seconds, expected = timed(plain)
    np.random.seed(0)
    seconds, result = timed(ours)
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    return dict(case=case, images=count, seconds=round(seconds,
                                                       2), plain_seconds=round(plain_seconds, 2),
                times_faster=round(plain_seconds / seconds, 2))


def measure_swd(count):
    from metrics.sliced_wasserstein import API
    reals, fakes = some_images(count, 64, 0), some_images(count, 64, 1)[..., ::-1] // 2

    def ours():
        api = API(count, [3, 64, 64], np.uint8, 128)
        run_pass(api, 'reals', reals, 128)
        return run_pass(api, 'fakes', fakes, 128)
    yield compared('swd', count, lambda: plain_swd(reals, fakes), ours)


def measure_msssim(count):
    from metrics.ms_ssim import API
    images = some_images(count, 128, 0)
    images[1::2] = images[0::2] // 2 + images[1::2] // 2

    def plain():
        channels_last = images.transpose(0, 2, 3, 1).astype(np.float64)
        return [
            np.mean([plain_msssim(a, b) for a, b in zip(channels_last[0::2], channels_last[1::2])])
        ]

    yield compared('msssim', count, plain,
                   lambda: run_pass(API(count, [3, 128, 128], np.uint8, 64), 'fakes', images, 64))


def measure_memory(counts=(16, 64, 256)):
    peaks = {
        count: run_child([sys.executable, '-c', _PEAK, count])[-1]['peak_mb']
        for count in counts
    }
    for count in counts:
        yield dict(case='memory', images=count, peak_mb=peaks[count])
    yield dict(
        case='memory', per_image_mb=round(
            (peaks[counts[-1]] - peaks[counts[-2]]) / (counts[-1] - counts[-2]), 3))


if __name__ == '__main__':
    args = parse_args()
    for name in args.case or CASES:
        cases = dict(swd=lambda: measure_swd(args.swd_images),
                     msssim=lambda: measure_msssim(args.msssim_images), memory=measure_memory)
        for line in cases[name]():
            print(json.dumps(line), flush=True)
