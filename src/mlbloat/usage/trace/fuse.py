"""Be the file system below the container's overlay, and note what the kernel asks of it. fuse(4), Linux 4.20.

The kernel resolves every name itself and asks for each once, so nothing that reaches the image escapes, by whatever
call; and what does not reach it, names that only the run made among them, is not seen.
"""

import contextlib
import errno
import os
import select
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping

from mlbloat.errors import EngineError
from mlbloat.model.use import Action
from mlbloat.runtime import Means
from mlbloat.usage.trace import fusewire
from mlbloat.usage.trace.fusewire import Operation
from mlbloat.usage.trace.notes import Notes, Noting

name = "fuse"

BLIND = (
    "the tracer fuse sees every name of the image that the kernel looked up, also those that lead to others and those "
    "that the engine looked up to set the container up; it does not see where the run tried to connect to"
)

_DEVICE = "/dev/fuse"
_BUFFER_BYTES = 1 << 16
_READ_BYTES = 1 << 20
_JOIN_SECONDS = 120.0
_FOR_EXECUTION = 0x20
"""__FMODE_EXEC of the kernel, in the flags of OPEN when it opens a program or an interpreter."""
_OVERLAYS_OWN = (b"trusted.overlay.", b"user.overlay.")
_MOST_OPEN = 64


def problem() -> str:
    """Say why it cannot be used here; empty when it can."""
    if os.geteuid() != 0:
        return "it needs root with the capability SYS_ADMIN; run as root, or take seccomp"
    try:
        os.close(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_DEVICE} cannot be opened ({error.strerror}); load the module (modprobe fuse), or take seccomp"
    return ""


