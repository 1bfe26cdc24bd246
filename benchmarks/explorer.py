"""Speed and memory of the explorer: python -m benchmarks.explorer -h

Measures the seconds until its first image, the images per second of its wall, and memory. Requests
images as a browser does: six requests at a time, each for one image. Prints one JSON line for each
size of network. The networks have random weights.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from benchmarks.common import ROOT, Parser, as_options, run_child

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
# quickstart.sh's size, a medium one, the official one
SIZES = {32: dict(fmap_base=256, fmap_max=32), 128: dict(fmap_base=2048, fmap_max=256),
         1024: dict(fmap_base=8192, fmap_max=512)}
CONNECTIONS = 6  # number that browsers open to one server


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.explorer', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, choices=tuple(SIZES), action='append',
                        help='measure only this; may be repeated')
    parser.add_argument('--seconds', type=float, default=10.0,
                        help='how long to request images (default: 10)')
    parser.add_argument('--write', metavar='PKL', help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def write_network(resolution, path):
    """Write a generator of this size to a pickle."""
    import misc
    import tfutil
    misc.save_pkl(tfutil.Network('Gs', 'networks.G_paper', num_channels=3, resolution=resolution,
                                 **SIZES[resolution]), path)


@contextlib.contextmanager
def running_explorer(path):
    """Start an explorer of a network: (process, address, seconds until it was ready)."""
    start = time.perf_counter()
    with subprocess.Popen([
        sys.executable, 'util_scripts.py', 'explore', '--run_id', path, '--no_browser'
    ], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            line = next(line for line in process.stdout if line.startswith('Explore it'))
            address = re.search(r'http://\S+', line)[0]
            yield process, address, time.perf_counter() - start
        finally:
            process.send_signal(signal.SIGTERM)


def fetch(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def first_image(address, seed, how):
    """Seconds from requesting the page to its first image, and that image."""
    start = time.perf_counter()
    for name in ('', 'page/explorer.css', 'page/main.js', 'about'):
        fetch(address + name)
    fetch(f'{address}image?of={seed}{how}')
    return time.perf_counter() - start


def images_per_second(address, seeds, how, seconds):
    """Rate of images of new seeds, with CONNECTIONS requests at a time."""
    start, count = time.perf_counter(), 0
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
        while time.perf_counter() - start < seconds:
            addresses = [f'{address}image?of={next(seeds)}{how}' for _ in range(CONNECTIONS)]
            count += len(list(threads.map(fetch, addresses)))
    return count / (time.perf_counter() - start)


def megabytes(process):
    """Resident memory of a process in MB: (current, peak)."""
    with open(f'/proc/{process.pid}/status') as file:
        text = file.read()
    return [int(re.search(rf'{name}:\s+(\d+) kB', text)[1]) >> 10 for name in ('VmRSS', 'VmHWM')]


def measure(resolution, path, seconds):
    """All measurements of a network, as a dict."""
    with running_explorer(path) as (process, address, start_sec):
        seeds = iter(range(1000, 10**9))
        has_preview = json.loads(fetch(f'{address}about'))['preview']
        first = '&preview=1' if has_preview else ''
        result = dict(resolution=resolution, **SIZES[resolution], start_sec=round(start_sec, 1),
                      first_image_sec=round(first_image(address, next(seeds), first), 3),
                      wall_images_per_sec=round(images_per_second(address, seeds, first,
                                                                  seconds), 1))
        if has_preview:
            result['whole_images_per_sec'] = round(images_per_second(
                address, seeds, '&shrink=4', seconds), 2)
        now, most = megabytes(process)
        return dict(result, memory_mb=now, peak_mb=most, load=round(os.getloadavg()[0], 1))


if __name__ == '__main__':
    args = parse_args()
    if args.write:
        write_network(args.resolution[0], args.write)
        print(json.dumps(dict(written=args.write)))
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        for resolution in args.resolution or SIZES:
            path = os.path.join(folder, f'{resolution}.pkl')
            run_child(['benchmarks.explorer', *as_options(dict(write=path)), '--resolution',
                       str(resolution)])
            print(json.dumps(measure(resolution, path, args.seconds)), flush=True)
