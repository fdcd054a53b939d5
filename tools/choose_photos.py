"""
Lay out photographs to fit on, with no more of one object than of others.

Hundreds of pictures of one orange mallet teach that orange is a hammer. So of the files of one
label whose names differ only in a number at their end (``yuzzy_hammer__mallet_017.jpg``), as one
source numbers them, at most ``--most`` are taken, spread evenly over the numbers. Links that lie
in OUTPUT from a run before are taken away. ::

    python3 tools/choose_photos.py photos/train more/train --most 30 --output chosen
"""

import argparse
from collections import defaultdict
from pathlib import Path
import re

from tool_recognizer.pictures.folders import Finder

NUMBERED = re.compile(r'(.*?)_*\d+$')


def main() -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=Path, nargs='+', help='folders with a folder per label')
    parser.add_argument('--most', type=int, default=30, help='of one series (default %(default)s)')
    parser.add_argument('--output', type=Path, required=True, help='folder for links to them')
    arguments = parser.parse_args()
    series = defaultdict(list)
    for folder in arguments.photos:
        for found in Finder().find(folder):
            for path in found.pictures:
                match = NUMBERED.match(path.stem)
                series[path.parent.name, match.group(1) if match else path.stem].append(path)
    for link in arguments.output.glob('*/*'):
        if not link.is_symlink():
            parser.error(f'{link} is no link: name a folder of its own for the links')
    for link in arguments.output.glob('*/*'):
        link.unlink()
    for (label, name), paths in sorted(series.items()):
        number = min(len(paths), arguments.most)
        taken = [sorted(paths)[i * len(paths) // number] for i in range(number)]
        if number < len(paths):
            print(f'{label}/{name}: {number} of {len(paths)}')
        (arguments.output / label).mkdir(parents=True, exist_ok=True)
        for path in taken:
            (arguments.output / label / path.name).symlink_to(path.resolve())


if __name__ == '__main__':
    main()
