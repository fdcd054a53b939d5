"""
Start the recognizer, and a camera if asked, and bring the recognizer to active.

    ros2 launch tool_recognizer bringup.launch.py image_topic:=/camera/image_raw
    ros2 launch tool_recognizer bringup.launch.py camera_source:=line
    ros2 launch tool_recognizer bringup.launch.py namespace:=left image_topic:=/left/image_raw

For several cameras, start it once for each, in a namespace of its own; of several consoles on one
machine, each needs a console_port of its own.

Exit status: 0 after Ctrl-C, or when the recognizer was told to end (SIGINT, SIGTERM); 1 when it
has ended in another way (unless respawn is true), or when any of the nodes cannot use what it was
given.
"""
import asyncio
from functools import partial
import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import EmitEvent
from launch.actions import OpaqueFunction
from launch.actions import RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.event_handlers import OnProcessStart
from launch.events import Shutdown
import launch.logging
from launch_ros.actions import LifecycleNode
from launch_ros.actions import Node
from launch_ros.ros_adapters import get_ros_node
from launch_ros.utilities import make_namespace_absolute
from launch_ros.utilities import prefix_namespace
from lifecycle_msgs.msg import State
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState
from tool_recognizer.parameter_file import ParameterError
from tool_recognizer.parameter_file import sections_for
from tool_recognizer.ros.launching import Failed
from tool_recognizer.ros.launching import go_on
from tool_recognizer.ros.launching import LaunchError
from tool_recognizer.ros.launching import number
from tool_recognizer.ros.launching import OnFailure
from tool_recognizer.ros.launching import whole_number

CONFIG = os.path.join(get_package_share_directory('tool_recognizer'), 'config')
BOOLEAN = ('true', 'false')
# The exit status of a program that cannot use what it was given; starting it again mends nothing.
UNUSABLE = 2

ARGUMENTS = (
    DeclareLaunchArgument(
        'namespace', default_value='', description='Namespace of the nodes and their topics.'),
    DeclareLaunchArgument(
        'image_topic', default_value='image_raw',
        description="The camera's raw topic, also where only <image_topic>/compressed exists."),
    DeclareLaunchArgument(
        'image_transport', default_value='', choices=('', 'raw', 'compressed'),
        description='Read <image_topic> or <image_topic>/compressed; empty: as params_file says.'),
    DeclareLaunchArgument(
        'model_path', default_value='', description='The model; empty: as params_file says.'),
    DeclareLaunchArgument(
        'params_file', default_value=os.path.join(CONFIG, 'recognizer.yaml'),
        description="The recognizer's parameters."),
    DeclareLaunchArgument(
        'use_sim_time', default_value='false', choices=BOOLEAN,
        description='Take the time from /clock.'),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=('debug', 'info', 'warn', 'error', 'fatal'),
        description='The least severe messages that the nodes log.'),
    DeclareLaunchArgument(
        'enclaves', default_value='',
        description='With ROS 2 security: where the enclave of each node is, as / for '
                    '/tool_recognizer, /camera and /console; empty: the nodes are given none.'),
    DeclareLaunchArgument(
        'autostart', default_value='true', choices=BOOLEAN,
        description='Bring the recognizer to active, after each respawn too; false: it waits for '
                    'another manager.'),
    DeclareLaunchArgument(
        'respawn', default_value='false', choices=BOOLEAN,
        description='Start a node again 2 s after its process has ended, unless it could not use '
                    'what it was given.'),
    DeclareLaunchArgument(
        'if_refused', default_value='stay', choices=('stay', 'end'),
        description='When the recognizer cannot be brought to active: stay, so that it can be '
                    'mended and configured by hand, or end the launch with status 1.'),
    DeclareLaunchArgument(
        'camera_source', default_value='',
        description='Start our camera node too, with a folder of images, a video, a device, a '
                    'bag, line or bench (both are drawn); empty: the camera is someone '
                    "else's."),
    DeclareLaunchArgument(
        'console', default_value='false', choices=BOOLEAN,
        description="Start the operator's console too, and ask operators for frames."),
    DeclareLaunchArgument(
        'console_port', default_value='',
        description="The console's TCP port; each console on a machine needs its own. 0: a free "
                    'one. The log has the address. Empty: as console_params_file says, or '
                    '8080.'),
    DeclareLaunchArgument(
        'console_params_file', default_value='',
        description="The console's parameter file, for what other machines need to reach it: "
                    'console.host, console.token_file, console.tls_certificate, '
                    'console.tls_key; empty: none.'),
    DeclareLaunchArgument(
        'inspection_probability', default_value='0.005',
        description='With console:=true: the share of the frames that an operator is asked for.'),
    DeclareLaunchArgument(
        'journal', default_value='',
        description='The file that remembers predictions and confirmations; empty: as '
                    'params_file says.'),
    DeclareLaunchArgument(
        'models', default_value='',
        description='The store of models that says which one is in charge; empty: as params_file '
                    'says.'),
    DeclareLaunchArgument(
        'collection', default_value='',
        description='With console:=true and models: the folder for photographs that are taken at '
                    'the page Teach; empty: as console_params_file says.'),
)


