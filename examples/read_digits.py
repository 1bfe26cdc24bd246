"""How readable are generated digits? A nearest-neighbour classifier fitted on the real ones names the class of each.

    python examples/read_digits.py RUN_ID [--count 1000]
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np  # noqa: E402


def nearest_labels(images, real_images, real_labels):
    """Class of the real image nearest to each image (Euclidean distance of pixels).

    Args:
        images, real_images: [n, ...] and [m, ...], same shape per image and same value range.
        real_labels: [m] integers.

    Returns:
        [n] integers.
    """
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (images, real_images))
    distances = (b ** 2).sum(axis=1)[None] - 2 * a @ b.T  # + |a|^2, the same for all candidates
    return real_labels[distances.argmin(axis=1)]


def generate_by_class(Gs, count, num_classes=10, random_seed=1000):
    """`count` images whose asked classes go round 0, 1, ..., num_classes - 1. Returns uint8 images [count, C, R, R] and the classes."""
    asked = np.arange(count) % num_classes
    latents = np.random.RandomState(random_seed).randn(count, *Gs.input_shapes[0][1:]).astype(np.float32)
    images = Gs.run(latents, np.eye(num_classes, dtype=np.float32)[asked], minibatch_size=100, out_mul=127.5, out_add=127.5,
                    out_dtype=np.uint8)
    return images, asked


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('run_id', help="number, name or folder of a run whose networks know the ten classes")
    parser.add_argument('--count', type=int, default=1000, help='digits to generate')
    parser.add_argument('--result_dir', default='results')
    parser.add_argument('--data_dir', default='datasets')
    args = parser.parse_args(argv)

    import misc
    _, _, Gs = misc.load_network_pkl(args.run_id, result_dir=args.result_dir)
    training_set, _ = misc.load_dataset_for_previous_run(args.run_id, result_dir=args.result_dir, data_dir=args.data_dir,
                                                         shuffle_mb=0, max_label_size='full')
    reals, labels = training_set.get_minibatch_np(training_set.num_images)
    images, asked = generate_by_class(Gs, args.count)
    read = nearest_labels(images, reals, labels.argmax(axis=1))
    for digit in range(10):
        print(f'asked for {digit}: {np.mean(read[asked == digit] == digit):6.1%} read back as {digit}')
    print(f'all: {np.mean(read == asked):.1%} of {args.count} generated digits are read as what was asked for')


if __name__ == '__main__':
    main()
