"""What the layers of pyproject.toml (import-linter) cannot say about the code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlbloat

SOURCE = Path(mlbloat.__file__).parent
MODULES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


def _inside(*rooms: str) -> dict[str, ast.Module]:
    return {name: tree for name, tree in MODULES.items() if name.startswith(rooms)}


def _outside(*rooms: str) -> dict[str, ast.Module]:
    return {name: tree for name, tree in MODULES.items() if not name.startswith(rooms)}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_the_source_is_found() -> None:
    assert {"pipeline.py", "cli/__init__.py", "runtime/process.py"} <= MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for_in_less_than_400_lines(name: str) -> None:
    assert ast.get_docstring(MODULES[name])
    assert len((SOURCE / name).read_text().splitlines()) < 400


def test_only_the_runtime_starts_processes() -> None:
    for name, tree in _outside("runtime/").items():
        assert not {"subprocess", "multiprocessing"} & set(_imports(tree)), name
        assert not {"os.system", "os.fork", "os.execve", "os.posix_spawn"} & set(_calls(tree)), name


def test_only_the_command_line_prints_or_exits() -> None:
    # The launcher is a program of its own, between us and a container.
    for name, tree in _outside("cli/", "runtime/launcher.py").items():
        assert not {"print", "sys.exit", "sys.stdout.write", "sys.stderr.write"} & set(_calls(tree)), name


def test_only_the_command_line_catches_everything() -> None:
    for name, tree in _outside("cli/__init__.py").items():
        caught = {
            ast.unparse(node.type) for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type
        }
        bare = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None]
        assert "Exception" not in caught and not bare, name


def test_nobody_has_a_logger_or_a_setting() -> None:
    for name, tree in MODULES.items():
        assert "logging" not in set(_imports(tree)), name
        assert not any(isinstance(node, ast.Global) for node in ast.walk(tree)), name


def test_values_of_the_model_are_frozen_and_named() -> None:
    for name, tree in _inside("model/").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for made in node.decorator_list:
                    text = ast.unparse(made)
                    assert "dataclass" not in text or ("frozen=True" in text and "slots=True" in text), (
                        name,
                        node.name,
                    )
