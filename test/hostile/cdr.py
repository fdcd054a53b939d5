"""Messages that a well-meaning program would not send, of any type, as bytes on the wire."""

from array import array
from importlib import import_module
import random

from rclpy.serialization import serialize_message
from rosidl_parser.definition import AbstractSequence
from rosidl_parser.definition import AbstractString
from rosidl_parser.definition import AbstractWString
from rosidl_parser.definition import Array
from rosidl_parser.definition import BasicType
from rosidl_parser.definition import NamespacedType

HEADER = b'\x00\x01\x00\x00'
MARK = 'Q' * 16
# In the place of MARK: bytes that are no UTF-8, and a surrogate.
NO_UTF_8 = (b'\xff' * 16, b'\xed\xa0\x80' * 5 + b'\x80')
FLOATS = (float('nan'), float('inf'), -float('inf'), 1e308, -0.0)
RANGES = {'octet': (0, 255), 'byte': (0, 255), 'char': (0, 255), 'uint8': (0, 255),
          'int8': (-128, 127)} | {
    f'{sign}int{bits}': ((0, 2 ** bits - 1) if sign else (-2 ** (bits - 1), 2 ** (bits - 1) - 1))
    for bits in (16, 32, 64) for sign in ('', 'u')}


def payloads(kind, seed=0, flips=20):
    """
    Return serialized messages for a topic or a service of this type.

    Parameters
    ----------
    kind : a message class
    seed : of the bits that are flipped
    flips : messages with flipped bits

    """
    drawn = random.Random(seed)
    text = MARK.encode()
    whole = [serialize_message(filled(kind, length, number))
             for length in (0, 1, 3) for number in range(len(FLOATS))]
    largest = max(whole, key=len)
    found = [HEADER[:2], HEADER, b'\xff' * 64, b'\x00\x03\x00\x00' + largest[4:]]
    # Lengths of 4 GiB, of 2 GiB and of 64 KiB, wherever a length may stand.
    for length in (b'\xff\xff\xff\xff', b'\xff\xff\xff\x7f', b'\x00\x00\x01\x00'):
        found.append(HEADER + length * 64)
        found += [largest[:at] + length + largest[at + 4:]
                  for at in range(4, min(len(largest) - 3, 104), 4)]
    found += [largest[:len(largest) * part // 8] for part in range(1, 8)]
    found += whole
    for broken in NO_UTF_8:
        found += {message.replace(text, broken) for message in whole}
    found.append(serialize_message(filled(kind, 1, 0, 'x' * 1_000_000)))
    found.append(serialize_message(filled(kind, 1, 0, '[' * 100_000)))
    found.append(serialize_message(filled(kind, 2_000, 0)))
    for _ in range(flips):
        message = bytearray(largest)
        for _ in range(drawn.randint(1, 4)):
            message[drawn.randrange(4, len(message))] ^= 1 << drawn.randrange(8)
        found.append(bytes(message))
    return found


def filled(kind, length, number, text=MARK):
    """Return a message whose sequences have this length and whose numbers are extreme."""
    message = kind()
    for name, slot in zip(kind.get_fields_and_field_types(), kind.SLOT_TYPES, strict=True):
        setattr(message, name, _value(slot, length, number, text))
    return message


def _value(slot, length, number, text):
    if isinstance(slot, AbstractString | AbstractWString):
        return text
    if isinstance(slot, NamespacedType):
        module = import_module('.'.join(slot.namespaces))
        return filled(getattr(module, slot.name), min(length, 3), number, text)
    if isinstance(slot, Array | AbstractSequence):
        member = slot.value_type
        count = slot.size if isinstance(slot, Array) else length
        if isinstance(member, BasicType) and member.typename in ('octet', 'byte'):
            return [bytes([number])] * count
        return [_value(member, length, number, text) for _ in range(count)]
    if slot.typename == 'boolean':
        return bool(number % 2)
    if slot.typename in ('float', 'double', 'long double'):
        value = FLOATS[number]
        return value if slot.typename != 'float' else float(array('f', [min(value, 3e38)])[0])
    if slot.typename == 'octet':
        return bytes([255])
    return RANGES[slot.typename][number % 2]
