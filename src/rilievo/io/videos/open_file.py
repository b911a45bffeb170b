"""Video files that another process has opened."""

import io
import os


class OpenFile:
    """Open file by its number; ``str`` is its name in messages.

    Every reader has its own position.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name

    def __str__(self) -> str:
        return self._name

    def reader(self) -> "FileReader":
        """Read it from its beginning."""
        return FileReader(self._descriptor, self._name)


class FileReader(io.RawIOBase):
    """Binary file over a descriptor, which stays open."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek."""
        return True

    def tell(self) -> int:
        """Position [bytes]."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change and return the position."""
        size = os.fstat(self._descriptor).st_size
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = max(0, before + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes, or the rest."""
        if size < 0:
            size = max(0, os.fstat(self._descriptor).st_size - self._at)
        content = os.pread(self._descriptor, size, self._at)
        self._at += len(content)
        return content
