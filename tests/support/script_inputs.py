"""Fixtures for scripts: a run with a stand-in network, and small data sets."""
import os
import types

import numpy as np

import misc
from pgan.data.writer import TFRecordExporter


class StandInNetwork:
    """Records its inputs and returns random images like the network of the golden data: call k
    draws from RandomState(1 + k).
    """

    def __init__(self, latent_size, image_shape, label_size=0):
        self.input_shape, self.input_shapes = [None, latent_size], [[None, latent_size],
                                                                    [None, label_size]]
        self.image_shape, self.output_shape = image_shape, [None, *image_shape]
        self.latents, self.labels, self.options = [], [], []

    def run(self, latents, labels, **options):
        self.latents.append(latents.copy())
        self.labels.append(labels.copy())
        self.options.append(options)
        channels, *size = self.image_shape
        size = [pixels // options['out_shrink'] for pixels in size]
        return np.random.RandomState(1 + len(self.latents)).randint(
            0, 256, size=[len(latents), channels, *size], dtype=np.uint8)


def run_23(monkeypatch):
    """Create results/023-run. Returns a function that takes a network, makes the run appear to hold
    it as network-final.pkl and as a snapshot, and returns it.
    """
    os.makedirs('results/023-run')
    for name in ('network-final.pkl', 'network-snapshot-000100.pkl'):
        open(f'results/023-run/{name}', 'w').close()

    def use(net):
        monkeypatch.setattr(misc.results, 'load_pkl', lambda path: (net, net, net))
        return net
    return use


def settings_of_run(**changes):
    """Part of the configuration that scripts use."""
    return types.SimpleNamespace(
        **{**dict(result_dir='results', data_dir='datasets', desc='out', num_gpus=1), **changes})


def files_as_originals(folder):
    """Sorted names of a result folder's files, without environment.json, which is new here."""
    return sorted(set(os.listdir(folder)) ^ {'environment.json'})


def check_run_options(received, golden):
    """Network.run was called with the golden options."""
    assert {**received, 'out_dtype': np.dtype(received['out_dtype']).name} == golden


def write_labelled_data(labels, folder='datasets/toy'):
    """Create a data set of noise with these labels, [images, components], and the config.txt of run
    23, which was trained on it.
    """
    with TFRecordExporter(folder, len(labels), print_progress=False) as exporter:
        for i in range(len(labels)):
            exporter.add_image(np.full([3, 8, 8], i, np.uint8))
        exporter.add_labels(np.asarray(labels, np.float32))
    misc.write_config('results/023-run', {
        'dataset': {'tfrecord_dir': os.path.basename(folder), 'max_label_size': 'full'},
        'train': {}
    })
