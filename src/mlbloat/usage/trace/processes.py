"""Where the processes of a container are, followed from what strace prints of them: clone(2), chdir(2), chroot(2).

When a line is read, its process has long gone on; so nothing is asked of it, but for the files of its descriptors in
names below /proc/self/fd.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from mlbloat.runtime.strace import NAME_BYTES
from mlbloat.usage.trace.stracelines import Began, Descriptor, Ended, Gone, Line, Replaced, Text

EXECUTE = frozenset({"execve", "execveat"})
FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
CALLS = FORKS | {"fchdir", "unshare", "setns"}
"""What must be traced beside the calls that name files."""

_PROCESS_LINK = re.compile(rb"/proc/(self|thread-self|\d+)/(cwd|root|exe|fd/\d+)(/.*)?", re.DOTALL)
_MAX_HELD = 20_000
_MAX_UNCLAIMED = 1000
_SHARES_PLACE, _NEW_MOUNTS = b"CLONE_FS", b"CLONE_NEWNS"


class Stage(IntEnum):
    OUTSIDE = 0
    """It will enter the container."""
    ENTERED = 1
    """What it executes next is the run's command."""
    INSIDE = 2


@dataclass(slots=True)
class Place:
    """What threads, and processes with CLONE_FS, share."""

    directory: bytes | None
    """The working directory; None when it is not known."""
    root: bytes = b""
    """Below the container's; empty when it is that."""


@dataclass(slots=True)
class Process:
    number: int
    place: Place
    stage: Stage
    program: bytes | None = None
    making: Began | None = None
    """The call that it is in the middle of."""
    child: int | None = None
    """The process that this call is known to have started, before it returned."""


