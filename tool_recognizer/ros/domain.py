"""The ROS domain: a number from which DDS computes its ports; nodes hear only their own."""

from collections.abc import Mapping
import os

VARIABLE = 'ROS_DOMAIN_ID'
# Above it there are not enough ports, and Fast DDS ends the process.
LARGEST = 232


def check_domain(environment: Mapping[str, str] = os.environ) -> None:
    """
    Refuse an impossible domain, before the middleware fails on it.

    Raises
    ------
    ValueError
        The variable is no number that a middleware takes.

    """
    number = environment.get(VARIABLE, '')
    # Zenoh computes no ports from it.
    if not number or 'zenoh' in environment.get('RMW_IMPLEMENTATION', ''):
        return
    if not (number.isascii() and number.isdigit() and int(number) <= LARGEST):
        raise ValueError(f'{VARIABLE} must be a whole number, 0 .. {LARGEST}, got {number!r}')
