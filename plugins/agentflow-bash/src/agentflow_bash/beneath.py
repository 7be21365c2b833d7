"""Open files beneath a folder and nowhere else, whatever links its owner puts there meanwhile: Linux's ``openat2``."""

from __future__ import annotations

import ctypes
import errno
import os
import posixpath
import secrets
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Beneath", "is_supported"]

_OPENAT2: Final = 437  # the same on every architecture but alpha
_NO_MAGICLINKS, _BENEATH = 0x02, 0x08
_COMMON: Final = os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0)
_FOLDER: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | os.O_CLOEXEC
_TRIES: Final = 100


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _openat2(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """The system call; raises `OSError`."""
    how = _How(flags=flags, mode=mode, resolve=_BENEATH | _NO_MAGICLINKS)
    for _ in range(_TRIES):
        fd = _libc().syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):  # something was renamed while it looked
            raise OSError(code, os.strerror(code), path)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def is_supported() -> bool:
    """Has this system ``openat2``?"""
    if not sys.platform.startswith("linux"):
        return False
    root = os.open("/", _FOLDER)
    try:
        os.close(_openat2(root, ".", _FOLDER))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


class Beneath:
    """A folder whose files are opened by paths relative to it; it blocks, so threads use it.

    Args:
        root: the folder.
        shown: the absolute path by which its owner knows it; paths that begin with it are taken too.
        uid: whose property new files and folders become.

    Every method raises `SandboxError`: ``not_found``; ``invalid_argument`` for a path that leads out, or to what is no
    file; ``forbidden``, ``disk_limit``, ``conflict``; ``unsupported`` where the system has no ``openat2``.
    """

    def __init__(self, root: Path, *, shown: str, uid: int | None) -> None:
        if not is_supported():
            raise SandboxError(
                "files of sessions are opened by openat2, which this system does not have",
                code="unsupported",
                hint="Linux 5.6 or later",
            )
        self._shown = shown.rstrip("/")
        self._uid = uid if os.geteuid() == 0 else None
        self._root = os.open(root, _FOLDER)

    def close(self) -> None:
        """Let the folder go."""
        os.close(self._root)

    def relative(self, path: str) -> str:
        """The path from the folder on, without detours; ``.`` for the folder itself."""
        if "\0" in path:
            raise SandboxError("path: holds a NUL character", code="invalid_argument")
        if path == self._shown or path.startswith(self._shown + "/"):
            path = path[len(self._shown) :].lstrip("/") or "."
        if path.startswith("/"):
            raise SandboxError(
                f"path: {path[:200]!r} is not in the workspace",
                code="invalid_argument",
                hint=f"give a path from the workspace on, or one below {self._shown}",
            )
        return posixpath.normpath(path) if "/../" not in f"/{path}/" else path

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of an existing regular file, to read."""
        with self._said(path):
            fd = _openat2(self._root, self.relative(path), os.O_RDONLY | _COMMON)
        try:
            self._check_file(fd, path)
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """A descriptor of an existing folder, by which its entries can be read."""
        with self._said(path):
            fd = _openat2(self._root, self.relative(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def kind(self, path: str) -> str:
        """``file``, ``folder``, ``other``, or nothing where there is nothing."""
        try:
            fd = _openat2(self._root, self.relative(path), getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            mode = os.fstat(fd).st_mode
        finally:
            os.close(fd)
        return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"

    def write(self, path: str, data: bytes) -> None:
        """Put a file there, whole or not at all, with the folders that it needs; an existing one keeps its permissions."""
        relative = self._followed(self.relative(path))
        parent, name = posixpath.split(relative)
        if name in ("", ".", ".."):
            raise SandboxError(f"path: {path[:200]!r} names no file", code="invalid_argument")
        with self._said(path):
            folder = self._made(parent)
        try:
            with self._said(path):
                self._put(folder, name, data, path)
        finally:
            os.close(folder)

    def _put(self, folder: int, name: str, data: bytes, path: str) -> None:
        mode = 0o644
        with suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(there.st_mode) and not stat.S_ISLNK(there.st_mode):
                self._refuse(there.st_mode, path)
            if stat.S_ISREG(there.st_mode):
                mode = stat.S_IMODE(there.st_mode) & 0o777
        temporary = f".{name[:200]}.{secrets.token_hex(4)}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _COMMON, 0o600, dir_fd=folder)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                self._give(fd)
                os.fchmod(fd, mode)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise

    def _followed(self, relative: str) -> str:
        """Where the path leads if its last part is a link: the file is written there, and the link stays."""
        for _ in range(40):
            parent, name = posixpath.split(relative)
            try:
                folder = _openat2(self._root, parent or ".", _FOLDER)
            except OSError:
                return relative
            try:
                target = os.readlink(name, dir_fd=folder)
            except OSError:
                return relative
            finally:
                os.close(folder)
            relative = self.relative(target) if target.startswith("/") else posixpath.join(parent, target)
        raise SandboxError("path: too many links in one another", code="invalid_argument")

    def _made(self, parent: str) -> int:
        """A descriptor of the folder, made with those that it stands in where they are missing."""
        try:
            return _openat2(self._root, parent or ".", _FOLDER)
        except FileNotFoundError:
            pass
        above, name = posixpath.split(parent)
        folder = self._made(above)
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder)
                made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                try:
                    self._give(made)
                finally:
                    os.close(made)
        finally:
            os.close(folder)
        return _openat2(self._root, parent, _FOLDER)

    def _give(self, fd: int) -> None:
        if self._uid is not None:
            os.fchown(fd, self._uid, self._uid)

    def _check_file(self, fd: int, path: str) -> None:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            self._refuse(mode, path)

    def _refuse(self, mode: int, path: str) -> None:
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise SandboxError(f"path: {path[:200]!r} is {what}", code="invalid_argument")

    @contextmanager
    def _said(self, path: str) -> Iterator[None]:
        """Turn what the system refuses into an error that says what to do."""
        try:
            yield
        except OSError as error:
            raise _error(error, path[:200]) from error


def _error(error: OSError, path: str) -> SandboxError:
    code = error.errno
    if code == errno.ENOENT:
        return SandboxError(f"there is no {path!r} in the workspace", code="not_found", hint="list_files shows what is")
    if code == errno.EXDEV:
        return SandboxError(
            f"path: {path!r} leads out of the workspace",
            code="invalid_argument",
            hint="this tool knows the workspace alone; run a command to read other files",
        )
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SandboxError(f"there is no room for {path!r}", code="disk_limit", hint="delete some files first")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SandboxError(f"{path!r}: {error.strerror}", code="forbidden")
    if code in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV):
        return SandboxError(f"path: {path!r}: {error.strerror}", code="invalid_argument")
    return SandboxError(f"{path!r}: {error.strerror}", code="conflict", hint="look at the file first")