@dataclass(slots=True)
class Processes:
    """The processes that one strace follows."""

    prefix: bytes = b""
    """The container's root in the names that strace prints; empty unless that is below ours (chroot)."""
    inner: Callable[[int], int | None] = lambda number: number
    """The number that a process has in the container, which calls return, by the one that strace prints."""
    look: Callable[[int, int], bytes | None] = lambda process, descriptor: None
    """The file of a descriptor, as strace would print it."""
    unplaced: int = 0
    """Names that are relative to a directory that is not known."""
    _known: dict[int, Process] = field(default_factory=dict)
    _forking: dict[int, Process] = field(default_factory=dict)
    """Those that are in the middle of starting another."""
    _strange: dict[int, int | None] = field(default_factory=dict)
    """Processes of which it is not known who started them, and their numbers in the container; None where they had
    ended before they could be asked for it."""
    _held: list[Line] = field(default_factory=list)
    """What they did, in the order of time."""
    _unclaimed: dict[int, Process] = field(default_factory=dict)
    """Processes that were started and did nothing yet, by the number that they have in the container."""
    _found: bool = False
    """A process is known now that was strange."""

    def start(self, threads: tuple[int, ...], directory: bytes | None, stage: Stage) -> None:
        """Begin with the threads of one process."""
        place = Place(None if directory is None else self.inside(directory))
        for thread in threads:
            self._known[thread] = Process(thread, place, stage)

    def plain(self, number: int) -> bool:
        """Tell whether an absolute name that this process names means what it always does in the container."""
        process = self._known.get(number)
        return process is not None and process.stage is Stage.INSIDE and not process.place.root

    def follow(self, line: Line) -> Iterator[tuple[Process, Line]]:
        """Yield what a line lets us know: a process with its line, and lines that waited until it was known."""
        if self._is_known(line):
            yield from self._taken(line)
        else:
            self._held.append(line)
            self._found = self._adopt(line.process, lost=len(self._held) > _MAX_HELD)
        if self._found:
            yield from self._released()

    def finish(self) -> Iterator[tuple[Process, Line]]:
        """Yield what is left of processes that never became known."""
        while self._held:
            self._adopt(self._held[0].process, lost=True)
            yield from self._released()

    def absolute(self, process: Process, name: bytes, base: Descriptor | None = None) -> bytes | None:
        """Return a name as an absolute path in the container; None when it has none.

        `base` is the directory that a call was given, if it takes one.
        """
        if name.startswith(b"/"):
            if name.startswith(b"/proc/") and (found := _PROCESS_LINK.fullmatch(name)):
                whose = self._numbered(int(found[1])) if found[1].isdigit() else process
                there = None if whose is None else self._own(whose, found[2])
                return None if there is None else there + (found[3] or b"")
            return process.place.root + name
        directory = self.directory(process, base)
        if directory is None:
            self.unplaced += base is None or base.number is None  # else the call fails: no such directory is open
            return None
        return directory.rstrip(b"/") + b"/" + name

    def directory(self, process: Process, base: Descriptor | None) -> bytes | None:
        """Return the path of a directory that a call was given; the working directory without one."""
        if base is not None and base.path is not None:
            there = self.inside(base.path)
            if base.number is None:
                process.place.directory = there  # the kernel's own word
            return there
        return process.place.directory if base is None or base.number is None else None

    def inside(self, path: bytes) -> bytes:
        """Return a path that the kernel shows outside as it is in the container."""
        if self.prefix and (path + b"/").startswith(self.prefix + b"/"):
            return path[len(self.prefix) :] or b"/"
        return path

    def _numbered(self, number: int) -> Process | None:
        """Return the process that has a number in the container."""
        return next((each for each in self._known.values() if self.inner(each.number) == number), None)

    def _own(self, process: Process, what: bytes) -> bytes | None:
        if what == b"cwd":
            return process.place.directory
        if what == b"root":
            return process.place.root or b"/"
        if what == b"exe":
            return process.program
        there = self.look(process.number, int(what.removeprefix(b"fd/")))
        return None if there is None else self.inside(there)

    def _taken(self, line: Line) -> Iterator[tuple[Process, Line]]:
        if isinstance(line, Gone):
            del self._known[line.process]
            self._forking.pop(line.process, None)
            return
        if isinstance(line, Replaced):
            # Under the number of the process goes on the thread that executed.
            replaced = self._known.pop(line.thread, None) or self._known[line.process]
            replaced.number = line.process
            self._known[line.process] = replaced
            return
        process = self._known[line.process]
        if isinstance(line, Began):
            process.making, process.child = line, None
            if line.name in FORKS:
                self._forking[process.number] = process
            if line.name in EXECUTE and process.stage is Stage.ENTERED:
                process.stage = Stage.INSIDE
            yield process, line
        ended = line.ended if isinstance(line, Began) else line
        if ended is not None:
            began, process.making = process.making, None
            self._forking.pop(process.number, None)
            if began is not None and began.name == ended.name:
                self._changed(process, began, ended)
            yield process, ended

    def _changed(self, process: Process, began: Began, ended: Ended) -> None:
        """Follow a call that changes where its process is, or makes another."""
        name, first = began.name, began.arguments[0] if began.arguments else None
        if not ended.good:
            return
        if name in FORKS:
            self._forked(process, began, ended.result or 0)
        elif name == "chdir" and isinstance(first, Text):
            process.place.directory = _short(self.absolute(process, first.content))
        elif name == "chroot" and isinstance(first, Text):
            root = _short(self.absolute(process, first.content)) or b"/"
            process.place.root = b"" if posixpath.normpath(root) == b"/" else root.rstrip(b"/")
        elif name == "fchdir" and isinstance(first, Descriptor):
            process.place.directory = None if first.path is None else self.inside(first.path)
        elif name in EXECUTE:
            texts = [argument for argument in began.arguments if isinstance(argument, Text)]
            process.program = self.absolute(process, texts[0].content) if texts else None
        elif name == "unshare" and (_SHARES_PLACE in began.rest or _NEW_MOUNTS in began.rest):
            process.place = Place(process.place.directory, process.place.root)
        elif name == "setns" and _NEW_MOUNTS in began.rest:
            process.place = Place(b"/")
            process.stage = max(process.stage, Stage.ENTERED)

    def _forked(self, process: Process, began: Began, number: int) -> None:
        if process.child is not None:
            return
        made = _child_of(process, began)
        child = next((each for each, inner in self._strange.items() if inner == number), None)
        if child is not None:
            self._know(child, made)
        else:
            self._unclaimed[number] = made
            if len(self._unclaimed) > _MAX_UNCLAIMED:
                del self._unclaimed[next(iter(self._unclaimed))]  # of one that ended before it was asked for

    def _adopt(self, number: int, *, lost: bool) -> bool:
        """Find out who started a strange process; False when that is not certain yet."""
        if number not in self._strange:
            self._strange[number] = self.inner(number)
        inner = self._strange[number]
        made = None if inner is None else self._unclaimed.pop(inner, None)
        if made is None:
            parents = [each for each in self._forking.values() if each.child is None]
            possible = [_child_of(each, each.making) for each in parents]
            possible += self._unclaimed.values() if inner is None else ()
            # A strange process may have started it as well.
            others = any(
                isinstance(each, Began) and each.name in FORKS and each.process != number for each in self._held
            )
            if len(possible) == 1 and (lost or not others):
                made = possible[0]
                if parents:
                    parents[0].child = number
                else:
                    self._unclaimed.clear()
            elif lost or inner is None or not (parents or others):
                made = _likeness(possible)
        if made is not None:
            self._know(number, made)
        return made is not None

    def _know(self, number: int, made: Process) -> None:
        made.number = number
        self._known[number] = made
        self._strange.pop(number)
        self._found = True

    def _is_known(self, line: Line) -> bool:
        return line.process in self._known or (isinstance(line, Replaced) and line.thread in self._known)

    def _released(self) -> Iterator[tuple[Process, Line]]:
        """Yield what was held and is known now, in the order of time."""
        position = 0
        while position < len(self._held):
            line = self._held[position]
            if self._is_known(line):
                self._found = False
                del self._held[position]
                yield from self._taken(line)
            else:
                self._found = self._adopt(line.process, lost=False)
                position += not self._found
            if self._found:
                position = 0  # what it did before comes first
        self._found = False


def _child_of(process: Process, began: Began | None) -> Process:
    """Return what a process starts by a call, its number apart."""
    place = process.place
    if began is None or _SHARES_PLACE not in began.rest:
        place = Place(place.directory, place.root)
    return Process(0, place, process.stage, process.program)


def _likeness(possible: list[Process]) -> Process:
    """Return what all that a process may be have in common."""
    places = {(each.place.directory, each.place.root) for each in possible}
    place = Place(*places.pop()) if len(places) == 1 else Place(None)
    return Process(0, place, max((each.stage for each in possible), default=Stage.INSIDE))


def _short(path: bytes | None) -> bytes | None:
    """Keep a directory that is entered over and over from growing; else `..` stays, as it may follow a link."""
    return path if path is None or len(path) <= NAME_BYTES else posixpath.normpath(path)
