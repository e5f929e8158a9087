"""What path patterns match."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.globs import compile_rule, expand
from tests.support.trees import Link, tree_of

TREE = tree_of(
    {
        "/app/a.py": "",
        "/app/sub/b.py": "",
        "/app/sub/c.txt": "",
        "/usr/lib/x.so": "",
        "/lib": Link("usr/lib"),
        "/etc/d/1.conf": "",
        "/etc/d/2.conf": Link("1.conf"),
        "/etc/d/3.off": "",
    }
)


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        ("/app/a.py", {"/app/a.py"}),
        ("/app", {"/app/a.py", "/app/sub/b.py", "/app/sub/c.txt"}),
        ("/app/", {"/app/a.py", "/app/sub/b.py", "/app/sub/c.txt"}),
        ("/app/**", {"/app/a.py", "/app/sub/b.py", "/app/sub/c.txt"}),
        ("/app/*.py", {"/app/a.py"}),
        ("/app/**/*.py", {"/app/a.py", "/app/sub/b.py"}),
        ("/**/sub", {"/app/sub/b.py", "/app/sub/c.txt"}),
        ("*.py", {"/app/a.py", "/app/sub/b.py"}),
        ("/app/?.py", {"/app/a.py"}),
        ("/app/sub/[bc].*", {"/app/sub/b.py", "/app/sub/c.txt"}),
        ("/app/sub/[!b].*", {"/app/sub/c.txt"}),
        ("/lib/*.so", {"/usr/lib/x.so"}),
        ("/ap", set()),
        ("/app/A.py", set()),
        ("/app/a+py", set()),
    ],
)
def test_a_rule_matches(rule: str, paths: set[str]) -> None:
    pattern = compile_rule(TREE, rule)
    assert {entry.path for entry in TREE.files() if pattern.fullmatch(entry.path)} == paths


def test_the_root_matches_everything() -> None:
    pattern = compile_rule(TREE, "/")
    assert all(pattern.fullmatch(entry.path) for entry in TREE.files())


@settings(max_examples=100, deadline=None)
@given(st.text("/*?[]!-ab\\^&|~.", max_size=12))
def test_any_text_is_a_rule(rule: str) -> None:
    compile_rule(TREE, rule).fullmatch("/app/a.py")


def test_files_and_links_of_a_pattern_are_named_in_order() -> None:
    assert list(expand(TREE, "/etc/d/*.conf")) == ["/etc/d/1.conf", "/etc/d/2.conf"]


def test_links_to_directories_are_looked_through() -> None:
    assert list(expand(TREE, "/lib/*.so")) == ["/usr/lib/x.so"]


def test_parents_are_resolved() -> None:
    assert list(expand(TREE, "/usr/lib/../lib/x.so")) == ["/usr/lib/x.so"]


def test_what_is_missing_is_nothing() -> None:
    assert list(expand(TREE, "/etc/none/*")) == []
