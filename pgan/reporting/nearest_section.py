"""The report's section of nearest training images."""
import html
import json
import os

PICTURE, VALUES = 'nearest.png', 'nearest.json'


def picture_and_values(folder: str) -> tuple[str, str]:
    """Paths of the picture and the JSON file in a folder."""
    return os.path.join(folder, PICTURE), os.path.join(folder, VALUES)


def nearest_section(folder: str, embedded: str | None) -> str:
    """HTML of the report's section; '' if the run has no such picture.

    Args:
        folder: the run's folder.
        embedded: the picture as a data: URL; None if it does not exist.
    """
    try:
        with open(os.path.join(folder, VALUES), encoding='utf-8') as file:
            values = json.load(file)
        seen, total = int(values['training_images']), int(values['of'])
        lines = [f'The first fakes at kimg {values["kimg"]:.1f}, and the nearest of '
                 f'{seen}{"" if seen == total else f" of {total}"} training images'
                 f'{", mirrored ones, too" if values["mirrored"] else ""}. The number below each '
                 'is its distance; 1.00 is that of a training image to its nearest other one.',
                 *map(str, values['text'])]
    except (OSError, ValueError, KeyError, TypeError):
        return ''
    if embedded is None:
        return ''
    text = '\n'.join(f'<p>{html.escape(line)}</p>' for line in lines)
    return (f'<h2>Nearest training images</h2>\n<figure class="nearest"><img src="{embedded}" '
            f'alt="fakes and their nearest training images"></figure>\n{text}')
