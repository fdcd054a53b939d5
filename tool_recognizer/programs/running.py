"""Run a node from the command line until it ends or is stopped."""

from collections.abc import Callable
import shlex
import sys
from typing import Any

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.signals import install_signal_handlers
from rclpy.signals import SignalHandlerOptions
from rclpy.signals import uninstall_signal_handlers
import rclpy.utilities
from rclpy.utilities import remove_ros_args
from tool_recognizer.process_memory import keep_for_pictures
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import refuse
from tool_recognizer.programs.arguments import starter
from tool_recognizer.ros import endings
from tool_recognizer.ros import forgotten
from tool_recognizer.ros import overrides
from tool_recognizer.ros.domain import check_domain
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.fast_dds import prepare
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.guard import GuardedExecutor
from tool_recognizer.ros.guard import watch_threads
from tool_recognizer.ros.security import check_security
from tool_recognizer.ros.security import refused

# Seconds between two checks for an end that was noted late.
LOOK = 1.0


def run_node(make: Callable[..., Any], parser: Parser,
             argv: list[str] | None = None) -> int:
    """
    Parse the arguments, spin the node, and end it cleanly.

    Parameters
    ----------
    make : called with the parsed arguments as keywords; returns the node. It raises ValueError
        for arguments that cannot be used. If the node has ``autostart``, it is brought to active.
    parser : of the arguments that are not ROS's
    argv : the arguments; None: those of the process

    Returns
    -------
    0 after Ctrl-C, SIGTERM or the node's own end; 2 for arguments or input that cannot be used;
    another one if a callback raised ``Finished`` with it

    """
    arguments = sys.argv[1:] if argv is None else argv
    mended = forgotten.mend(arguments)
    if mended is not None:
        return refuse(parser.prog, 'ROS arguments stand after --ros-args: run '
                      f'{starter()} {shlex.join([parser.prog, *mended])}')
    try:
        others = remove_ros_args(['', *arguments])[1:]
    except Exception as error:  # the type for ROS arguments is not public
        return refuse(parser.prog, overrides.unreadable(error))
    options = vars(parser.parse_args(others))
    endings.note()
    keep_for_pictures()
    removed = prepare()
    try:
        check_domain()
        unsafe = check_security(arguments)
        rclpy.init(args=['', *arguments], signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        return refuse(parser.prog, overrides.unreadable(error))
    node = executor = None
    try:
        watch_threads()
        node = make(**options)
        ERRORS.logger = node.get_logger()
        if unsafe:
            node.get_logger().warning(unsafe)
        for sentence in (*overrides.elsewhere(node, arguments),
                         *overrides.unknown(node, arguments)):
            node.get_logger().warning(sentence)
        start = getattr(node, 'autostart', None)
        if start is not None and not endings.noted() and not start():
            return 2
        if removed:
            node.get_logger().info(removed)
        executor = GuardedExecutor()
        executor.add_node(node)
        install_signal_handlers(SignalHandlerOptions.ALL)
        # An end may come without waking this thread: by a signal that another thread received just
        # before the handlers changed, or by a shutdown after the guard conditions were triggered.
        # An idle node would never notice it, so a timer checks.
        node.create_timer(LOOK, _end_if_noted, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if not endings.noted():
            executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Finished as finished:
        if finished.why:
            refuse(parser.prog, finished.why)
        return finished.status
    except ValueError as error:
        return refuse(parser.prog, error)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        return refuse(parser.prog, overrides.explain(error))
    except RuntimeError as error:
        if why := refused(error):
            return refuse(parser.prog, why)
        # A signal may end the context at any moment, also under a running callback.
        if rclpy.utilities.ok():
            raise
    finally:
        uninstall_signal_handlers()
        endings.ignore()
        if executor is not None:
            # The garbage collector may free it after the parts that it needs.
            executor.shutdown()
        if node is not None:
            try:
                node.destroy_node()
            except Exception as error:  # or else the reason of its end would be lost
                ERRORS.note('end', error)
        rclpy.utilities.try_shutdown()
    return 0


def _end_if_noted() -> None:
    if endings.noted():
        raise Finished
