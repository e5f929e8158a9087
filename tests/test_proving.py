"""What a failed run lacks, by what it does on either image."""

from collections.abc import Callable

from mlbloat import proving
from mlbloat.errors import RunError
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, RunRecord
from mlbloat.model.workload import Run
from mlbloat.verify import Missed
from tests.support.trees import Link, tree_of

_CONFIG = ImageConfig(document=b"{}")
_FILES: dict[str, bytes | str | None] = {
    "/bin/main": "#!/bin/sh\n",
    "/bin/sh": "sh",
    "/lib": Link("usr/lib"),
    "/usr/lib/asked": "1",
    "/usr/lib/later": "2",
    "/site-packages/one.py": "3",
    "/site-packages/two.py": "4",
    "/plugins/a": "5",
    "/plugins/b": "6",
    "/unused": "7",
}
_SLIM = tree_of({path: value for path, value in _FILES.items() if path in ("/bin/main", "/bin/sh", "/lib")})


def _did(*accesses: tuple[str, Action]) -> Callable[[], RunRecord]:
    return lambda: RunRecord(
        name="r",
        engine="e",
        tracer="t",
        seconds=1,
        exit=0,
        stdout=b"",
        stderr=b"",
        accesses=tuple(Access(path, action) for path, action in accesses),
    )


def _cannot() -> RunRecord:
    raise RunError("cannot run it")


def _missed(on_original: Callable[[], RunRecord], on_slim: Callable[[], RunRecord]) -> Missed:
    return proving.missed(Run(name="r", run=("/bin/main",)), _CONFIG, tree_of(_FILES), _SLIM, on_original, on_slim)


def test_what_was_asked_for_comes_first_and_then_what_only_the_original_came_to() -> None:
    asked, later, there = (("/lib/asked", Action.OPENED), ("/lib/later", Action.LOOKED_UP), ("/bin/sh", Action.OPENED))
    missed = _missed(_did(there, asked, later), _did(there, asked))
    assert missed == Missed(asked=("/usr/lib/asked",), used=("/usr/lib/asked", "/usr/lib/later"))
    assert missed.paths == ("/usr/lib/asked", "/usr/lib/later")


def test_a_program_that_lists_a_directory_asks_for_no_name_and_lacks_them_all_the_same() -> None:
    listed = _did(("/plugins", Action.LISTED))
    assert _missed(listed, listed) == Missed(used=("/plugins/a", "/plugins/b"))


def test_searched_directories_are_suspected_only_when_nothing_else_is() -> None:
    listed = ("/site-packages", Action.LISTED)
    assert _missed(_did(listed), _did(listed)) == Missed(listed=("/site-packages/one.py", "/site-packages/two.py"))
    one = _did(listed, ("/site-packages/one.py", Action.OPENED))
    assert _missed(one, _did(listed)) == Missed(used=("/site-packages/one.py",))


def test_a_run_that_cannot_be_traced_on_the_original_lacks_what_it_asked_for() -> None:
    assert _missed(_cannot, _did(("/lib/asked", Action.OPENED))) == Missed(asked=("/usr/lib/asked",))


def test_a_run_that_needs_nothing_that_was_removed_lacks_nothing() -> None:
    same = _did(("/bin/main", Action.EXECUTED), ("/nowhere", Action.OPENED), ("/plugins", Action.LOOKED_UP))
    assert _missed(same, same) == Missed()


def test_a_run_that_does_not_start_lacks_what_its_command_needs() -> None:
    files = {path: value for path, value in _FILES.items() if path != "/bin/sh"}
    run, slim = Run(name="r", run=("/bin/main",)), tree_of(files)
    missed = proving.missed(run, _CONFIG, tree_of(_FILES), slim, _cannot, _cannot)
    assert missed == Missed(asked=("/bin/sh",))


def test_byte_code_whose_source_is_there_is_not_what_a_run_lacks() -> None:
    files: dict[str, bytes | str | None] = {
        "/lib/one.py": "1",
        "/lib/__pycache__/one.cpython-311.pyc": "1",
        "/lib/__pycache__/gone.cpython-311.opt-1.pyc": "2",
        "/lib/old.pyc": "3",
        "/bin/main": "main",
    }
    did = _did(*((path, Action.OPENED) for path in files))
    slim = tree_of({path: files[path] for path in ("/lib/one.py", "/bin/main")})
    run = Run(name="r", run=("/bin/main",))
    missed = proving.missed(run, _CONFIG, tree_of(files), slim, did, did)
    assert sorted(missed.paths) == ["/lib/__pycache__/gone.cpython-311.opt-1.pyc", "/lib/old.pyc"]