def generate_launch_description():
    """Return the arguments and what is started with them."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def parameter_file(argument, name, namespace, node):
    """Return the file that an argument names, if it says something to a node."""
    path = Path(argument[name]).expanduser()
    try:
        sections_for(path, namespace, node)
    except ParameterError as error:
        # launch_ros would leave it out with a warning, and ROS without one.
        raise LaunchError(f'{name}: {error}') from None
    return str(path)


def start(context):
    """Return the nodes, as the arguments ask for them."""
    argument = context.launch_configurations
    transport = argument['image_transport']
    # As launch_ros makes it, for a launch file that includes this one may push one of its own.
    namespace = make_namespace_absolute(prefix_namespace(
        argument.get('ros_namespace', ''), argument['namespace']))
    names = [part for part in namespace.split('/') if part]
    params_file = parameter_file(argument, 'params_file', namespace, 'tool_recognizer')
    console_file = argument['console_params_file'] and parameter_file(
        argument, 'console_params_file', namespace, 'console')
    common = {
        'package': 'tool_recognizer',
        'namespace': argument['namespace'],
        'remappings': [('image_raw', argument['image_topic'])],
        'respawn': argument['respawn'] == 'true',
        'respawn_delay': 2.0,
        'output': 'both',
        'emulate_tty': True,
    }

    def ros_arguments(name):
        enclave = ['--enclave', f'{argument["enclaves"].rstrip("/")}/{name}']
        return ['--log-level', '.'.join([*names, name]) + ':=' + argument['log_level'],
                *(enclave if argument['enclaves'] else [])]

    # An argument that was not given leaves the parameter to the file.
    clock = {'use_sim_time': True} if argument['use_sim_time'] == 'true' else {}
    given = {name: argument[name] for name in ('model_path', 'image_transport') if argument[name]}
    journal = {'journal.path': argument['journal']} if argument['journal'] else {}
    models = {'models.path': argument['models']} if argument['models'] else {}
    given |= journal | models
    if argument['console'] == 'true':
        given['inspection.probability'] = number(argument, 'inspection_probability')
    recognizer = LifecycleNode(
        executable='recognizer', name='tool_recognizer',
        ros_arguments=ros_arguments('tool_recognizer'),
        arguments=['--managed'] if argument['autostart'] == 'true' else [],
        # Its state is managed from here, or by another manager: in no case by the node itself.
        parameters=[params_file, {**clock, **given, 'autostart': False}], **common)
    port = ({'console.port': whole_number(argument, 'console_port')}
            if argument['console_port'] else {})
    collection = ({'console.collection': argument['collection']}
                  if argument['collection'] else {})
    started = [recognizer]
    if argument['camera_source']:
        started.append(Node(
            executable='camera', name='camera', ros_arguments=ros_arguments('camera'),
            parameters=[{**clock, 'source': argument['camera_source'],
                         'transport': transport or 'both'}], **common))
    if argument['console'] == 'true':
        started.append(Node(
            executable='console', name='console', ros_arguments=ros_arguments('console'),
            parameters=[*filter(None, (console_file, {
                **clock, **journal, **models, **collection, **port}))], **common))
    # The handlers go first, so that nothing is missed.
    handlers = [RegisterEventHandler(OnFailure())]
    handlers += [RegisterEventHandler(OnProcessExit(target_action=node, on_exit=partial(
        end, name=node.node_executable,
        needed=node is recognizer and argument['respawn'] == 'false'))) for node in started]
    if argument['autostart'] == 'true':
        def manage(event, context):
            go_on(context, bring_to_active(context, recognizer, event.pid, argument['if_refused']))

        handlers.append(RegisterEventHandler(OnProcessStart(
            target_action=recognizer, on_start=manage)))
    return [*handlers, *started]


def end(event, context, name, needed):
    """
    End the launch after a node that cannot use what it was given, or that the others are for.

    launch itself would go on without it, and end with status 0.
    """
    if context.is_shutdown or not (needed or event.returncode == UNUSABLE):
        return None
    if event.returncode:
        raise LaunchError(f'{name} has ended with status {event.returncode}; its log above says '
                          'why')
    return EmitEvent(event=Shutdown(reason=f'{name} has ended'))


async def bring_to_active(context, recognizer, pid, if_refused):
    """
    Configure and activate the node that runs as process `pid`.

    This does not rely on events: one that is sent before the two sides know each other is lost.
    After a crash the dead process's services stay visible for a while, so a request may go there;
    without a response it is made again.
    """
    logger = launch.logging.get_logger(recognizer.node_name)
    node = get_ros_node(context)
    get_state = node.create_client(GetState, f'{recognizer.node_name}/get_state')
    change_state = node.create_client(ChangeState, f'{recognizer.node_name}/change_state')
    steps = {State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_CONFIGURE,
             State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_ACTIVATE}
    try:
        while not context.is_shutdown and recognizer.process_details['pid'] == pid:
            now = await response_to(context, get_state, GetState.Request())
            if now is None:
                continue
            if now.current_state.id not in steps:
                break
            done = await response_to(context, change_state, ChangeState.Request(
                transition=Transition(id=steps[now.current_state.id])))
            if done is not None and not done.success:
                refused = f'stays {now.current_state.label}; its log above says why'
                if if_refused == 'end':
                    await context.emit_event(Failed(f'{recognizer.node_name} {refused}'))
                else:
                    logger.error(
                        f'{refused}. Mend that, then: '
                        f'ros2 lifecycle set {recognizer.node_name} configure, then activate')
                break
    finally:
        node.destroy_client(get_state)
        node.destroy_client(change_state)


async def response_to(context, client, request):
    """Return the service's response, or None when none comes within a second."""
    future = client.call_async(request)
    for _ in range(20):
        if future.done():
            return future.result()
        if context.is_shutdown:
            break
        await asyncio.sleep(0.05)
    client.remove_pending_request(future)
    return None
