"""
The services that put another model in charge: ``~/reload_model`` and ``~/promote_shadow``.

The new model is loaded and checked in a thread, beside the one that goes on answering, and takes
over between two frames. If anything is wrong, the old one stays and the response says why. One
model is loaded at a time. Both services are there as long as the node, so that whoever waits for a
response gets one, even if the node is cleaned up meanwhile.
"""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_srvs.srv import Trigger
from tool_recognizer.engine import Engine
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.node_parameters import values

# Every request is answered, also if many come at once.
DEEP = QoSProfile(depth=1000)


class _Unchanged(Exception):
    """Why the model in charge stays."""


class ModelServices:
    """
    See the module.

    Parameters
    ----------
    node : that has the services, and whose parameters name the models
    current : returns the engine in charge; None while the node is not configured
    make : loads what parameters name, in a thread
    replace : puts an engine in charge

    Attributes
    ----------
    refused : why the last model that should have taken over was refused; '' if it was not

    """

    def __init__(self, node: Node, current: Callable[[], Engine | None],
                 make: Callable[[Mapping[str, Any]], Engine],
                 replace: Callable[[Engine], None]) -> None:
        self._node = node
        self._current = current
        self._make = make
        self._replace = replace
        self._loading = False
        self.refused = ''
        # While a model is loaded, the node's other callbacks go on, and so do these two.
        group = ReentrantCallbackGroup()
        for name, change in (('reload_model', self._reload), ('promote_shadow', self._promote)):
            node.create_service(Trigger, f'~/{name}', self._alone(change), qos_profile=DEEP,
                                callback_group=group)

    def _alone(self, change: Callable[[Engine], Awaitable[str]]
               ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Return the callback of a service that changes the model, unless another one does."""
        async def answer(request: Any, response: Any) -> Any:
            before = self._current()
            if before is None:
                return to_ros.answered(response, False, to_ros.NO_MODEL)
            if self._loading:
                return to_ros.answered(response, False, 'another model is being loaded: call '
                                       'again when that is done')
            self._loading = True
            try:
                return to_ros.answered(response, True, await change(before))
            except _Unchanged as error:
                return to_ros.answered(response, False, str(error))
            finally:
                self._loading = False
        return answer

    async def _reload(self, before: Engine) -> str:
        engine = await self._load(values(self._node), before)
        shadow = before.shadow
        if shadow is not None and (
                shadow.model.digest == engine.model.digest != before.model.digest):
            self._note_promotion(before)
        self._replace(engine)
        beside = '' if engine.shadow is None else (
            f', beside it {engine.shadow.model.path} ({engine.shadow.model.digest})')
        return f'model {engine.model.path} ({engine.model.digest}){beside}'

    def _note_promotion(self, before: Engine) -> None:
        """Note in the journal that the shadow takes over, and how the two compared."""
        assert before.shadow is not None
        comparison = before.run.comparison
        difference = None if comparison is None else comparison.difference()
        before.record('promotion', self._node.get_clock().now().nanoseconds, {
            'model_digest': before.shadow.model.digest, 'instead_of': before.model.digest,
            **({'n': 0} if difference is None or not difference.n else difference._asdict())})

    async def _promote(self, before: Engine) -> str:
        """Put the shadow model in charge, if its file is still the one that was compared."""
        shadow = before.shadow
        if shadow is None:
            raise _Unchanged('there is no shadow model: set shadow_model_path and reload the '
                             'model')
        comparison = before.run.comparison
        if comparison is None or not comparison.difference().n:
            raise _Unchanged(f'{shadow.model.path} was compared on no confirmed frame yet, so '
                             'nothing speaks for it: confirm some, see ~/shadow, then promote it; '
                             'to change the model without that, set model_path and reload it')
        chosen = {'model_path': str(shadow.model.path), 'shadow_model_path': ''}
        engine = await self._load(values(self._node) | chosen, before)
        if engine.model.digest != shadow.model.digest:
            raise _Unchanged(f'{shadow.model.path} has changed since it was compared; reload the '
                             'model and compare anew')
        models = self._node.get_parameter('models.path').value
        # Another program may be writing there, and a large file takes its time.
        chosen |= await self._apart(partial(_choose, models, shadow.model))
        self._check_in_charge(before)
        self._note_promotion(before)
        self._node.set_parameters([Parameter(name, value=value)
                                   for name, value in chosen.items()])
        self._replace(engine)
        in_file = '' if not chosen['model_path'] else '; set model_path in the parameter file, too'
        return f'model {engine.model.path} ({engine.model.digest}) is in charge{in_file}'

    async def _load(self, parameters: Mapping[str, Any], before: Engine) -> Engine:
        """
        Load a model in a thread.

        Raises
        ------
        _Unchanged
            It cannot be used, or the engine before it is not in charge any more.

        """
        try:
            engine: Engine = await self._apart(partial(self._make, parameters))
        except Exception as error:
            self.refused = str(error)
            self._node.get_logger().error(f'model refused, the old one stays: {error}')
            raise _Unchanged(f'{error}; the old model stays') from None
        self._check_in_charge(before)
        self.refused = ''
        return engine

    def _check_in_charge(self, before: Engine) -> None:
        if self._current() is not before:
            raise _Unchanged('the node was cleaned up meanwhile')

    async def _apart(self, work: Callable[[], Any]) -> Any:
        """Do something that takes its time in a thread; return or raise what it does."""
        executor = self._node.executor
        assert executor is not None
        done: Future = Future(executor=executor)

        def do() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
            with suppress(InvalidHandle):  # the node ends
                executor.wake()  # an awaiting callback is only looked at when something happens

        Thread(target=do, name='reload', daemon=True).start()
        return await done


def _choose(models: str, model: OnnxModel) -> dict[str, str]:
    """
    Have the store of models, too, say that a model is in charge, if it has it.

    Returns
    -------
    Parameters to set, so that the store is asked at the next start

    Raises
    ------
    _Unchanged
        The store cannot be written.

    """
    store = ModelStore(models)
    if not models or not model.path.resolve().is_relative_to(store.path.resolve()):
        return {}
    try:
        store.choose(model.digest, 'promote_shadow')
    except StoreError as error:
        raise _Unchanged(f'{error}; the old model stays') from None
    return {'model_path': ''}
