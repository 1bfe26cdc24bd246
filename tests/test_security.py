"""SECURITY.md: its attacks carried out as written, and those of the other rooms by name."""
import os
import re
import subprocess
import sys

import pytest

from pgan.errors import UserError
from tests.support.document_blocks import blocks
from tests.support.golden import ROOT

ATTACKS = [block for block in blocks() if block.document == 'SECURITY.md' and block.language]
CANARY = 'pwned'  # what each attack tries to make

# Attacks by kind of file, each carried out in the tests named behind it.
ELSEWHERE = {
    'pickles': ('misc/test_pickles.py', 'test_other_names_are_refused_before_anything_runs'),
    'pickles of the Theano version': ('test_legacy_malformed.py', 'test_hostile_pickles'),
    'source in a network': ('test_legacy_malformed.py',
                            'test_source_in_the_file_is_never_executed'),
    'sizes in a pickle': ('misc/test_damaged_pickles.py',
                          'test_sizes_in_a_pickle_reserve_no_memory'),
    "a run's folder": ('misc/test_own_code.py', 'test_a_run_folder_executes_nothing'),
    'names in config.txt': ('misc/test_own_code.py', 'test_other_names_are_refused'),
    'graphs': ('metrics/test_inception.py', 'test_a_graph_that_reaches_out_is_refused'),
    'paths of the explorer': ('pgan/explorer/test_safety.py', 'test_no_path_reaches_the_disk'),
    'other web pages': ('pgan/explorer/test_safety.py', 'test_other_pages_are_refused'),
    'uploads': ('pgan/explorer/test_safety.py', 'test_uploads_that_are_no_pictures'),
}


@pytest.mark.parametrize('attack', ATTACKS, ids=lambda block: f'line {block.line}')
def test_the_documents_attacks_are_refused(attack, in_tmp):
    with pytest.raises(UserError) as caught:
        exec(attack.text, {})  # noqa: S102 -- the document under test
    assert not os.path.exists(CANARY)
    promised = re.search(r'# (\w+): (.+)$', attack.text, re.MULTILINE)
    assert type(caught.value).__name__ == promised[1] and promised[2] in str(caught.value)
    assert len(ATTACKS) == 4


def test_the_attacks_would_work_without_this_program(in_tmp):
    """Else it would prove nothing that they are refused."""
    making, loading = ATTACKS[0].text.split('misc.load_pkl(')
    script = making.replace('import misc\n', '') + "pickle.load(open('network.pkl', 'rb'))"
    subprocess.run([sys.executable, '-c', script], check=True)
    assert os.path.exists(CANARY) and loading


def test_the_source_in_a_network_is_executed_only_for_those_who_say_so(in_tmp):
    text = ATTACKS[1].text.replace("misc.load_pkl('network.pkl')",
                                   "misc.load_pkl('network.pkl', trust_source=True)")
    with pytest.raises(UserError):  # as the source defines no build function
        exec(text, {})  # noqa: S102 -- the document under test
    assert os.path.exists(CANARY)


@pytest.mark.parametrize(('file', 'name'), ELSEWHERE.values(), ids=ELSEWHERE)
def test_other_attacks_are_carried_out(file, name):
    assert f'def {name}(' in (ROOT / 'tests' / file).read_text()


def test_python_objects_in_labels_would_run(in_tmp):
    making = ATTACKS[3].text.split('read_labels(')[0]
    script = making.replace('from pgan.data.labels import read_labels\n', '')
    subprocess.run([sys.executable, '-c', script + "np.load('labels.npy', allow_pickle=True)"],
                   check=True)
    assert os.path.exists(CANARY)
