"""
The services that put another model in charge: ``~/reload_model`` and ``~/promote_shadow``.

The new model is loaded and checked in a thread, beside the one that goes on answering, and takes
over between two frames. If anything is wrong, the old one stays and the answer says why.
"""

from collections.abc import Callable
from collections.abc import Mapping
from threading import Thread
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger
from tool_recognizer.engine import Engine
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.ros.recognizer.node_parameters import values


class ModelServices:
    """
    See the module.

    Parameters
    ----------
    node : whose parameters name the models
    entities : with which the services end
    current : returns the engine in charge; None after the node was cleaned up
    make : loads what parameters name, in a thread
    replace : puts an engine in charge

    Attributes
    ----------
    refused : why the last model that should have taken over was refused; '' if it was not

    """

    def __init__(self, node: Node, entities: Entities, current: Callable[[], Engine | None],
                 make: Callable[[Mapping[str, Any]], Engine],
                 replace: Callable[[Engine], None]) -> None:
        self._node = node
        self._current = current
        self._make = make
        self._replace = replace
        self.refused = ''
        # A group of its own: while a reload waits for its model, the others' callbacks go on.
        apart = MutuallyExclusiveCallbackGroup()
        entities.service(Trigger, '~/reload_model', self._on_reload, apart)
        entities.service(Trigger, '~/promote_shadow', self._on_promote, apart)

    async def _on_reload(self, request: Any, response: Any) -> Any:
        engine = await self._loaded(values(self._node))
        self.refused = str(engine) if isinstance(engine, Exception) else ''
        if isinstance(engine, Exception):
            self._node.get_logger().error(f'model refused, the old one stays: {engine}')
            return to_ros.answered(response, False, f'{engine}; the old model stays')
        if self._current() is None:
            return to_ros.answered(response, False, 'the node was cleaned up meanwhile')
        self._replace(engine)
        return to_ros.answered(
            response, True, f'model {engine.model.path} ({engine.model.digest})')

    async def _on_promote(self, request: Any, response: Any) -> Any:
        """Put the shadow model in charge, if its file is still the one that was compared."""
        before = self._current()
        shadow = before and before.shadow
        if not shadow:
            return to_ros.answered(response, False, 'there is no shadow model: set '
                                   'shadow_model_path and reload the model')
        chosen = {'model_path': str(shadow.model.path), 'shadow_model_path': ''}
        engine = await self._loaded(values(self._node) | chosen)
        if isinstance(engine, Exception):
            return to_ros.answered(response, False, f'{engine}; the old model stays')
        now = self._current()
        comparison = None if now is None else now.run.comparison
        if now is None or now.shadow is not shadow or comparison is None:
            return to_ros.answered(response, False, 'the models were changed meanwhile')
        if engine.model.digest != shadow.model.digest:
            return to_ros.answered(response, False, f'{shadow.model.path} has changed since it '
                                   'was compared; reload the model and compare anew')
        now.record('promotion', self._node.get_clock().now().nanoseconds, {
            'model_digest': shadow.model.digest, 'instead_of': now.model.digest,
            **comparison.difference()._asdict()})
        self._node.set_parameters([Parameter(name, value=value)
                                   for name, value in chosen.items()])
        self._replace(engine)
        return to_ros.answered(response, True, f'model {engine.model.path} '
                               f'({engine.model.digest}) is in charge; set model_path in the '
                               'parameter file, too')

    async def _loaded(self, parameters: Mapping[str, Any]) -> Engine | Exception:
        executor = self._node.executor
        assert executor is not None
        loaded: Future = Future(executor=executor)

        def load() -> None:
            try:
                loaded.set_result(self._make(parameters))
            except Exception as error:
                loaded.set_result(error)
            executor.wake()  # an awaiting callback is only looked at when something happens

        Thread(target=load, name='reload', daemon=True).start()
        engine: Engine | Exception = await loaded
        return engine
