"""The table of ``parameters`` as a node's: declared with descriptors, and guarded when changed."""

from collections.abc import Callable
from collections.abc import Collection
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from tool_recognizer.core.view import View
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.parameters import Takes
from tool_recognizer.ros import to_ros


def declare(node: Node) -> None:
    """Declare every parameter of the table."""
    for parameter in PARAMETERS:
        node.declare_parameter(parameter.name, parameter.default, to_ros.descriptor(
            parameter.text, parameter.default, parameter.low, parameter.high,
            constraints=(f'one of {list(parameter.choices)}' if parameter.choices
                         else f'takes effect {parameter.takes.value}'),
            read_only=parameter.takes is Takes.AT_START))


def values(node: Node) -> dict[str, Any]:
    """Return the values of the table's parameters now."""
    return {parameter.name: node.get_parameter(parameter.name).value for parameter in PARAMETERS}


def judge(changes: Collection[Any], configured: bool, value: Callable[[str], Any]
          ) -> SetParametersResult:
    """
    Accept changes, or say what is wrong with the first wrong one.

    Parameters
    ----------
    changes : rclpy's parameters, with ``name`` and ``value``
    configured : whether the node is; what takes effect at configure must not change then
    value : returns the value of a name before the changes

    """
    for changed in changes:
        known = BY_NAME.get(changed.name)
        if known is None:
            continue
        wrong = known.check(changed.value)
        if not wrong and known.takes is Takes.AT_CONFIGURE and configured:
            wrong = (f'{known.name} takes effect at configure: '
                     'deactivate and clean up the node first')
        if wrong:
            return SetParametersResult(successful=False, reason=wrong)
    if not configured:  # a file's region that is none is mended step by step; configure judges it
        return SetParametersResult(successful=True)
    after = {changed.name: changed.value for changed in changes}
    try:
        View.of(lambda name: after.get(name, value(name)))
    except ValueError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)
