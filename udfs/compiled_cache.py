"""Compiled networks on disk, so that a worker neither imports torch nor compiles what another has compiled before.

Runs on executors. A file is named by all that its content depends on, and begins with the sha256 of what follows, so
that a damaged one is noticed and made again. The folder must be this user's own: whoever writes there decides what
networks compute.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

logger = logging.getLogger(__name__)

Made = TypeVar("Made")

_DIGEST = hashlib.sha256().digest_size


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/profilelake/compiled`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "profilelake" / "compiled"


class CompiledCache:
    """Args: folder: made when it is needed; where that fails nothing is kept, and everything works but slower."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str, read: Callable[[bytes], Made], make: Callable[[], tuple[Made, bytes]]) -> Made:
        """What `read` makes of the kept bytes, or else what `make` makes, whose bytes are kept.

        Args:
            key: all that the bytes depend on.
            read: may raise anything for bytes that it does not take: then they are made anew.
            make: the thing and its bytes; its exceptions pass through.
        """
        path = self.folder / hashlib.sha256(key.encode()).hexdigest()
        kept = self._kept(path)
        if kept is not None:
            try:
                return read(kept)
            except Exception as error:  # noqa: BLE001  whatever a runtime says of bytes that it cannot take
                logger.warning("a compiled network is made again, since it cannot be loaded from %s: %s", path, error)
        made, content = make()
        self._keep(path, content)
        return made

    def _kept(self, path: Path) -> bytes | None:
        try:
            if not self._is_ours(self.folder):
                return None
            content = path.read_bytes()
        except OSError:
            return None
        if content[:_DIGEST] == hashlib.sha256(content[_DIGEST:]).digest():
            return content[_DIGEST:]
        logger.warning("a compiled network is made again, since its file is damaged: %s", path)
        return None

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours(self.folder):
                logger.warning("compiled networks are not kept: %s is another user's, or open to others", self.folder)
                return
            # Renamed when it is whole, so that several workers may make the same at once.
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                whole = Path(scratch) / path.name
                whole.write_bytes(hashlib.sha256(content).digest() + content)
                whole.replace(path)
        except OSError as error:
            logger.warning("compiled networks are not kept: %s", error)

    @staticmethod
    def _is_ours(folder: Path) -> bool:
        status = folder.stat()
        return status.st_uid == os.geteuid() and not status.st_mode & 0o022
