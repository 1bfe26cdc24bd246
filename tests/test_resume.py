"""Runs that are stopped, at any moment and in any way, and go on as if nothing had happened."""
import pytest
from resume_inputs import outcome, run, run_with_kills
from test_train import TINY, make_toy

EVERY_UPDATE = 'train.checkpoint_minutes=1e-9'
EXACT = ('--config', 'tiny.py', '--set', 'env.TF_DETERMINISTIC_OPS=1', '--set', EVERY_UPDATE)


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Makes folders with datasets/toy and tiny.py."""
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        make_toy(folder / 'datasets' / 'toy')
        (folder / 'tiny.py').write_text(TINY)
        return folder
    return make


@pytest.fixture(scope='module')
def uninterrupted(toy):
    """What a run without interruptions leaves, by its number of devices."""
    made = {}

    def get(num_gpus):
        if num_gpus not in made:
            folder = toy('uninterrupted')
            code, output = run(folder, *EXACT, '--set', f'num_gpus={num_gpus}')
            assert code == 0, output
            made[num_gpus] = outcome(folder / 'results' / '000-tiny')
        return made[num_gpus]
    return get


@pytest.mark.slow
@pytest.mark.parametrize('num_gpus, kills', [(1, 25), (2, 4)])
def test_killed_at_random_moments(toy, uninterrupted, num_gpus, kills):
    """Networks bit for bit, pictures byte for byte, ticks and scalars: all as of the run that nobody killed."""
    folder = toy('killed')
    hits = run_with_kills(folder, kills, num_gpus, *EXACT, '--set', f'num_gpus={num_gpus}')
    assert len(hits) == kills and (kills < 25 or hits.count('inside a checkpoint') > 1), hits
    killed, expected = outcome(folder / 'results' / '000-tiny'), uninterrupted(num_gpus)
    assert killed['ticks'] == expected['ticks'] and killed['scalars'] == expected['scalars']
    assert killed['pictures'] == expected['pictures'] and killed['networks'] == expected['networks']
