"""Time per stage and memory of rebuilding CelebA-HQ images: python -m benchmarks.celebahq -h

Rebuilds the test photographs with this program and with the plain one
(benchmarks/celebahq_plain.py), alternately, both on one thread, and compares the results. Prints
one JSON line for each photograph, then the mean: CPU seconds by stage, [here, plain]. Memory is the
peak of a process that rebuilds that one image, as a worker does.
"""
import hashlib
import json
import os
import pathlib
import sys
import time

from benchmarks.common import Parser, run_child

# last watched name of each stage; other names do not end a stage
STAGES = {'superresolved': 'resize', 'mask': 'pad', 'gauss': 'blur', 'padded': 'pad'}
_RUN = '''
import json, sys
from benchmarks.celebahq import read_tasks
from benchmarks.common import peak_mb
from pgan.importers.celebahq.recipe import rebuild
rebuild(read_tasks()[int(sys.argv[1])])
print(json.dumps(dict(peak_mb=peak_mb())))
'''


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.celebahq', description=__doc__.split('\n')[0])
    parser.add_argument('--repeats', type=int, default=3,
                        help='the minimum counts (default: 3)')
    return parser.parse_args(argv)


def read_tasks():
    """The test photographs, as pgan.importers.celebahq.recipe.Task."""
    from pgan.importers.celebahq.recipe import Task
    folder = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'golden' / 'celebahq'
    images = json.loads((folder / 'pipeline.json').read_text())['images']
    return [
        Task(image['idx'], image['orig_file'],
             str(folder / 'pipeline' / 'celeba' / 'img_celeba' / image['orig_file']),
             image['landmarks'], str(folder / 'pipeline' / 'deltas' / 'deltas00000.zip'),
             image['proc_md5'], image['final_md5']) for image in images
    ]


def measure_stages(process, photograph, task):
    """CPU seconds by stage of one run. Checks the result."""
    seconds, last = dict.fromkeys(('resize', 'pad', 'blur', 'warp'), 0.0), [time.process_time()]

    def lap(stage):
        now = time.process_time()
        seconds[stage] += now - last[0]
        last[0] = now

    def watch(name, _):
        # This program reports all its steps, and those that work per colour three times. Only some
        # of them end a stage of the table.
        if name in STAGES or name in ('np_pad', 'blend_blur', 'median', 'blend_median'):
            lap(STAGES.get(name, 'pad'))

    image = process(photograph, task.landmarks, watch)
    lap('warp')
    assert hashlib.md5(image.tobytes()).hexdigest() == task.proc_md5, task
    return seconds


def measure(task, repeats):
    """Rebuild a photograph several times with both programs.

    Returns:
        ({stage: [here, plain]}, {stage: seconds} of stages that are the same in both, peak MB).
    """
    from benchmarks import celebahq_plain
    from pgan.importers.celebahq import delta, exact_jpeg, recipe
    start = time.process_time()
    photograph = exact_jpeg.decode(task.jpeg_path)
    decoded = time.process_time()
    delta.read_delta(task)
    common = dict(decode=decoded - start, delta=time.process_time() - decoded)
    runs = [[
        measure_stages(process, photograph, task)
        for process in (recipe.process, celebahq_plain.process)
    ] for _ in range(repeats)]
    stages = {
        stage: [min(run[who][stage] for run in runs) for who in (0, 1)]
        for stage in runs[0][0]
    }
    return stages, common, run_child([sys.executable, '-c', _RUN, task.index])[-1]['peak_mb']


def report(name, stages, common, peak_mb):
    total = [sum(pair[who] for pair in stages.values()) + sum(common.values()) for who in (0, 1)]
    rounded = {
        stage: [round(value, 2) for value in pair]
        for stage, pair in {**stages, 'all': total}.items()
    }
    print(
        json.dumps(
            dict(image=name, **{stage: round(value, 2)
                                for stage, value in common.items()}, **rounded,
                 times_faster=round(total[1] / total[0], 2), peak_mb=peak_mb)), flush=True)


def main(argv=None):
    args = parse_args(argv)
    results = []
    for task in read_tasks():
        results.append(measure(task, args.repeats))
        report(task.orig_file, *results[-1])
    stages = {
        stage: [sum(result[0][stage][who] for result in results) / len(results) for who in (0, 1)]
        for stage in results[0][0]
    }
    common = {
        stage: sum(result[1][stage] for result in results) / len(results)
        for stage in results[0][1]
    }
    report('mean', stages, common, max(result[2] for result in results))


if __name__ == '__main__':
    arguments = parse_args()  # before the restart, so that -h is quick
    if os.environ.get('OPENBLAS_NUM_THREADS') != '1':  # NumPy reads it when it is imported
        os.execve(sys.executable, [sys.executable, '-m', 'benchmarks.celebahq', *sys.argv[1:]],
                  {**os.environ, 'OPENBLAS_NUM_THREADS': '1'})
    main()
