"""Programs: what they print, why they fail, and that none stays behind."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbloat.runtime.program import ProgramError, ask, fed, find, printed


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def test_what_a_program_prints_is_returned() -> None:
    assert ask(python("print('x' * 3_000_000, end='')")) == b"x" * 3_000_000


def test_a_program_that_fails_says_why_in_one_line() -> None:
    text = "import sys; print('some'); print('first\\nError: no \\x1b[2Jsuch image', file=sys.stderr); sys.exit(125)"
    with pytest.raises(ProgramError) as error:
        ask(python(text))
    assert str(error.value).startswith("no ")
    assert "\x1b" not in str(error.value)
    with pytest.raises(ProgramError, match="it ended with status 3"):
        ask(python("raise SystemExit(3)"))


def test_a_program_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="no-such-program is not installed"):
        ask(("no-such-program",))
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(ProgramError, match="broken does not start: "):
        ask((str(broken),))
    assert find("no-such-program") is None


def test_a_program_is_fed() -> None:
    text = "import sys; print(len(sys.stdin.buffer.read()))"
    assert fed(python(text), [b"x" * 1_000_000] * 3) == b"3000000\n"


def test_a_program_that_stops_reading_has_said_why() -> None:
    with pytest.raises(ProgramError, match="full"):
        fed(python("import sys; print('full', file=sys.stderr); sys.exit(1)"), [b"x" * 1_000_000] * 3)


def test_a_program_that_nobody_reads_to_the_end_is_ended(tmp_path: Path) -> None:
    text = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); print(1, flush=True)"
    chunks = printed(python(f"{text}; [print('x' * 1000, flush=True) for _ in iter(int, 1)]"))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_an_error_while_feeding_ends_the_program(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def chunks() -> Iterator[bytes]:
        while not file.exists():
            time.sleep(0.01)
        yield b"x"
        raise KeyboardInterrupt

    text = f"import os, time; open({str(file)!r} + '~', 'w').write(str(os.getpid())); os.rename({str(file)!r} + '~', "
    with pytest.raises(KeyboardInterrupt):
        fed(python(f"{text}{str(file)!r}); time.sleep(60)"), chunks())
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_temporary_files_of_a_program_that_is_ended_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    text = "import os, sys; open(os.environ['TMPDIR'] + '/whole', 'wb').write(sys.stdin.buffer.read(1)); print(1)"
    wait = "sys.stdout.close(); sys.stdin.buffer.read()"
    seen: list[Path] = []

    def chunks() -> Iterator[bytes]:
        yield b"x"
        deadline = time.monotonic() + 60
        while not seen and time.monotonic() < deadline:
            seen.extend(tmp_path.glob("*/whole"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fed(python(f"{text}; {wait}"), chunks())
    assert seen
    assert list(tmp_path.iterdir()) == []
