"""Lifecycle transitions that cannot be made are refused; rclpy would end the node."""

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Let a node answer an impossible transition with success = false, and a line in its log."""
    def refusing(change_state: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def change(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except Exception as error:
                node.get_logger().warning(f'transition refused: {error}')
                response.success = False
                return response
        return change

    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = refusing(service.callback)