class Recorder(Noting):
    """The file system of one run."""

    calls: frozenset[str] = frozenset()
    means: tuple[Means, ...] = ("fuse",)

    def __init__(self) -> None:
        super().__init__()
        self._done = False

    def flags(self) -> tuple[str, ...]:
        """Say what this tracer cannot see, and what it lost."""
        return (BLIND, *self._notes.flags())

    @contextlib.contextmanager
    def serve(self, means: Means, *descriptors: int) -> Iterator[None]:
        """Be the file system, with the content of a directory, until it is unmounted."""
        wake, woken = os.pipe()
        thread = threading.Thread(target=self._serve, args=(*descriptors, wake), name=means, daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(woken)
            thread.join(_JOIN_SECONDS)
            if not thread.is_alive():
                os.close(wake)
        if not self._done:
            raise EngineError("cannot trace: the tracer stopped before the run did; run it again")

    def _serve(self, device: int, root: int, wake: int) -> None:
        try:
            with contextlib.closing(_Files(root, self._notes)) as files:
                self._answer_all(device, files, wake)
            self._done = True
        finally:
            # Whoever still waits for an answer gets an error.
            os.close(device)
            os.close(root)

    def _answer_all(self, device: int, files: "_Files", wake: int) -> None:
        poller = select.poll()
        poller.register(device, select.POLLIN)
        poller.register(wake, 0)
        buffer = bytearray(_BUFFER_BYTES)
        while any(event & select.POLLIN for _, event in poller.poll()):
            try:
                length = os.readv(device, [buffer])
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue  # the one who asked is gone
                if error.errno == errno.ENODEV:
                    return  # unmounted
                raise
            asked = fusewire.asked(memoryview(buffer)[:length])
            if asked.operation in fusewire.UNANSWERED:
                continue
            try:
                parts = files.answer(asked)
                answer = [fusewire.header(asked.number, sum(map(len, parts))), *parts]
            except OSError as error:
                answer = [fusewire.header(asked.number, 0, error.errno or errno.EIO)]
            with contextlib.suppress(FileNotFoundError):  # interrupted in the meantime
                os.writev(device, answer)


class _Files:
    """The tree below a directory, read-only, as a file system of nodes. Close it."""

    def __init__(self, root: int, notes: Notes) -> None:
        self._root = root
        self._notes = notes
        self._paths = [b"", b""]
        """By node; the first is none."""
        self._nodes: dict[bytes, int] = {b"": fusewire.ROOT}
        self._open: OrderedDict[int, int] = OrderedDict()
        """Descriptors by node, those used last at the end: a program may map more files than we may hold open."""
        self._listed: dict[int, list[tuple[bytes, int, int]]] = {}
        self._space = memoryview(bytearray(_READ_BYTES))
        self._answers: Mapping[int, Callable[[fusewire.Asked], tuple[bytes | memoryview, ...]]] = {
            Operation.LOOKUP: self._look_up,
            Operation.GETATTR: lambda asked: (fusewire.attributes(self._state(asked.node)),),
            Operation.READLINK: self._read_link,
            Operation.OPEN: self._open_file,
            Operation.READ: self._read,
            Operation.STATFS: lambda asked: (fusewire.statistics(os.statvfs(self._root)),),
            Operation.RELEASE: lambda asked: (),
            Operation.GETXATTR: self._attribute,
            Operation.LISTXATTR: self._attribute_names,
            Operation.FLUSH: lambda asked: (),
            Operation.INIT: lambda asked: (fusewire.initialised(asked.body),),
            Operation.OPENDIR: self._open_directory,
            Operation.READDIR: self._list,
            Operation.RELEASEDIR: lambda asked: (),
            Operation.DESTROY: lambda asked: (),
        }

    def answer(self, asked: fusewire.Asked) -> tuple[bytes | memoryview, ...]:
        """Return the parts of an answer; OSError is one too."""
        answer = self._answers.get(asked.operation)
        if answer is None:
            raise OSError(errno.EROFS if asked.operation in fusewire.CHANGING else errno.ENOSYS, "not here")
        return answer(asked)

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _note(self, node: int, action: Action) -> None:
        self._notes.add(self._paths[node] or b"/", action)

    def _place(self, node: int) -> bytes:
        return self._paths[node][1:] or b"."

    def _state(self, node: int) -> os.stat_result:
        return os.stat(self._place(node), dir_fd=self._root, follow_symlinks=False)

    def _through(self, node: int) -> bytes:
        """Name a node for calls that know no directory descriptors."""
        return b"/proc/self/fd/%d/%s" % (self._root, self._place(node))

    def _look_up(self, asked: fusewire.Asked) -> tuple[bytes]:
        path = self._paths[asked.node] + b"/" + fusewire.name_in(asked.body)
        self._notes.add(path, Action.LOOKED_UP)
        try:
            state = os.stat(path[1:], dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return (fusewire.NO_ENTRY,)
        node = self._nodes.setdefault(path, len(self._paths))
        if node == len(self._paths):
            self._paths.append(path)
        return (fusewire.entry(node, state),)

    def _read_link(self, asked: fusewire.Asked) -> tuple[bytes]:
        self._note(asked.node, Action.LOOKED_UP)
        return (os.readlink(self._place(asked.node), dir_fd=self._root),)

    def _open_file(self, asked: fusewire.Asked) -> tuple[bytes]:
        executed = fusewire.flags_in(asked.body) & _FOR_EXECUTION
        self._note(asked.node, Action.EXECUTED if executed else Action.OPENED)
        return (fusewire.opened(asked.node),)

    def _read(self, asked: fusewire.Asked) -> tuple[memoryview]:
        offset, size = fusewire.place_in(asked.body)
        space = self._space[: min(size, _READ_BYTES)]
        return (space[: os.preadv(self._descriptor(asked.node), [space], offset)],)

    def _descriptor(self, node: int) -> int:
        descriptor = self._open.get(node)
        if descriptor is None:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            descriptor = os.open(self._place(node), flags, dir_fd=self._root)
            self._open[node] = descriptor
            if len(self._open) > _MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(node)
        return descriptor

    def _open_directory(self, asked: fusewire.Asked) -> tuple[bytes]:
        self._note(asked.node, Action.OPENED)
        return (fusewire.opened(asked.node),)

    def _list(self, asked: fusewire.Asked) -> tuple[bytes]:
        self._note(asked.node, Action.LISTED)
        start, size = fusewire.place_in(asked.body)
        if start == 0 or asked.node not in self._listed:
            self._listed[asked.node] = self._names(asked.node)
        names, answer = self._listed[asked.node], bytearray()
        for number in range(start, len(names)):
            entry = fusewire.directory_entry(*names[number], number + 1)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        if start >= len(names):
            del self._listed[asked.node]  # read to its end; whoever else is at it makes us read it once more
        return (bytes(answer),)

    def _names(self, node: int) -> list[tuple[bytes, int, int]]:
        """Return names, inode numbers and kinds, in an order that stays."""
        found = [(b".", self._state(node).st_ino, stat.S_IFDIR), (b"..", self._state(node).st_ino, stat.S_IFDIR)]
        with os.scandir(self._through(node)) as entries:
            return found + sorted((os.fsencode(each.name), each.inode(), _kind(each)) for each in entries)

    def _attribute(self, asked: fusewire.Asked) -> tuple[bytes]:
        size, wanted = fusewire.size_in(asked.body)
        if wanted.startswith(_OVERLAYS_OWN):
            raise OSError(errno.ENODATA, "no such attribute")
        self._note(asked.node, Action.LOOKED_UP)
        return self._fitting(os.getxattr(self._through(asked.node), wanted, follow_symlinks=False), size)

    def _attribute_names(self, asked: fusewire.Asked) -> tuple[bytes]:
        size, _ = fusewire.size_in(asked.body)
        self._note(asked.node, Action.LOOKED_UP)
        names = os.listxattr(self._through(asked.node), follow_symlinks=False)
        return self._fitting(b"".join(os.fsencode(each) + b"\0" for each in names), size)

    def _fitting(self, value: bytes, size: int) -> tuple[bytes]:
        """Answer with a value, or with its length when that was the question."""
        if not size:
            return (fusewire.size(len(value)),)
        if len(value) > size:
            raise OSError(errno.ERANGE, "no room")
        return (value,)


def _kind(entry: "os.DirEntry[bytes]") -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return (
        stat.S_IFREG if entry.is_file(follow_symlinks=False) else stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
    )
