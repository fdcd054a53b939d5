"""The domain, in which nodes hear each other: a number that DDS makes its ports of."""

from collections.abc import Mapping
import os

VARIABLE = 'ROS_DOMAIN_ID'
# Above it the ports do not suffice, and Fast DDS ends the process.
LARGEST = 232


def check_domain(environment: Mapping[str, str] = os.environ) -> None:
    """
    Refuse a domain that there cannot be, before the middleware meets it.

    Raises
    ------
    ValueError
        The variable is no number that a middleware takes.

    """
    number = environment.get(VARIABLE, '')
    # Zenoh makes no ports of it.
    if not number or 'zenoh' in environment.get('RMW_IMPLEMENTATION', ''):
        return
    if not (number.isascii() and number.isdigit() and int(number) <= LARGEST):
        raise ValueError(f'{VARIABLE} must be a whole number, 0 .. {LARGEST}, got {number!r}')
