"""Run for the explorer: a tiny network with three classes, snapshots and a data set."""
import json
import os
import time

import numpy as np
from werkzeug.test import Client

import misc
import tfutil
from pgan.explorer.run import Run
from pgan.explorer.safety import Guard
from pgan.explorer.server import App
from pgan.explorer.session import Session
from tests.support.script_inputs import settings_of_run
from tests.support.toy_runs import make_toy

PORT = 8765


def random_generator(seed=1, **options):
    """G_paper with random weights, whose images differ."""
    Gs = tfutil.Network('Gs', 'networks.G_paper', **{**dict(
        num_channels=3, resolution=16, label_size=3, fmap_base=64, fmap_max=8), **options})
    random = np.random.RandomState(seed)
    for name, var in Gs.trainables.items():
        scale = 0.3 if name.endswith('bias') or name.startswith('ToRGB') else 1
        var.assign(random.randn(*var.shape) * scale)
    return Gs


def make_run(folder):
    """Folder with results/003-toy, snapshots 100, 200 and final, and its datasets/toy. Returns the
    configuration.
    """
    run = folder / 'results/003-toy'
    os.makedirs(run)
    make_toy(str(folder / 'datasets/toy'))
    (folder / 'datasets/toy/toy-classes.txt').write_text('cat\ndog\n<b>bird</b>\n')
    misc.write_config(run, {'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full'},
                            'train': {'mirror_augment': True}})
    D = tfutil.Network('D', 'networks.D_paper', num_channels=3, resolution=16, label_size=3,
                       fmap_base=64, fmap_max=8)
    for name, seed, lod in (('snapshot-000100', 1, 1.0), ('snapshot-000200', 2, 0.0),
                            ('final', 3, 0.0)):
        Gs = random_generator(seed)
        Gs.set_var('lod', lod)
        misc.save_pkl((Gs, D, Gs), str(run / f'network-{name}.pkl'))
    return settings_of_run(result_dir=str(folder / 'results'), data_dir=str(folder / 'datasets'))


def open_session(config, run_id=3):
    """Explorer session of the run."""
    return Session(Run(run_id, None, config))


class Browser:
    """Client that sends the same requests as the page."""

    def __init__(self, session, guard=None):
        self.guard = guard or Guard('127.0.0.1', PORT)
        self.session = session
        self.client = Client(App(session, self.guard))

    def send(self, path, method='GET', host=f'127.0.0.1:{PORT}', **options):
        """Send a request; check the headers that all responses have."""
        response = self.client.open(path, method=method, base_url=f'http://{host}/', **options)
        assert "default-src 'none'" in response.headers['Content-Security-Policy']
        assert response.headers['X-Content-Type-Options'] == 'nosniff'
        return response

    def get(self, path, **options):
        """Body of a successful response."""
        response = self.send(path, **options)
        assert response.status_code == 200, response.get_data()
        return response.get_data()

    def start(self, path, value):
        """Start a task and wait for it. Returns its final description."""
        response = self.send(path, 'POST', json=value) if isinstance(value, dict) else self.send(
            path, 'POST', data=value, content_type='application/octet-stream')
        assert response.status_code == 200, response.get_data()
        return self.wait(response.get_json()['task'])

    def wait(self, number, seconds=60):
        """Final description of a task."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            task = json.loads(self.get(f'/tasks/{number}'))
            if task['state'] not in ('waiting', 'running'):
                return task
            time.sleep(0.02)
        raise TimeoutError(task)
