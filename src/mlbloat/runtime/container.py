"""What a run starts in an image: docker's rules for entrypoint, environment and user.

https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact
Users and groups: https://github.com/moby/sys/blob/main/user/user.go (GetExecUser)
"""

import posixpath
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlbloat.errors import RunError
from mlbloat.model.container import Container
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.workload import Run, Service
from mlbloat.runtime import defaults
from mlbloat.runtime.engine import Engine

_HOSTNAME = "mlbloat"
_DATABASE_LIMIT_BYTES = 4 << 20
_CAPABILITIES = "security.capability"
_LARGEST_ID = 2**32 - 2


def container_of(config: ImageConfig, run: Run, tree: FileTree, engine: Engine) -> Container:
    """Resolve a run against an image; RunError when it cannot start, EngineError when the engine cannot give it."""
    argv = command_line(config, run)
    user = _user(config.user, tree)
    environment = _environment(config, run, user.home)
    directory = posixpath.normpath(posixpath.join("/", config.working_directory))
    _check_program(argv[0], environment.get("PATH", defaults.PATH), directory, user, tree)
    return Container(
        argv=argv,
        environment=tuple(environment.items()),
        working_directory=directory,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        hostname=_HOSTNAME,
        timeout_seconds=run.timeout_seconds,
        service=_with_signal(run.service, config.stop_signal),
        conditions=run.conditions,
        devices=engine.devices(run.conditions.gpus),
        image=str(Digest.of(config.document)),
        new_privileges=user.uid != 0 and _has_privileged_programs(tree),
    )


def _with_signal(service: Service | None, image_signal: str) -> Service | None:
    """A workload's signal wins over the image's, as with docker stop."""
    if service is None or service.stop.signal:
        return service
    names = {each.name.removeprefix("SIG") for each in signal.Signals} | {str(int(each)) for each in signal.Signals}
    asked = image_signal.upper().removeprefix("SIG")
    name = asked if asked in names else "TERM"
    if name.isdigit():
        name = signal.Signals(int(name)).name.removeprefix("SIG")
    return replace(service, stop=replace(service.stop, signal=name))


def _has_privileged_programs(tree: FileTree) -> bool:
    """Tell whether an image means some program to have more rights than its user: set-id bits or file capabilities."""
    set_ids = stat.S_ISUID | stat.S_ISGID
    files = (entry for entry in tree.values() if entry.kind is Kind.FILE and entry.mode & 0o111)
    return any(entry.mode & set_ids or _CAPABILITIES in dict(entry.xattrs) for entry in files)


def command_line(config: ImageConfig, run: Run) -> tuple[str, ...]:
    """Return the words that a run starts; RunError when neither it nor the image has any."""
    argv = run.run
    if argv is None:
        argv = config.entrypoint + (config.command if run.args is None else run.args)
    if not argv or not argv[0]:
        raise RunError(f"cannot run {run.name!r}: the image has no command; give one after --")
    if any("\0" in word for word in argv):
        raise RunError(f"cannot run {run.name!r}: a word of its command line holds a NUL character")
    return argv


def _environment(config: ImageConfig, run: Run, home: str) -> dict[str, str]:
    environment = {"PATH": defaults.PATH, "HOSTNAME": _HOSTNAME}
    environment |= dict(config.environment)
    environment |= dict(run.environment)
    environment.setdefault("HOME", home)
    return environment


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def _user(text: str, tree: FileTree) -> _User:
    """Resolve `user[:group]`, names or numbers, through the image's own passwd and group files."""
    wanted, _, group = text.partition(":")
    account = next((row for row in _rows(tree, "/etc/passwd", 7) if _is(row, wanted or "0")), None)
    if account is None:
        uid, gid, home, name = _number(wanted or "0", "user", "/etc/passwd", text), 0, "/", ""
    else:
        uid, gid, home, name = int(account[2]), int(account[3]), account[5] or "/", account[0]
    if group:
        row = next((row for row in _rows(tree, "/etc/group", 4) if _is(row, group)), None)
        gid = int(row[2]) if row else _number(group, "group", "/etc/group", text)
        return _User(uid=uid, gid=gid, groups=(), home=home)
    groups = (int(row[2]) for row in _rows(tree, "/etc/group", 4) if name and name in row[3].split(","))
    return _User(uid=uid, gid=gid, groups=tuple(sorted(set(groups))), home=home)


def _is(row: list[str], wanted: str) -> bool:
    """A number always means the id, never a name made of digits."""
    return row[2] == wanted if wanted.isdigit() else row[0] == wanted


def _number(wanted: str, what: str, database: str, text: str) -> int:
    if _is_id(wanted):
        return int(wanted)
    raise RunError(
        f"cannot run as {text!r}: the image's {database} has no {what} {wanted!r}; correct USER in the image"
    )


def _rows(tree: FileTree, path: str, columns: int) -> Iterator[list[str]]:
    """Yield the rows of a colon-separated database whose ids are numbers; nothing when there is no such file."""
    entry = tree.find(path).entry
    if entry is None or entry.kind is not Kind.FILE:
        return
    for line in tree.read(entry, _DATABASE_LIMIT_BYTES).decode(errors="surrogateescape").splitlines():
        row = line.strip().split(":")
        ids = row[2 : min(4, columns)] if columns == 7 else row[2:3]
        if len(row) >= columns and not line.startswith("#") and all(_is_id(text) for text in ids):
            yield row


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _LARGEST_ID


def _check_program(name: str, path: str, directory: str, user: _User, tree: FileTree) -> None:
    """Raise RunError unless the image has the command; the launcher looks it up again, in the running container."""
    candidates = [name] if "/" in name else [posixpath.join(part or ".", name) for part in path.split(":")]
    unfit = ""
    for candidate in candidates:
        entry = tree.find(posixpath.join(directory, candidate)).entry
        if entry is None:
            continue
        if entry.kind is not Kind.FILE:
            unfit = unfit or f"{candidate} is a {entry.kind}, not a program"
        elif not _may_execute(entry, user):
            unfit = unfit or f"{candidate} is not executable for uid {user.uid} (mode {entry.mode:04o})"
        else:
            return
    where = "" if "/" in name else f" (PATH {path})"
    raise RunError(f"cannot run {name!r}: {unfit or f'there is no such command in the image{where}'}")


def _may_execute(entry: Entry, user: _User) -> bool:
    if user.uid == 0:
        return bool(entry.mode & 0o111)
    if user.uid == entry.uid:
        return bool(entry.mode & 0o100)
    if entry.gid in (user.gid, *user.groups):
        return bool(entry.mode & 0o010)
    return bool(entry.mode & 0o001)
