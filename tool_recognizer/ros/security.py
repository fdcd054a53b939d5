"""
Whether ROS 2 security (SROS2) can do what the environment asks for, said before the middleware.

rcl ends with no reason, or goes on without security and without a word, where a keystore or an
enclave is not there; and it takes each value that it does not know for off.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from itertools import pairwise
import os
from pathlib import Path
import warnings

ENABLE, STRATEGY = 'ROS_SECURITY_ENABLE', 'ROS_SECURITY_STRATEGY'
KEYSTORE, OVERRIDE = 'ROS_SECURITY_KEYSTORE', 'ROS_SECURITY_ENCLAVE_OVERRIDE'
# What an enclave holds; where a PKCS#11 token keeps one of the first four, it ends in .p11.
FILES = ('identity_ca.cert.pem', 'cert.pem', 'key.pem', 'permissions_ca.cert.pem',
         'governance.p7s', 'permissions.p7s')
# What rmw_fastrtps says if its Fast DDS was built without security.
_NOT_BUILT = "doesn't have the security libraries"


def check_security(arguments: Sequence[str],
                   environment: Mapping[str, str] = os.environ) -> str:
    """
    Refuse what would end without a reason.

    Parameters
    ----------
    arguments : of the process
    environment : its environment

    Returns
    -------
    Why the node runs without security although it was asked for, to be warned of; '' if it does
    not, or was not asked

    Raises
    ------
    ValueError
        A variable has a value that rcl would pass over, or with the strategy Enforce the keystore
        or the enclave is not there.

    """
    for name, known in ((ENABLE, ('true', 'false')), (STRATEGY, ('Enforce', 'Permissive'))):
        value = environment.get(name, '')
        if value and value not in known:
            raise ValueError(f'{name} must be {" or ".join(known)}, got {value!r}')
    if environment.get(ENABLE) != 'true':
        return ''
    why = _missing(arguments, environment)
    if why and environment.get(STRATEGY) == 'Enforce':
        raise ValueError(f'{ENABLE} is true, but {why}')
    if why:
        return (f'runs WITHOUT security: {ENABLE} is true, but {why}. With {STRATEGY}=Enforce it '
                'would not start')
    # rclpy says so of a node that the middleware refuses, before ``refused`` says why.
    warnings.filterwarnings('ignore', 'Failed to fini rosout publisher')
    return ''


def refused(error: Exception, environment: Mapping[str, str] = os.environ) -> str:
    """Say why a node could not be made under security; '' if the reason is another one."""
    text = ' '.join(str(error).split())
    if environment.get(ENABLE) != 'true' or 'error creating node' not in text:
        return ''
    if _NOT_BUILT in text:
        return (f'{ENABLE} is true, but this build of ROS 2 has no security (the wheels of PyPI '
                "have none); use the distribution's ROS 2 packages, or unset it")
    return (f'{ENABLE} is true, and the node was refused: {text}; is the enclave of this domain '
            'and in date, and does its policy name all topics?')


def _missing(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    keystore = environment.get(KEYSTORE, '')
    if not keystore:
        return f'{KEYSTORE} is not set; name the folder that create_keystore made'
    enclave = environment.get(OVERRIDE) or next(
        (value for option, value in pairwise(arguments) if option in ('-e', '--enclave')), '/')
    folder = Path(keystore, 'enclaves', enclave.strip('/'))
    if not folder.is_dir():
        return (f'there is no enclave {enclave} in {KEYSTORE} ({folder}); make it with '
                f'ros2 security create_enclave {keystore} {enclave}, or name another with '
                '--ros-args --enclave')
    missing = [name for name in FILES if not any(
        (folder / other).is_file() for other in (name, name.replace('.pem', '.p11')))]
    return f'its enclave {folder} has no {", ".join(missing)}' if missing else ''
