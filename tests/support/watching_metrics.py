"""Metrics that record the images they receive."""
import numpy as np


class Watcher:
    """Metric that records its images; its value is the mean of all pixels."""
    made = []

    def __init__(self, num_images=0, image_shape=(), image_dtype='uint8', minibatch_size=0):
        self.options = num_images, list(image_shape), np.dtype(image_dtype).name, minibatch_size
        self.passes = []
        Watcher.made.append(self)

    def get_metric_names(self):
        return ['Mean', 'Count']

    def get_metric_formatting(self):
        return ['%-8.2f', '%-6.0f']

    def begin(self, mode):
        self.passes.append((mode, []))

    def feed(self, mode, minibatch):
        assert mode == self.passes[-1][0] and minibatch.dtype == np.uint8
        self.passes[-1][1].append(minibatch.copy())

    def end(self, mode):
        images = self.images(-1)
        return [images.mean(), len(images)]

    def images(self, number):
        return np.concatenate(self.passes[number][1])


class Keeper(Watcher):
    """Metric that can export its statistics of the reals."""

    def get_reals_state(self):
        return {'mean': np.array(self.images(-1).mean())}

    def set_reals_state(self, state):
        self.state = float(state['mean'])
