"""Imports and strings read without a parser."""

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.python.source import Import, When, decode, scan


def imports(text: str) -> list[tuple[str, tuple[str, ...], int, When]]:
    return [(each.module, each.names, each.dots, each.when) for each in scan(textwrap.dedent(text)).imports]


def test_every_form_of_import_is_read() -> None:
    text = """\
        import a, b.c as d
        from e.f import g as h, i
        from . import j
        from ..k.l import (  # why
            m,
            n as o,
        )
        from p \\
            import q
        x = 1; import r
        from s import *
        from.t import(u)
    """
    assert [row[:3] for row in imports(text)] == [
        ("a", (), 0),
        ("b.c", (), 0),
        ("e.f", ("g", "i"), 0),
        ("", ("j",), 1),
        ("k.l", ("m", "n"), 2),
        ("p", ("q",), 0),
        ("r", (), 0),
        ("s", ("*",), 0),
        ("t", ("u",), 1),
    ]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("try:\n    import x\nexcept ImportError:\n    pass\n", When.BLOCK),
        ("if a:\n  if b:\n    import x\n", When.BLOCK),
        ("class A:\n    import x\n", When.LOAD),
        ("def f():\n    pass\nif a:\n    import x\n", When.BLOCK),
        ("if a: import x\n", When.BLOCK),
        ("x = 1; import x\n", When.LOAD),
        ("class A:\n    try:\n        import x\n    finally:\n        pass\n", When.BLOCK),
        ("def f(): import x\n", When.CALL),
        ("try:\n    def f():\n        with a:\n            import x\nfinally:\n    pass\n", When.CALL),
        ("def f(\n    a,\n):\n    import x\n", When.CALL),
        ("class A:\n    async def f(self):\n        if a:\n            import x\n", When.CALL),
        ("def f():\n\tif a:\n\t\timport x\n", When.CALL),
        ("def f():\n    '''\ntext\n    '''\n    import x\n", When.CALL),
        ("if __name__ == '__main__':\n    import x\n", When.SCRIPT),
        ("if __name__ == '__main__':\n    if a:\n        import x\n", When.SCRIPT),
        ("def _test():\n    import x\n", When.SCRIPT),
        ("def _test(data):\n    import x\n", When.CALL),
        ("if TYPE_CHECKING:\n    import x\n", When.NEVER),
        ("if typing.TYPE_CHECKING:\n    import x\nelse:\n    y = 1\n", When.NEVER),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import x\n", When.BLOCK),
        ("if not TYPE_CHECKING:\n    import x\n", When.BLOCK),
    ],
)
def test_the_blocks_around_an_import_say_when_it_runs(text: str, when: When) -> None:
    assert scan(text).imports == (Import("x", when=when),)


def test_imports_in_strings_and_comments_are_none() -> None:
    text = '"""\nimport a\n"""\n# import b\nx = """\nimport c\n"""\ny = "\\\nimport d"\nimport e\n'
    assert scan(text).imports == (Import("e"),)


def test_other_uses_of_the_words_are_no_imports() -> None:
    assert not scan("raise A from b\nyield from c\nimportant = 1\nx.import_module(y)\nfrom_ = import_\n").imports


def test_strings_are_read_without_documentation() -> None:
    source = scan("""'''doc'''\nx = ["a.b", r'c', f"d{e}"]\ny = '''text'''\n# "no"\n""")
    assert [text for text in source.strings if text] == ["a.b", "c", "d{e}", "text"]
    assert 'x = ["1", r"2", f"3"]' in source.code


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfimport a\r\nimport b", b"\xff\xfe\nimport a\rimport b", b"\0\nimport a\nimport b"]
)
def test_marks_line_ends_and_broken_bytes_are_survived(raw: bytes) -> None:
    assert [each.module for each in scan(decode(raw)).imports][-2:] == ["a", "b"]


def test_a_broken_end_loses_no_earlier_import() -> None:
    assert [each.module for each in scan("import a\nx = '''never closed\nimport b").imports] == ["a"]


def test_long_generated_lines_are_read_in_linear_time() -> None:
    assert scan("import a\n" + "import b:" * 200_000).imports[0] == Import("a")
    assert scan("def f():\n" + "  import b\n  c\n" * 20_000).imports[-1] == Import("b", when=When.CALL)
    assert not scan("from " + " ." * 200_000 + " import").imports


NAME = st.sampled_from(["a", "b1", "_c", "importx", "x_import", "from_", "défaut"])
DOTTED = st.lists(NAME, min_size=1, max_size=3).map(".".join)
ALIAS = st.builds("{}{}".format, NAME, st.sampled_from(["", " as z"]))


@st.composite
def statements(draw: st.DrawFn, depth: int = 0) -> list[str]:
    lines: list[str] = []
    for kind in draw(st.lists(st.integers(0, 9), min_size=1, max_size=4)):
        names = draw(st.lists(ALIAS, min_size=1, max_size=3))
        dots, module = draw(st.sampled_from(["", ".", ".."])), draw(DOTTED)
        lines += {
            0: [f"import {module}, {draw(DOTTED)} as y"],
            1: [f"from {dots}{module} import {', '.join(names)}"],
            2: [f"from {dots}{module} import (", *(f"      {name},  # import c" for name in names), ")"],
            3: [f"x = 'import {module}'; import {module}"],
            4: ["x = '''", f"import {module}", "'''", f'y = """from a import b""" # "{module}'],
            5: [f"from {dots or '.'} \\", f"  import {names[0]}"],
            6: [f"x = [{module!r}, (1,", "  2)]"],
        }.get(kind, ["pass"])
        if kind > 6 and depth < 3:
            header = draw(
                st.sampled_from(
                    [
                        ["if a:"],
                        ["def f(x='import a'):"],
                        ["class A:"],
                        ["async def g(", "    x,", "):"],
                        ["while b:  # def"],
                    ]
                )
            )
            lines += [*header, *("    " + line for line in draw(statements(depth=depth + 1)))]
    return lines


def by_parser(text: str) -> list[tuple[str, tuple[str, ...], int, bool]]:
    found: list[tuple[int, int, tuple[str, tuple[str, ...], int, bool]]] = []

    def walk(node: ast.AST, called: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for number, name in enumerate(child.names):
                    found.append((child.lineno, child.col_offset + number, (name.name, (), 0, called)))
            elif isinstance(child, ast.ImportFrom):
                taken = tuple(name.name for name in child.names)
                found.append((child.lineno, child.col_offset, (child.module or "", taken, child.level, called)))
            walk(child, called or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    walk(ast.parse(text), False)
    return [row for _, _, row in sorted(found, key=lambda each: each[:2])]


@settings(max_examples=150, deadline=None)
@given(statements())
def test_imports_are_those_that_a_parser_finds(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = [(each.module, each.names, each.dots, each.when is When.CALL) for each in scan(text).imports]
    assert found == by_parser(text)


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("import from def .,;:()'\"\\\n\t #{}\0\x0cé%")))
def test_any_text_is_read_without_an_error(text: str) -> None:
    source = scan(text)
    assert source.code.count('"') % 2 == 0 or not source.strings


@settings(max_examples=50, deadline=None)
@given(st.binary())
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    assert len(scan(decode(raw)).code) >= 0
