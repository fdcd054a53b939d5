"""Call a recognizer's services and set its parameters, for machines without ``ros2``."""

from difflib import get_close_matches
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters
from rcl_interfaces.srv import ListParameters
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger
from tool_recognizer.ros.visitor import Visitor
import yaml

TRIGGERS = ('reload_model', 'promote_shadow', 'reset_monitor')
ENABLE = {'enable': True, 'disable': False}
TRANSITIONS = {'configure': Transition.TRANSITION_CONFIGURE,
               'activate': Transition.TRANSITION_ACTIVATE,
               'deactivate': Transition.TRANSITION_DEACTIVATE,
               'cleanup': Transition.TRANSITION_CLEANUP}
# The state that each leads on from.
BEFORE = {'configure': 'unconfigured', 'activate': 'inactive', 'deactivate': 'active',
          'cleanup': 'inactive'}
VERBS = (*TRIGGERS, *ENABLE, *TRANSITIONS)
# Seconds until an existing node is discovered.
DISCOVERY = 6.0
# Of rcl_interfaces/Log: in some releases a number, in others a byte.
WARN_LOG = 30
# What a parameter of each type takes, and the words for it.
TYPES: dict[int, tuple[tuple[type, ...], str]] = {
    ParameterType.PARAMETER_BOOL: ((bool,), 'true or false'),
    ParameterType.PARAMETER_INTEGER: ((int,), 'a whole number'),
    ParameterType.PARAMETER_DOUBLE: ((float, int), 'a number'),
    ParameterType.PARAMETER_STRING: ((str,), 'a text'),
    ParameterType.PARAMETER_BOOL_ARRAY: ((bool,), 'a list, as in [true, false]'),
    ParameterType.PARAMETER_INTEGER_ARRAY: ((int,), 'a list, as in [1, 2]'),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ((float, int), 'a list, as in [0.5, 1.0]'),
    ParameterType.PARAMETER_STRING_ARRAY: ((str,), 'a list, as in [one, two]')}
LISTS = (ParameterType.PARAMETER_BOOL_ARRAY, ParameterType.PARAMETER_INTEGER_ARRAY,
         ParameterType.PARAMETER_DOUBLE_ARRAY, ParameterType.PARAMETER_STRING_ARRAY)


class NoAnswer(Exception):
    """The node is not there or does not respond; the text says which, and what to do."""


class Unusable(ValueError):
    """A value that a parameter does not take."""


def call(name: str, verb: str, seconds: float) -> tuple[bool, str]:
    """
    Call a service of a recognizer, or lead it to another state of its lifecycle.

    Parameters
    ----------
    name : of the node, in full
    verb : one of VERBS
    seconds : to wait for the response

    Returns
    -------
    Whether it went well, and the text of the response

    Raises
    ------
    NoAnswer
        There is no such node, or it does not answer.

    """
    with Visitor('call') as visitor:
        _find(visitor, name)
        if verb in TRANSITIONS:
            return _change_state(visitor, name, verb, seconds)
        kind, fields = ((SetBool, {'data': ENABLE[verb]}) if verb in ENABLE else (Trigger, {}))
        service = f'{name}/enable' if verb in ENABLE else f'{name}/{verb}'
        visitor.wait(1.0, lambda: visitor.node.count_services(service) > 0)
        if not visitor.node.count_services(service):
            raise NoAnswer(f'{name} has no service {verb}: it is no recognizer')
        answer = visitor.ask(kind, service, seconds, **fields)
        if answer is None:
            raise NoAnswer(f'{service} does not answer within {seconds:g} s: is it busy, or does '
                           'it hang? --seconds waits longer')
        return bool(answer.success), str(answer.message)


