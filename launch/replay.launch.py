"""
Play a bag to the live recognizer, on the bag's clock, and end with the bag.

    ros2 launch tool_recognizer replay.launch.py bag:=recording
    ros2 launch tool_recognizer replay.launch.py bag:=recording loop:=true
    ros2 launch tool_recognizer replay.launch.py bag:=recording image_transport:=compressed

The figures of a recording come quicker, and to the last digit, from the program `replay`; this is
for looking on.
"""
import os

from ament_index_python.packages import get_package_share_directory
from ament_index_python.packages import PackageNotFoundError
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import EmitEvent
from launch.actions import ExecuteProcess
from launch.actions import IncludeLaunchDescription
from launch.actions import OpaqueFunction
from launch.actions import RegisterEventHandler
from launch.actions import TimerAction
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

SHARE = get_package_share_directory('tool_recognizer')
# Seconds in which the last frames are answered.
AFTERWARDS = 2.0
# `ros2 bag play` cannot wait for its audience, so it is given this many seconds.
DISCOVERY = 5.0

ARGUMENTS = (
    DeclareLaunchArgument('bag', description='A rosbag2 folder or file.'),
    DeclareLaunchArgument(
        'player', default_value='auto', choices=('auto', 'camera', 'rosbag2'),
        description='rosbag2: `ros2 bag play`, which publishes every topic of the bag; camera: '
                    'our camera node, which publishes what the recognizer listens to and waits '
                    'for it; auto: rosbag2 if it is there.'),
    DeclareLaunchArgument(
        'loop', default_value='false', choices=('true', 'false'),
        description='Start again at the end of the bag, for ever.'),
    DeclareLaunchArgument(
        'image_topic', default_value='image_raw',
        description="The camera's raw topic, as it was recorded."),
    DeclareLaunchArgument(
        'image_transport', default_value='raw', choices=('raw', 'compressed'),
        description='As it was recorded.'),
    DeclareLaunchArgument(
        'model_path', default_value='', description='The model; empty: as params_file says.'),
    DeclareLaunchArgument(
        'params_file', default_value=os.path.join(SHARE, 'config', 'recognizer.yaml'),
        description="The recognizer's parameters."),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=('debug', 'info', 'warn', 'error', 'fatal'),
        description='The least severe messages that the nodes log.'),
)


def generate_launch_description():
    """Return the arguments and what is started with them."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context):
    """Return the recognizer and the player, as the arguments ask for them."""
    argument = context.launch_configurations
    recognizer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, 'launch', 'bringup.launch.py')),
        launch_arguments={
            'use_sim_time': 'true',
            **{name: argument[name] for name in (
                'image_topic', 'image_transport', 'model_path', 'params_file', 'log_level')},
        }.items())
    player = rosbag2(argument) if uses_rosbag2(argument['player']) else camera(argument)
    ending = RegisterEventHandler(OnProcessExit(target_action=player, on_exit=end))
    return [ending, recognizer, player]


def end(event, context):
    """Return what ends the launch after the player, unless it is ending already."""
    if context.is_shutdown:
        return None
    return TimerAction(period=AFTERWARDS, actions=[
        EmitEvent(event=Shutdown(reason='the bag is at its end'))])


def uses_rosbag2(player):
    """Tell whether `ros2 bag play` is to be used."""
    if player == 'auto':
        try:
            get_package_share_directory('ros2bag')
        except (PackageNotFoundError, LookupError):
            return False
    return player != 'camera'


def rosbag2(argument):
    """Return `ros2 bag play`, with the bag's clock."""
    return ExecuteProcess(
        cmd=['ros2', 'bag', 'play', argument['bag'], '--clock', '--delay', str(DISCOVERY),
             *(['--loop'] if argument['loop'] == 'true' else [])], output='both')


def camera(argument):
    """Return our camera node, which waits until somebody listens."""
    topic, compressed = argument['image_topic'], argument['image_transport'] == 'compressed'
    return Node(
        package='tool_recognizer', executable='camera', name='camera', output='both',
        emulate_tty=True, remappings=[('image_raw', topic)],
        ros_arguments=['--log-level', 'camera:=' + argument['log_level']],
        parameters=[{'source': argument['bag'], 'loop': argument['loop'] == 'true',
                     'clock': True, 'wait': True,
                     'transport': 'compressed' if compressed else 'raw'}])
