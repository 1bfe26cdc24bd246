"""Synthetic run folder for reports, and a parser for HTML pages."""
import html.parser
import json

import numpy as np
from PIL import Image

import misc
from pgan.reporting.report import Report

EVIL = '<script>document.title = "caught"</script>'


def picture(path, value, size=(64, 48)):
    Image.new('RGB', size, (value, value, value)).save(path)


def noise(path, size):
    Image.fromarray(
        np.random.RandomState(0).randint(0, 256, [size[1], size[0], 3], dtype=np.uint8)).save(path)


def write_run_folder(results):
    """Run with five pictures, twenty ticks and two measurements, whose strings need HTML escaping.
    """
    folder = results / '007-toy & co'
    folder.mkdir(parents=True)
    for number in range(5):
        picture(folder / f'fakes{number * 10:06d}.png', 40 * number)
    picture(folder / 'reals.png', 255)
    misc.write_config(folder, {'desc': EVIL, 'random_seed': 5})
    misc.write_environment(str(folder), random_seed=5)
    with open(folder / 'log.txt', 'w') as file:
        file.write('\n'.join(f'line {i}' for i in range(1000)) + f'\n{EVIL}\n')
    with open(folder / 'stats.jsonl', 'w') as file:
        for i in range(1, 21):
            row = {
                'Progress/kimg': i * 2.0, 'Progress/lod': 3 - i / 10, 'Loss/real_scores': i,
                'Loss/fake_scores': None if i == 5 else -i, 'Mine/thing': i * i,
                'TrainG/overflow_frequency': 0.0
            }
            file.write(json.dumps({'nimg': i * 2000, 'time': 0, **row}) + '\n')
        file.write('{"cut short')
    with open(folder / 'metric-swd-1k.jsonl', 'w') as file:
        for row in ({'snapshot': 'Reals',
                     'SWD': 1.5}, {'snapshot': '10',
                                   'SWD': 9.0}, {'snapshot': '20',
                                                 'SWD': 7.0}, {'snapshot': '10', 'SWD': 8.25}):
            file.write(json.dumps({**row, 'seconds': 1}) + '\n')
    return folder


def page(folder):
    Report(str(folder)).write()
    return (folder / 'report.html').read_text()


class Elements(html.parser.HTMLParser):
    """All elements of a page: [(name, attributes)]; checks that each is closed."""
    WITHOUT_END = {'meta', 'img', 'input', 'line', 'circle', 'polyline'}

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.WITHOUT_END:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.found if tag == name]