def set_parameter(name: str, parameter: str, text: str, seconds: float) -> tuple[bool, str]:
    """
    Set a parameter of a node, with the type that the node says it has.

    Parameters
    ----------
    name : of the node, in full
    parameter : its name
    text : the value, as it is typed
    seconds : to wait for each response

    Returns
    -------
    Whether the node accepted it, and a text for the user

    Raises
    ------
    NoAnswer
        There is no such node, or it does not answer.
    Unusable
        The value is not of the parameter's type.

    """
    with Visitor('set') as visitor:
        _find(visitor, name)
        described = visitor.ask(DescribeParameters, f'{name}/describe_parameters', seconds,
                                again=True, names=[parameter])
        if described is None:
            raise NoAnswer(f'{name} does not answer within {seconds:g} s')
        if (not described.descriptors
                or described.descriptors[0].type == ParameterType.PARAMETER_NOT_SET):
            return False, _unknown(visitor, name, parameter, seconds)
        value = read(parameter, described.descriptors[0].type, text)
        answer = visitor.ask(
            SetParameters, f'{name}/set_parameters', seconds,
            parameters=[Parameter(parameter, value=value).to_parameter_msg()])
        if answer is None:
            raise NoAnswer(f'{name} does not answer within {seconds:g} s')
        result = answer.results[0]
        return bool(result.successful), (
            f'{parameter} is {value!r} now' if result.successful else
            str(result.reason) or f'{name} refuses {parameter} {text} and gives no reason')


def read(parameter: str, kind: int, text: str) -> Any:
    """
    Read what was typed as a value of a parameter.

    Parameters
    ----------
    parameter : its name
    kind : its type, of rcl_interfaces/ParameterType
    text : what was typed; of a parameter that is a text, all of it

    Raises
    ------
    Unusable
        It is no value of that type.

    """
    if kind == ParameterType.PARAMETER_STRING:
        return text
    types, words = TYPES.get(kind, ((), 'what cannot be typed'))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    members = value if kind in LISTS else [value]
    if not isinstance(members, list) or any(
            not isinstance(member, types) or (isinstance(member, bool) and bool not in types)
            for member in members):
        raise Unusable(f'{parameter} takes {words}, got {text!r}')
    if float in types:
        members = [float(member) for member in members]
    return members if kind in LISTS else members[0]


def _find(visitor: Visitor, name: str) -> None:
    if visitor.find(name, DISCOVERY):
        return
    others = visitor.recognizers()
    raise NoAnswer(f'no node {name} is heard' + (
        f'; there is {", ".join(others)}: --node {others[0]}' if others else
        '; the program doctor says more'))


def _state(visitor: Visitor, name: str) -> str:
    answer = visitor.ask(GetState, f'{name}/get_state', 5.0, again=True)
    return 'silent' if answer is None else str(answer.current_state.label)


def _change_state(visitor: Visitor, name: str, verb: str, seconds: float) -> tuple[bool, str]:
    said: list[str] = []
    state = _state(visitor, name)
    if state in BEFORE.values() and state != BEFORE[verb]:
        return False, f'{name} is {state}; {verb} is for a node that is {BEFORE[verb]}'

    def hear(message: Any) -> None:
        if (message.name == name.strip('/').replace('/', '.')
                and message.level >= WARN_LOG):
            said.append(message.msg)
    visitor.node.create_subscription(Log, '/rosout', hear, QoSProfile(depth=100))
    answer = visitor.ask(ChangeState, f'{name}/change_state', seconds,
                         transition=Transition(id=TRANSITIONS[verb]))
    if answer is None:
        raise NoAnswer(f'{name}/change_state does not answer within {seconds:g} s')
    if not answer.success:
        visitor.wait(1.0, lambda: bool(said))
    state = _state(visitor, name)
    return bool(answer.success), f'{name} is {state}' + (
        f'; {"; ".join(said)}' if said and not answer.success else '')


def _unknown(visitor: Visitor, name: str, parameter: str, seconds: float) -> str:
    listed = visitor.ask(ListParameters, f'{name}/list_parameters', seconds, again=True)
    near = get_close_matches(parameter, listed.result.names if listed else [], 1)
    return f'{name} has no parameter {parameter}' + (f'; did you mean {near[0]}?' if near else '')
