"""What scripts need and name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason
from mlbloat.usage.ground import Ground
from mlbloat.usage.shell import ScriptReader, commands
from tests.support.trees import Link, tree_of

PROGRAMS = {f"/usr/bin/{name}": "#!x" for name in ("sh", "env", "python3", "tool", "other", "sudo")}


def uses(text: str, path: str = "/run.sh", **files: str) -> set[tuple[str, Level, Reason]]:
    tree = tree_of({**PROGRAMS, "/bin": Link("usr/bin"), "/lib/common.sh": "other\n", path: text, **files})
    return {
        (use.path, use.level, use.reason)
        for use in ScriptReader(Ground(tree, ImageConfig(document=b"{}"))).read(tree[path])
    }


def may_run(text: str) -> set[str]:
    return {path for path, _, reason in uses(f"#!/bin/sh\n{text}\n") if reason is Reason.MAY_RUN}


def test_the_interpreter_is_linked() -> None:
    assert uses("#!/usr/bin/python3 -u\nimport os\n", "/x") == {("/usr/bin/python3", Level.LINKED, Reason.INTERPRETER)}


@pytest.mark.parametrize("line", ["#!/usr/bin/env python3", "#! /usr/bin/env -S A=1 python3 -u"])
def test_env_starts_the_program_of_the_path(line: str) -> None:
    assert {path for path, level, _ in uses(f"{line}\n", "/x") if level is Level.LINKED} == {
        "/usr/bin/env",
        "/usr/bin/python3",
    }


def test_an_interpreter_with_a_long_path_is_found_behind_the_shell() -> None:
    found = uses("#!/bin/sh\n'''exec' \"/usr/bin/python3\" \"$0\" \"$@\"\n' '''\nimport os\n", "/x")
    assert ("/usr/bin/python3", Level.LINKED, Reason.INTERPRETER) in found


def test_bodies_of_other_languages_are_not_read_as_shell() -> None:
    assert uses("#!/usr/bin/python3\ntool\n", "/x") == {("/usr/bin/python3", Level.LINKED, Reason.INTERPRETER)}


def test_a_file_that_is_no_script_leads_nowhere() -> None:
    assert uses("tool\n", "/notes.txt") == set()


@pytest.mark.parametrize(
    "line",
    [
        "tool",
        "x=1 tool",
        "true && tool",
        "echo hi | tool",
        "if tool; then :; fi",
        'value="$(tool -x)"',
        "value=`tool`",
        "exec tool",
        "command -v tool",
        "sudo -u www tool",
        "sh -c 'tool --now'",
        "PROGRAM=tool",
        "/usr/bin/tool",
        "don't; cat <<E\nit's\nE\ntool",
        "sh -c '\n  tool\n'",
        "echo \\\n; tool",
    ],
)
def test_a_command_may_be_run(line: str) -> None:
    assert "/usr/bin/tool" in may_run(line)


@pytest.mark.parametrize(
    "line", ["# tool", "echo tool", "  # /usr/bin/tool", "echo x # tool", "missing", 'grep "tool" x']
)
def test_other_words_are_not(line: str) -> None:
    assert "/usr/bin/tool" not in may_run(line)


@pytest.mark.parametrize("word", ["/lib/common.sh", "common.sh", '"$(dirname "$0")/common.sh"', "$HERE/common.sh"])
def test_sourced_files_are_named_and_read(word: str) -> None:
    found = uses(f"#!/bin/sh\n. {word}\n", "/lib/run")
    assert ("/lib/common.sh", Level.SAFE, Reason.NAMED) in found
    assert ("/usr/bin/other", Level.SAFE, Reason.MAY_RUN) in found


def test_paths_in_a_script_count_when_they_exist() -> None:
    assert ("/srv/a.conf", Level.SAFE, Reason.NAMED) in uses(
        "#!/bin/sh\ncat /srv/a.conf /srv/b\n", **{"/srv/a.conf": ""}
    )


@settings(max_examples=150, deadline=None)
@given(st.text("ab $'\"`()|;&\\\n#.=<>{}", max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert all(isinstance(word, str) for word, _ in commands(text))
