"""Edges from scripts: the interpreter that `#!` names, and what a shell script runs, sources and names.

execve(2) for the first line; https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html for the rest,
read lightly: words in command position count when a program of that name exists. Bodies in other languages are
the business of other readers.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence

import msgspec

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage import learning
from mlbloat.usage.candidates import paths_in
from mlbloat.usage.elf.head import HEAD, Head
from mlbloat.usage.ground import Ground

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"})
_SHELL_SUFFIXES = (".sh", ".bash", ".ash", ".ksh", ".zsh")
_MAX_SCRIPT = 1 << 20
_MAX_LINE = 1 << 14
_MAX_SOURCED = 32
_COMMENT = re.compile(rb"(?m)^[ \t]*#.*$")
_WORD = re.compile(r"""(?:[^\s'"\\;|&()<>`]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+|[;|&()`]+|[<>]+|['"\\]""", re.DOTALL)
_SUBSTITUTION = re.compile(r"\$\(|`")
_ASSIGNMENT = re.compile(r"(?:export\s+)?[A-Za-z_]\w*\+?=(.*)", re.DOTALL)
_KEYWORDS = frozenset(
    {"if", "then", "elif", "else", "while", "until", "do", "for", "in", "case", "esac", "fi", "done", "!", "{", "[["}
)
_WRAPPERS = frozenset(
    {"exec", "eval", "command", "env", "xargs", "find", "nohup", "nice", "ionice", "timeout", "time", "sudo", "su"}
    | {"gosu", "su-exec", "runuser", "setpriv", "tini", "dumb-init", "setsid", "chroot", "which", "type", "hash"}
    | {"builtin", "start-stop-daemon", "flock", "stdbuf", "strace", "export", "local", "readonly", "sh", "bash", "dash"}
)
"""Commands one of whose arguments is a command."""


class ScriptFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    paths: tuple[str, ...] = ()
    """Runs of characters with an absolute path in them."""
    commands: tuple[str, ...] = ()
    """Words that may be commands."""
    sourced: tuple[str, ...] = ()
    """Operands of `.` and `source`."""


def learn(raw: bytes) -> ScriptFacts:
    """Read a shell script; nothing of what cannot be one."""
    if b"\0" in raw:
        return ScriptFacts()
    # Names in other encodings are not found: facts are kept as valid text.
    words = dict.fromkeys(commands(raw.decode("utf-8", "replace")))
    return ScriptFacts(
        tuple(dict.fromkeys(path.decode("ascii") for path, _ in paths_in(_COMMENT.sub(b"", raw)))),
        tuple(word for word, sourced in words if not sourced),
        tuple(word for word, sourced in words if sourced),
    )


def _learn_file(tree: FileTree, entry: Entry) -> ScriptFacts:
    return learn(tree.read(entry, _MAX_SCRIPT))


SCRIPT = learning.Kind("script/1", ScriptFacts, _learn_file)


class ScriptReader:
    """Reads executable files that begin with `#!`, and shell scripts by their suffix."""

    def __init__(self, ground: Ground) -> None:
        self._tree = ground.tree
        self._learning = ground.learning
        self._names = ground.names

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Scripts are few and short: nothing is worth learning ahead."""

    def read(self, entry: Entry) -> Iterator[Use]:
        by_suffix = entry.path.endswith(_SHELL_SUFFIXES)
        if entry.kind is not Kind.FILE or not (entry.mode & 0o111 or by_suffix):
            return
        interpreters = tuple(self._interpreters(self._learning.of(HEAD, entry)))
        for interpreter in interpreters:
            yield Use(interpreter, Level.LINKED, Reason.INTERPRETER, entry.path)
        if _is_shell(interpreters, by_suffix):
            yield from self._shell(entry)

    def _interpreters(self, head: Head) -> Iterator[str]:
        """Yield the program of the first line, and the one that it starts in turn."""
        words = head.words
        if words:
            yield words[0]
        if words and posixpath.basename(words[0]) in {"env", "busybox"}:
            program = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
            found = self._names.program(program)
            if found is not None:
                yield found
        if head.relay:
            yield head.relay

    def _shell(self, entry: Entry) -> Iterator[Use]:
        """Read a script and the files that it sources, which need no first line of their own."""
        waiting, seen = [entry], {entry.path}
        while waiting and len(seen) <= _MAX_SOURCED:
            script = waiting.pop()
            facts = self._learning.of(SCRIPT, script)
            yield from self._names.path_uses(facts.paths, script.path)
            for word in facts.sourced:
                found = self._sourced(word, script.path)
                if found is not None and found.path not in seen:
                    seen.add(found.path)
                    waiting.append(found)
                    yield Use(found.path, Level.SAFE, Reason.NAMED, script.path)
            for word in facts.commands:
                program = self._names.program(word)
                if program is not None and program != script.path:
                    yield Use(program, Level.SAFE, Reason.MAY_RUN, script.path)

    def _sourced(self, word: str, script: str) -> Entry | None:
        # `. "$HERE/lib.sh"`: where a variable leads is not known, beside the script is the custom.
        beside = posixpath.join(posixpath.dirname(script), posixpath.basename(word))
        for candidate in (word, beside, self._names.program(word) or ""):
            entry = self._tree.find(candidate).entry if candidate.startswith("/") else None
            if entry is not None and entry.kind is Kind.FILE:
                return entry
        return None


def _is_shell(interpreters: tuple[str, ...], by_suffix: bool) -> bool:
    names = {posixpath.basename(interpreter) for interpreter in interpreters}
    return bool(names & SHELLS) if names else by_suffix


def commands(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a shell text that may be commands; True marks the operand of `.` or `source`.

    Lines are read one by one: a quote that never closes, as in a here-document, then hides nothing that follows, and
    the lines of a script in quotes count as commands, which they most often are.
    """
    for line in text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith("#"):
            yield from _line(line[:_MAX_LINE])


def _line(line: str) -> Iterator[tuple[str, bool]]:
    start, wrapped, sourcing = True, False, False
    for match in _WORD.finditer(line):
        raw = match[0]
        if raw[0] in ";|&()`":
            start, wrapped, sourcing = True, False, False
            continue
        if raw.startswith("#"):
            return
        word = raw.strip("'\"")
        if _SUBSTITUTION.search(raw) or (wrapped and re.search(r"\s", word)):
            yield from _inside(raw, word)
        if sourcing:
            yield word, True
            sourcing = False
        elif assignment := _ASSIGNMENT.fullmatch(raw):
            yield assignment[1].strip("'\""), False
        elif start and word in {".", "source"}:
            start, sourcing = False, True
        elif (start or wrapped) and word not in _KEYWORDS:
            yield word, False
            wrapped = wrapped or posixpath.basename(word) in _WRAPPERS
            start = False


def _inside(raw: str, word: str) -> Iterator[tuple[str, bool]]:
    """Read `"$(command)"` and the script of `sh -c '…'`; each time less text is left, so this ends."""
    inner = _SUBSTITUTION.split(raw, maxsplit=1)[1].strip("'\"") if _SUBSTITUTION.search(raw) else word
    if len(inner) < len(raw):
        yield from _line(inner)
