"""
Write bags: MCAP with the definitions of its types, compressed chunk by chunk.

A bag appears under its name when it is complete, or not at all; a recording is there from its
first message on, so that a recorder that is killed leaves what it had.
"""

from collections.abc import Collection
from pathlib import Path
from secrets import token_hex
import shutil
from typing import Any

from rosbags.interfaces import Connection
from rosbags.interfaces import Qos
from rosbags.interfaces import QosDurability
from rosbags.interfaces import QosHistory
from rosbags.interfaces import QosLiveliness
from rosbags.interfaces import QosReliability
from rosbags.interfaces import QosTime
from rosbags.rosbag2 import CompressionFormat
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.message_types import STORE

# What a publisher offers that promises no deadline and no end of life.
_NEVER = QosTime(2147483647, 4294967295)


class BagWriter:
    """
    A new bag; a context manager, at whose end the bag appears.

    Parameters
    ----------
    path : the folder to be made
    latched : topics whose last message late subscribers get, too
    compress : whether to compress; pictures are hardly worth it
    live : whether it is a recording

    Attributes
    ----------
    latched : as given; a change counts for topics that were not written to yet

    Raises
    ------
    BagError
        There is something under that name already, or the place cannot be written to.

    """

    def __init__(self, path: Path, *, latched: Collection[str] = (),
                 compress: bool = True, live: bool = False) -> None:
        self._path = path
        self.latched = set(latched)
        self._connections: dict[str, Connection] = {}
        if path.exists():
            raise BagError(f'{path}: exists already; name a new folder or remove it')
        # Made in a folder beside it: the files of a bag carry their folder's name.
        self._work = None if live else path.with_name(f'.{path.name}.{token_hex(4)}')
        try:
            (self._work or path.parent).mkdir(parents=True, exist_ok=live)
            self._writer = Writer((self._work or path.parent) / path.name, version=9,
                                  storage_plugin=StoragePlugin.MCAP)
            if compress:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except BaseException as error:  # Ctrl-C, too
            self._remove_work()
            if isinstance(error, OSError):
                raise BagError(f'{path}: cannot be written ({error.strerror})') from None
            raise

    def write(self, topic: str, moment: int, message: Any) -> None:
        """
        Write a message.

        Parameters
        ----------
        topic : its name
        moment : ns
        message : of one of the types of ``STORE``

        """
        kind = message.__msgtype__
        self.write_raw(topic, kind, moment, STORE.serialize_cdr(message, kind))

    def write_raw(self, topic: str, kind: str, moment: int, raw: bytes | memoryview) -> None:
        """
        Write a message that is serialised already.

        Parameters
        ----------
        topic, kind : its name and its type
        moment : ns
        raw : CDR

        """
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=STORE, offered_qos_profiles=[_qos(topic in self.latched)])
        self._writer.write(connection, moment, raw)

    def finish(self) -> None:
        """Write what is still to be written, and give the bag its name."""
        self._writer.close()
        if self._work is not None:
            (self._work / self._path.name).rename(self._path)
            self._work.rmdir()

    def abandon(self) -> None:
        """Leave nothing behind, unless it is a recording."""
        self._writer.abort()
        self._remove_work()

    def _remove_work(self) -> None:
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> 'BagWriter':
        """Return the writer itself."""
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """Give the bag its name; after an error leave nothing behind."""
        if kind is not None:
            self.abandon()
            return
        try:
            self.finish()
        except BaseException:
            self.abandon()
            raise


def _qos(latched: bool) -> Qos:
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               _NEVER, _NEVER, QosLiveliness.AUTOMATIC, _NEVER, False)
