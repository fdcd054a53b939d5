"""
The wire format of protocol buffers, of which an ONNX file is one message.

Just what is needed to look into a model file and to change a part of it, so that neither training
nor the node needs an ONNX library (Protocol Buffers documentation, Encoding). Nothing is
interpreted: what a field number means is for the caller to know.
"""

from collections.abc import Iterable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | bytes
Fields = list[tuple[int, int, Value]]

# Fields of one message: a graph has one for each node and each weight.
MOST_FIELDS = 2_000_000


class WireError(ValueError):
    """Bytes that are no message."""


def parse(data: bytes) -> Fields:
    """
    Split a message into (field number, wire type, value), in order, nothing interpreted.

    Raises
    ------
    WireError
        The bytes are no message, or it is cut off.

    """
    fields: Fields = []
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, position = _varint(data, position)
        else:
            if kind == BYTES:
                length, position = _varint(data, position)
            elif kind in (FIXED64, FIXED32):
                length = 8 if kind == FIXED64 else 4
            else:
                raise WireError(f'wire type {kind} at byte {position}')
            if position + length > len(data):
                raise WireError(f'cut off after {len(data)} bytes')
            value, position = data[position:position + length], position + length
        fields.append((number, kind, value))
        if len(fields) > MOST_FIELDS:
            raise WireError(f'more than {MOST_FIELDS} fields in one message')
    return fields


def serialize(fields: Fields) -> bytes:
    """Put a message together: what ``parse`` takes apart."""
    parts = []
    for number, kind, value in fields:
        parts.append(_encode(number << 3 | kind))
        if isinstance(value, int):
            parts.append(_encode(value))
        else:
            if kind == BYTES:
                parts.append(_encode(len(value)))
            parts.append(value)
    return b''.join(parts)


def one(fields: Fields, wanted: int) -> bytes:
    """Return the first field of a number; WireError if there is none."""
    for number, _, value in fields:
        if number == wanted and isinstance(value, bytes):
            return value
    raise WireError(f'field {wanted} is missing')


def text(fields: Fields, wanted: int) -> str:
    """Return the first field of a number as text; empty if there is none."""
    return next((value.decode() for number, _, value in fields
                 if number == wanted and isinstance(value, bytes)), '')


def varints(data: bytes) -> Iterable[int]:
    """Read numbers that are packed into one field."""
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    # 64 bits, seven in a byte.
    for place, byte in enumerate(data[position:position + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise WireError(f'no number at byte {position}')


def _encode(value: int) -> bytes:
    parts = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            parts.append(byte)
            return bytes(parts)
        parts.append(byte | 0x80)
