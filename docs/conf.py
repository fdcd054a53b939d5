"""How Sphinx makes the site of these pages: ``make docs``."""

from pathlib import Path
from xml.etree import ElementTree

MANIFEST = ElementTree.parse(Path(__file__).parent.parent / 'package.xml')

project = 'tool_recognizer'
author = 'tool_recognizer maintainers'
release = MANIFEST.findtext('version')
extensions = ['myst_parser']
html_theme = 'furo'
html_title = f'{project} {release}'
# Nothing is fetched from elsewhere, so the site can be read on a machine without a network.
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
# A link may name a heading of another page, by the name that a reader of the source sees.
myst_heading_anchors = 3
exclude_patterns = ['site']
# Programs' names in fences without a language are no Python.
highlight_language = 'none'
