"""Images of tests/golden/metrics.json, by its recipes, and the passes measured with them."""
import numpy as np


def reals_images(seed, n, ch, h, w):
    r = np.random.RandomState(seed)
    a = r.randint(0, 256, size=(n, ch, h // 4, w // 4),
                  dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
    b = r.randint(0, 64, size=(n, ch, h, w), dtype=np.uint8)
    return np.clip(a.astype(np.int32) + b - 32, 0, 255).astype(np.uint8)


def fakes_images(seed, n, ch, h, w):
    r = np.random.RandomState(seed)
    a = r.randint(0, 256, size=(n, ch, h // 2, w // 2),
                  dtype=np.uint8).repeat(2, axis=2).repeat(2, axis=3)
    b = r.randint(0, 256, size=(n, ch, h, w), dtype=np.uint8)
    return ((a.astype(np.int32) * 3 + b) // 4).astype(np.uint8)


def evaluate(recipe, **names):
    """Array of a recipe in metrics.json: an expression of NumPy names."""
    known = dict(RandomState=np.random.RandomState, float32=np.float32, int32=np.int32,
                 uint8=np.uint8, clip=np.clip, reals_images=reals_images, fakes_images=fakes_images)
    return eval(recipe, {'__builtins__': {}}, {**known, **names})


def run_pass(api, mode, images, minibatch_size):
    """Feed all images of a pass; return its result."""
    api.begin(mode)
    for start in range(0, len(images), minibatch_size):
        api.feed(mode, images[start:start + minibatch_size])
    return api.end(mode)


def warmup_pass(api, case):
    """Three minibatches of noise from the global random stream."""
    api.begin('warmup')
    for _ in range(3):
        api.feed(
            'warmup',
            np.random.randint(0, 256, size=[case['minibatch_size'], *case['image_shape']],
                              dtype=np.uint8))
    return api.end('warmup')


def run_golden_passes(make, case, tolerance):
    """Run the passes of a case in order; compare names, formats, all results and the state of the
    random stream.
    """
    api = make(case['num_images'], case['image_shape'], np.uint8, case['minibatch_size'])
    assert api.get_metric_names() == case['metric_names']
    assert api.get_metric_formatting() == case['formatting']
    np.random.seed(case['np_random_seed'])
    for one in case['passes']:
        if one['images'] == 'warmup':
            result = warmup_pass(api, case)
        else:
            images = dict(reals=reals_images,
                          fakes=fakes_images)[one['images']](one['image_seed'], one['num'],
                                                             *case['image_shape'])
            result = run_pass(api, one['mode'], images, case['minibatch_size'])
        np.testing.assert_allclose(result, one['result'], rtol=0, atol=tolerance)
        for value, format, text in zip(result, case['formatting'], one['formatted']):
            assert len(format % value) == len(text) and abs(float(format % value) -
                                                            float(text)) <= tolerance + 1e-9
    assert np.random.rand() == case['next_np_random_rand']
