"""
Who may do what in the console: roles, and what each path and each message needs.

It is looked up in one place, the guard, before the application sees a request, and by an open page
for each message. What is not named here needs an engineer, so what is forgotten is not open.
"""

from typing import NamedTuple

# Each may do what those before it may. A program only reads the metrics.
ROLES = ('program', 'operator', 'engineer', 'admin')
PROGRAM, OPERATOR, ENGINEER, ADMIN = ROLES

_PATHS = {'/': OPERATOR, '/socket': OPERATOR, '/picture': OPERATOR, '/login': OPERATOR,
          '/logout': OPERATOR, '/metrics': PROGRAM, '/end': ADMIN}
_FOLDERS = {'/static/': OPERATOR, '/mine/': OPERATOR}
_MESSAGES = {'answer': OPERATOR, 'undo': OPERATOR}
_VIEWS = {'operator': OPERATOR}


class Visitor(NamedTuple):
    """
    Who makes a request.

    Attributes
    ----------
    name : '' where nobody is asked for one
    role : one of ``ROLES``
    login : with which it was shown; '' if by a token, or if nothing is asked

    """

    name: str = ''
    role: str = ADMIN
    login: str = ''

    def may(self, needed: str) -> bool:
        """Return whether the role is the needed one, or more."""
        return ROLES.index(self.role) >= ROLES.index(needed)


def of_path(path: str) -> str:
    """Return the role that a path needs."""
    folder = next((role for folder, role in _FOLDERS.items() if path.startswith(folder)), ENGINEER)
    return _PATHS.get(path, folder)


def of_message(kind: str) -> str:
    """Return the role that a kind of message of a page needs."""
    return _MESSAGES.get(kind, ENGINEER)


def of_view(view: str) -> str:
    """Return the role that a view of what changes needs."""
    return _VIEWS.get(view, ENGINEER)
