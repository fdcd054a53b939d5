"""Nodes that take their own parameters back, as `ros2 param load` gives them what it dumped."""

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult


class AcceptsUnchanged:
    """
    A node for which a parameter that keeps its value is no change, and so is never refused.

    rclpy refuses to set what is read-only, even to the value that it has. Most parameters of an
    unchanged dump would be reported as failed. Name this class before the node's class.
    """

    def set_parameters_atomically(self, parameter_list: Sequence[Any]) -> SetParametersResult:
        """Set those that have another value; rclpy calls it for what comes over ROS, too."""
        node: Any = self
        changes = [parameter for parameter in parameter_list if not (
            node.has_parameter(parameter.name)
            and node.get_parameter(parameter.name).to_parameter_msg()
            == parameter.to_parameter_msg())]
        if parameter_list and not changes:
            return SetParametersResult(successful=True)
        node_class: Any = super()
        return node_class.set_parameters_atomically(changes)
