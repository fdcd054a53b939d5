"""
Play a bag to the live recognizer, on the bag's clock, and end with the bag.

    ros2 launch tool_recognizer replay.launch.py bag:=recording
    ros2 launch tool_recognizer replay.launch.py bag:=recording loop:=true
    ros2 launch tool_recognizer replay.launch.py bag:=recording bag_topic:=/left/image_raw

Only the camera, the confirmations and what says whether an object is there are played, onto the
topics that the recognizer listens to.
Recorded predictions are not: a controller would take them for those of now.

Exit status: 0 when the frames were answered (max_unanswered allows for some that were not), or
after Ctrl-C; 1 when they were not, or when the player or the recognizer has failed. The figures of
a recording come faster, and exactly, from the program `replay`; this is for watching.
"""
import asyncio
import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from ament_index_python.packages import PackageNotFoundError
from launch import Event
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import EmitEvent
from launch.actions import ExecuteProcess
from launch.actions import IncludeLaunchDescription
from launch.actions import OpaqueFunction
from launch.actions import RegisterEventHandler
from launch.event_handler import EventHandler
from launch.event_handlers import OnProcessExit
from launch.event_handlers import OnProcessStart
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
import launch.logging
from launch_ros.actions import Node
from launch_ros.ros_adapters import get_ros_node
from launch_ros.utilities import make_namespace_absolute
from launch_ros.utilities import prefix_namespace
from rclpy.qos import QoSProfile
from tool_recognizer.bags.playing import what_to_play
from tool_recognizer.ros.fast_dds import wanted
from tool_recognizer.ros.launching import Failed
from tool_recognizer.ros.launching import go_on
from tool_recognizer.ros.launching import LaunchError
from tool_recognizer.ros.launching import whole_number
from vision_msgs.msg import Classification

SHARE = get_package_share_directory('tool_recognizer')
# Seconds after the end of the bag without a further prediction, before the frames are counted.
AFTERWARDS = 2.0
# Seconds from when both ends of a topic are seen until they can be expected to have found each
# other.
DISCOVERY = 2.0
RECOGNIZER = 'tool_recognizer'
# A name of its own, for there may be other players.
PLAYER = f'player_{os.getpid()}'

ARGUMENTS = (
    DeclareLaunchArgument('bag', description='A rosbag2 folder or file.'),
    DeclareLaunchArgument(
        'player', default_value='auto', choices=('auto', 'camera', 'rosbag2'),
        description='rosbag2: `ros2 bag play`; camera: our camera node, which also reads what is '
                    'cut off; auto: rosbag2 if it is there.'),
    DeclareLaunchArgument(
        'loop', default_value='false', choices=('true', 'false'),
        description='Start again at the end of the bag, for ever.'),
    DeclareLaunchArgument(
        'max_unanswered', default_value='',
        description='Unanswered frames, above which the exit status is 1; a machine that has too '
                    'much to do answers the newest frame and drops older ones. Empty: 0, and 1 '
                    'with `ros2 bag play`, which may lose the last frame when it ends.'),
    DeclareLaunchArgument(
        'bag_topic', default_value='',
        description="The bag's image topic; needed if it has several cameras, none of them "
                    'image_topic.'),
    DeclareLaunchArgument(
        'present_topic', default_value='',
        description="The bag's std_msgs/Bool topic that says whether an object is there, for "
                    'passage.gate: topic. Empty: .../object_present, if there is one.'),
    DeclareLaunchArgument(
        'image_topic', default_value='image_raw',
        description='The raw topic that the frames are played on, and the recognizer listens to.'),
    DeclareLaunchArgument(
        'image_transport', default_value='', choices=('', 'raw', 'compressed'),
        description='Empty: as it was recorded, and raw if it was recorded both ways.'),
    DeclareLaunchArgument(
        'model_path', default_value='', description='The model; empty: as params_file says.'),
    DeclareLaunchArgument(
        'params_file', default_value=os.path.join(SHARE, 'config', 'recognizer.yaml'),
        description="The recognizer's parameters."),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=('debug', 'info', 'warn', 'error', 'fatal'),
        description='The least severe messages that the nodes log.'),
)


class Ready(Event):
    """The recognizer listens."""

    name = 'tool_recognizer.ready'


