"""
A node for a short time, for programs that ask something and end; every wait is bounded.

Left out: what is asked. Ctrl-C raises KeyboardInterrupt, for nothing would be left behind.
"""

from collections.abc import Callable
import os
from time import monotonic
from types import TracebackType
from typing import Any

from rcl_interfaces.srv import GetParameterTypes
from rclpy.context import Context
from rclpy.node import Node
from tool_recognizer.ros import overrides
from tool_recognizer.ros.domain import check_domain
from tool_recognizer.ros.fast_dds import prepare
from tool_recognizer.ros.guard import GuardedExecutor

# Seconds after which a request that changes nothing is repeated.
AGAIN = 1.0


class Visitor:
    """
    A node for a few seconds, hidden from listings as those of the ros2 command are.

    Parameters
    ----------
    name : of the program

    Raises
    ------
    ValueError
        ROS cannot use a variable of the environment.

    """

    def __init__(self, name: str) -> None:
        prepare()
        self._context = Context()
        self.name = f'_{name}_{os.getpid()}'
        check_domain()
        try:
            self._context.init(args=[])
            self.node = Node(self.name, context=self._context, use_global_arguments=False,
                             enable_rosout=False, start_parameter_services=False)
        except Exception as error:  # rclpy's own types are not public
            self._context.try_shutdown()
            raise ValueError(overrides.unreadable(error)) from None
        self._executor = GuardedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def __enter__(self) -> 'Visitor':
        """Return the visitor itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Spin until a condition holds or the time is over; return whether it holds."""
        end = monotonic() + seconds
        while not until():
            left = end - monotonic()
            if left <= 0.0:
                return False
            self._executor.spin_once(timeout_sec=min(left, 0.05))
        return True

    def nodes(self) -> list[str]:
        """Return the full names of all other nodes, hidden ones left out; one may come twice."""
        return sorted(f'{namespace.rstrip("/")}/{name}'
                      for name, namespace in self.node.get_node_names_and_namespaces()
                      if not name.startswith('_'))

    def find(self, node: str, seconds: float) -> bool:
        """Wait until a node is heard; return whether it is."""
        return self.wait(seconds, lambda: node in self.nodes())

    def recognizers(self) -> list[str]:
        """Return the full names of the nodes that are recognizers, each once."""
        return [name for name in dict.fromkeys(self.nodes())
                if name.endswith('/tool_recognizer') or f'{name}/reload_model' in self._services]

    @property
    def _services(self) -> set[str]:
        return {name for name, _ in self.node.get_service_names_and_types()}

    def ask(self, kind: Any, service: str, seconds: float, *, again: bool = False,
            **fields: Any) -> Any:
        """
        Call a service.

        We discover a service a moment before its node discovers us, and a response in between is
        lost. So what must not be repeated follows a request that may be: discovery keeps its
        order, and who responds to a newer client knows the older one.

        Parameters
        ----------
        kind : its type
        service : its full name
        seconds : to wait for it to be there, as long for its node to know us, and as long for the
            response
        again : whether the request may be repeated if no response comes: it changes nothing
        fields : of the request

        Returns
        -------
        The response, or None if there is none

        """
        client = self.node.create_client(kind, service)
        try:
            if not self.wait(seconds, client.service_is_ready):
                return None
            parameters = f'{service.rpartition("/")[0]}/get_parameter_types'
            if (not again and self.node.count_services(parameters)
                    and self.ask(GetParameterTypes, parameters, seconds, again=True) is None):
                return None
            end = monotonic() + seconds
            while (left := end - monotonic()) > 0.0:
                future = client.call_async(kind.Request(**fields))
                if self.wait(min(left, AGAIN) if again else left, future.done):
                    return future.result()
                client.remove_pending_request(future)
            return None
        finally:
            self.node.destroy_client(client)
