"""
Add thresholds of frame quality to a model file that has none; nothing else of it changes.

``train`` writes them itself; this is for a model that is older than they are, and whose training
would take long or repeat only closely.
"""

import argparse
from pathlib import Path

from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.quality import measure
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import quality_entry
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.progress import Progress


def main() -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('photos', type=Path, nargs='+', help='that the model was trained on')
    arguments = parser.parse_args()
    model = ModelFile.read(arguments.model)
    spec = InputSpec(**model.metadata['input'])
    photos = read_photos(arguments.photos, Progress(quiet=False))
    entry = quality_entry([measure(fit_image(photo.pixels(), spec)) for photo in photos])
    arguments.model.write_bytes(
        model.with_head(model.head, model.metadata | {'quality': entry}).content)
    print(entry)


if __name__ == '__main__':
    main()
