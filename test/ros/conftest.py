from pathlib import Path

from domain_coordinator import domain_id
import pytest


@pytest.fixture(scope='session', autouse=True)
def own_domain():
    """
    Keep the tests' topics to themselves, whoever else runs ROS on this machine or network.

    Child processes inherit it.
    """
    profile = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
    with pytest.MonkeyPatch.context() as environment, domain_id() as domain:
        environment.setenv('ROS_DOMAIN_ID', str(domain))
        environment.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        environment.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', str(profile))
        yield domain
