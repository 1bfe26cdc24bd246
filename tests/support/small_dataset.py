"""Images and labels of conftest.py's small data set."""
import numpy as np

NUM, SHAPE = 23, (3, 16, 16)


def make_images(count=NUM, shape=SHAPE):
    """Images whose first pixel is their index."""
    images = np.random.RandomState(5).randint(0, 256, size=[count, *shape], dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def make_labels(count=NUM):
    """Labels whose first component is the index of their image."""
    labels = np.random.RandomState(6).randn(count, 4).astype(np.float32)
    labels[:, 0] = np.arange(count)
    return labels
