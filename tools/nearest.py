"""Say what variables on make's command line, none of the Makefile's, are likely to be."""

from difflib import get_close_matches
import sys

LISTED = 'make help lists its variables'


def main(given, known):
    """
    Print one line; return 1 if a name is nearly that of a variable.

    Parameters
    ----------
    given : names that are none of the known
    known : names of the Makefile's variables

    """
    for name in given:
        near = get_close_matches(name.upper(), known, 1)
        if near:
            print(f'{name} is no variable of this Makefile; did you mean {near[0]}? {LISTED}')
            return 1
    print('not of this Makefile, so only in the environment of what it runs: {}; {}'.format(
        ', '.join(given), LISTED))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1].split(), sys.argv[2:]))