def generate_launch_description():
    """Return the arguments and what is started with them."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context):
    """Return the recognizer and the player, as the arguments ask for them."""
    argument = context.launch_configurations
    # A launch file that includes this one may push a namespace.
    namespace = make_namespace_absolute(argument.get('ros_namespace', '')).rstrip('/')
    image_topic = prefix_namespace(namespace or '/', argument['image_topic'])
    playing = what_to_play(
        Path(argument['bag']).expanduser(), f'{namespace}/{RECOGNIZER}', image_topic,
        bag_topic=argument['bag_topic'], present_topic=argument['present_topic'],
        transport=argument['image_transport'])
    for note in playing.notes:
        launch.logging.get_logger('replay').warning(note)
    by_rosbag2 = uses_rosbag2(argument['player'])
    most = (whole_number(argument, 'max_unanswered') if argument['max_unanswered'] else
            int(by_rosbag2))
    replay = Replay(context, playing, namespace, None if argument['loop'] == 'true' else most)
    recognizer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, 'launch', 'bringup.launch.py')),
        launch_arguments={
            'use_sim_time': 'true', 'if_refused': 'end', 'image_topic': image_topic,
            'image_transport': playing.transport,
            **{name: argument[name] for name in ('model_path', 'params_file', 'log_level')},
        }.items())
    handlers = []
    if by_rosbag2:
        player = rosbag2(context, playing)
        handlers = [RegisterEventHandler(OnProcessStart(
            target_action=player,
            on_start=lambda event, context: go_on(context, replay.resume())))]
    else:
        player = camera(argument, playing, namespace, image_topic)
    handlers += [
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=replay.end)),
        RegisterEventHandler(EventHandler(
            matcher=lambda event: isinstance(event, Ready), entities=[player]))]
    go_on(context, replay.announce())
    return [*handlers, recognizer]


def uses_rosbag2(player):
    """Tell whether `ros2 bag play` is to be used."""
    if player == 'camera':
        return False
    try:
        get_package_share_directory('ros2bag')
    except (PackageNotFoundError, LookupError):
        if player == 'rosbag2':
            raise LaunchError('player:=rosbag2 needs rosbag2, which is not installed: install '
                              'ros-jazzy-rosbag2, or use player:=camera') from None
        return False
    return True


def rosbag2(context, playing):
    """Return `ros2 bag play`, with the bag's clock; it starts paused, until it is resumed."""
    argument = context.launch_configurations
    renamed = [f'{recorded}:={live}' for recorded, live in playing.topics.items()]
    return ExecuteProcess(
        cmd=['ros2', 'bag', 'play', os.path.expanduser(argument['bag']), '--clock',
             '--start-paused', '--disable-keyboard-controls', '--log-level',
             argument['log_level'], *(['--loop'] if argument['loop'] == 'true' else []),
             '--topics', *playing.topics, '--remap', f'__node:={PLAYER}', *renamed],
        additional_env=wanted(context.environment), output='both')


def camera(argument, playing, namespace, image_topic):
    """Return our camera node, which waits until somebody listens."""
    logger = '.'.join([*namespace.split('/')[1:], 'camera'])
    return Node(
        package='tool_recognizer', executable='camera', name='camera', output='both',
        emulate_tty=True, remappings=[('image_raw', image_topic)],
        ros_arguments=['--log-level', f'{logger}:=' + argument['log_level']],
        parameters=[{'source': os.path.expanduser(argument['bag']), 'bag_topic': playing.camera,
                     'present_topic': playing.present, 'loop': argument['loop'] == 'true',
                     'clock': True, 'wait': True, 'transport': playing.transport}])


class Replay:
    """
    From the moment when the recognizer listens until its predictions are counted.

    Parameters
    ----------
    context : of the launch
    playing : what is played
    namespace : of the recognizer; '' is the root
    most : frames that may stay unanswered; None: the bag is played without an end

    """

    def __init__(self, context, playing, namespace, most):
        self._context, self._playing, self._most = context, playing, most
        self._namespace = namespace
        self._answered = 0
        self._node = get_ros_node(context)
        self._predictions = f'{namespace}/{RECOGNIZER}/classification'
        # Their bytes are enough to count them.
        self._node.create_subscription(
            Classification, self._predictions, self._count, QoSProfile(depth=1000), raw=True)

    async def announce(self):
        """Say that the recognizer listens to all that is played, and that it may need."""
        def listens(topic):
            return any((ear.node_name, ear.node_namespace) == (RECOGNIZER, self._namespace or '/')
                       for ear in self._node.get_subscriptions_info_by_topic(topic))
        if await self._until(lambda: self._node.count_publishers(self._predictions)
                             and all(map(listens, self._playing.awaited))):
            await self._context.emit_event(Ready())

    async def resume(self):
        """Let `ros2 bag play` go on; it cannot wait for its audience itself."""
        from rosbag2_interfaces.srv import Resume
        client = self._node.create_client(Resume, f'/{PLAYER}/resume')

        def speaks(topic):
            return any(mouth.node_name == PLAYER
                       for mouth in self._node.get_publishers_info_by_topic(topic))
        if await self._until(lambda: client.service_is_ready()
                             and all(map(speaks, self._playing.topics.values()))):
            # What is seen from here may not yet have seen each other.
            await asyncio.sleep(DISCOVERY)
            if not self._context.is_shutdown:
                client.call_async(Resume.Request())

    def end(self, event, context):
        """End the launch after the player, once the last frames are answered."""
        if context.is_shutdown:
            return None
        if event.returncode:
            raise LaunchError(f'the player has ended with status {event.returncode}: its '
                              'log above says why; player:=camera reads what rosbag2 does not')
        if self._most is None:
            return EmitEvent(event=Shutdown(reason='the player has ended'))
        go_on(context, self._judge())
        return None

    async def _judge(self):
        frames, before = self._playing.frames, -1
        while before < self._answered < frames:
            before = self._answered
            await asyncio.sleep(AFTERWARDS)
        if self._context.is_shutdown:
            return
        said = f'{self._answered} of {frames} frames that were played were answered'
        if self._answered > frames:
            await self._context.emit_event(Failed(
                f'{said}: another {RECOGNIZER} listens, too; give one of the two another '
                'ROS_DOMAIN_ID'))
        elif self._answered < frames - self._most:
            await self._context.emit_event(Failed(
                f'{said}; the others were lost on the way, or dropped because newer ones came. '
                'The program replay answers each'))
        else:
            launch.logging.get_logger('replay').info(said)
            await self._context.emit_event(Shutdown(reason='the bag is at its end'))

    def _count(self, raw):
        self._answered += 1

    async def _until(self, condition):
        """Wait until a condition holds; return whether it does, or launch ends before."""
        while not self._context.is_shutdown:
            if condition():
                return True
            await asyncio.sleep(0.1)
        return False
