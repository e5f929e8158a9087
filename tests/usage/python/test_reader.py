"""What Python files lead to, one mechanism per test, on made-up packages."""

import io
import zipfile
import zlib

import pytest

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level
from tests.support.elf import elf_file
from tests.support.trees import Link
from tests.usage.python.made import LIB, SITE, Files, from_app, kept, packages

LINKED, SAFE = Level.LINKED, Level.SAFE
PACKAGE: dict[str, bytes | str] = {
    "p/__init__.py": "",
    "p/a.py": "",
    "p/b.py": "",
    "p/q/__init__.py": "",
    "p/q/c.py": "",
}


def zipped(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content or "")
    return out.getvalue()


def test_top_level_imports_and_the_packages_around_them_are_linked() -> None:
    assert from_app("import p.q.c\n", PACKAGE) == {
        "p/__init__.py": LINKED,
        "p/q/__init__.py": LINKED,
        "p/q/c.py": LINKED,
    }


def test_imports_in_functions_are_safe() -> None:
    assert from_app("def f():\n    import p.a\n", PACKAGE) == {"p/__init__.py": SAFE, "p/a.py": SAFE}


def test_names_taken_from_a_package_may_be_its_modules() -> None:
    assert from_app("from p import a, other\n", PACKAGE) == {"p/__init__.py": LINKED, "p/a.py": LINKED}


def test_relative_imports_count_from_their_own_package() -> None:
    files = {**PACKAGE, "p/q/c.py": "from . import d\nfrom ..a import x\n", "p/q/d.py": ""}
    assert set(from_app("import p.q.c\n", files)) == {*PACKAGE, "p/q/d.py"} - {"p/b.py"}


def test_imports_for_type_checkers_are_not_followed() -> None:
    assert from_app("if TYPE_CHECKING:\n    import p\n", PACKAGE) == {}


def test_what_a_lazy_package_tells_type_checkers_is_safe() -> None:
    text = "if TYPE_CHECKING:\n    from . import a\nelse:\n    sys.modules[__name__] = LazyModule(__name__)\n"
    assert from_app("import p\n", {"p/__init__.py": text, "p/a.py": ""})["p/a.py"] is SAFE


def test_what_a_lazy_module_tells_type_checkers_of_other_packages_is_nothing() -> None:
    text = "def __getattr__(name): ...\nif TYPE_CHECKING:\n    import q\n    from p import a\n"
    assert set(from_app("import p\n", {"p/__init__.py": text, "p/a.py": "", "q.py": ""})) == {"p/__init__.py", "p/a.py"}


def test_strings_of_a_package_that_imports_nothing_by_name_are_no_modules() -> None:
    files = {"p/a.py": ""}
    assert "p/a.py" in from_app("import p\n", {"p/__init__.py": "__all__ = ['a']\n", **files})
    assert "p/a.py" not in from_app("import p\n", {"p/__init__.py": "kinds = ['a']\n", **files})


@pytest.mark.parametrize(
    "text",
    [
        "from helper import load_all\nload_all(__name__, ['a', 'b', 'c', 'd', 'e'])",
        "MODELS = {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5}\nregister(__name__, MODELS)",
        "import runpy\nfor n in ('a', 'b', 'c', 'd', 'e'):\n    runpy.run_module(__name__ + '.' + n)",
        "import importlib.util as u\nfor n in ('a', 'b', 'c', 'd', 'e'):\n"
        "    s = u.spec_from_file_location(n, n + '.py')\n    s.loader.exec_module(u.module_from_spec(s))",
        "for n in ('a', 'b', 'c', 'd', 'e'):\n    find_spec('.' + n, __name__)",
        "import_all(__name__, ['a', 'b', 'c', 'd', 'e'])",
    ],
)
def test_names_count_where_a_package_says_for_whom_to_import(text: str) -> None:
    files = {f"p/{name}.py": "" for name in "abcde"}
    assert set(from_app("import p\n", {"p/__init__.py": text + "\n", **files, "p/never.py": ""})) == {
        "p/__init__.py",
        *files,
    }


def test_conftest_is_for_pytest() -> None:
    files = {"p/__init__.py": "__all__ = ['a']\nLEFT_OUT = {'conftest'}\n", "p/a.py": "", "p/conftest.py": ""}
    assert "p/conftest.py" not in from_app("import p\n", files)


def test_help_at_a_prompt_is_not_what_an_input_asks_for() -> None:
    library: Files = {
        f"{LIB}/_sitebuiltins.py": "def help():\n    import pydoc\n",
        f"{LIB}/pydoc.py": "def topic():\n    import pydoc_data.topics\n",
        f"{LIB}/pydoc_data/__init__.py": "",
        f"{LIB}/pydoc_data/topics.py": "",
    }
    names = ("pydoc.py", "pydoc_data/topics.py")
    for text, expected in {"import _sitebuiltins\n": set(), "import pydoc\n": {"pydoc.py"}}.items():
        levels = kept({"/app/main.py": text, **library}, "/app/main.py")
        assert {name for name in names if f"{LIB}/{name}" in levels} == expected


def test_what_a_module_imports_only_as_a_script_is_followed_when_it_may_be_one() -> None:
    text = "if __name__ == '__main__':\n    import x\n"
    assert from_app("import p\n", {"p.py": text, "x.py": ""}) == {"p.py": LINKED}
    assert from_app(text, {"x.py": ""}) == {"x.py": SAFE}
    assert "x.py" in from_app("import p.__main__\n", {"p/__init__.py": "", "p/__main__.py": text, "x.py": ""})
    started = from_app("subprocess.run([sys.executable, '-m', 'p'])\n", {"p.py": text, "x.py": ""})
    assert started == {"p.py": SAFE, "x.py": SAFE}


def test_the_standard_library_does_not_test_itself() -> None:
    library: Files = {
        f"{LIB}/a.py": "def _cleanup():\n    from test import support\n",
        f"{LIB}/test/__init__.py": "",
        f"{LIB}/test/support.py": "from test import more\n",
        f"{LIB}/test/more.py": "",
    }
    tests = {path for path in library if "/test/" in path}
    assert tests.isdisjoint(kept({"/app/main.py": "import a\n", **library}, "/app/main.py"))
    assert tests <= set(kept({"/app/main.py": "from test import support\n", **library}, "/app/main.py"))


def test_tables_of_names_in_the_standard_library_count_beside_an_import_only() -> None:
    names = "NAMES = {'old': 'json.decoder'}\n"
    plain = kept({"/app/main.py": "import a\n", f"{LIB}/a.py": names}, "/app/main.py")
    assert f"{LIB}/json/decoder.py" not in plain
    loads = kept({"/app/main.py": "import a\n", f"{LIB}/a.py": names + "__import__(NAMES[x])\n"}, "/app/main.py")
    assert loads[f"{LIB}/json/decoder.py"] is SAFE


def test_an_import_of_distutils_is_answered_by_the_hook_of_setuptools() -> None:
    hook = "class Finder:\n    def find_spec(self):\n        return importlib.import_module('setuptools._distutils')\n"
    files: dict[str, bytes | str] = {
        "distutils-precedence.pth": "import os; __import__('_distutils_hack')\n",
        "_distutils_hack/__init__.py": hook + "sys.meta_path.insert(0, Finder())\n",
        "setuptools/__init__.py": "",
        "setuptools/_distutils/__init__.py": "",
        "setuptools/_distutils/util.py": "",
        "setuptools/_distutils/core.py": "",
        "p.py": "",
    }
    waiting = from_app("import p\n", files)
    assert set(waiting) == {"distutils-precedence.pth", "_distutils_hack/__init__.py", "p.py"}
    text = "from distutils.util import strtobool\n"
    answered = from_app(text, files)
    assert answered["setuptools/_distutils/util.py"] is LINKED
    assert "setuptools/_distutils/core.py" not in answered
    own: Files = {f"{LIB}/distutils/__init__.py": "", f"{LIB}/distutils/util.py": ""}
    levels = kept({"/app/main.py": text, **packages(files), **own}, "/app/main.py")
    assert levels[f"{LIB}/distutils/util.py"] is LINKED
    assert levels[f"{SITE}/setuptools/_distutils/util.py"] is SAFE


def test_a_chain_is_as_strong_as_its_weakest_link() -> None:
    files = {"a.py": "def f():\n    import b\n", "b.py": "import c\n", "c.py": "", "d.py": ""}
    assert from_app("import a\n", files) == {"a.py": LINKED, "b.py": SAFE, "c.py": SAFE}


def test_the_standard_library_is_found() -> None:
    assert kept({"/app/main.py": "import json\n"}, "/app/main.py")[f"{LIB}/json/decoder.py"] is LINKED


def test_namespace_packages_need_no_start_file() -> None:
    assert from_app("import n.m.x\n", {"n/m/x.py": "", "n/m/y.py": ""}) == {"n/m/x.py": LINKED}


def test_a_package_split_over_two_directories_is_found_in_both() -> None:
    files: Files = {"/app/main.py": "import n.a\nimport n.b\n", "/usr/lib/python3/dist-packages/n/b.py": ""}
    levels = kept({**files, **packages({"n/a.py": ""})}, "/app/main.py")
    assert {f"{SITE}/n/a.py", "/usr/lib/python3/dist-packages/n/b.py"} <= set(levels)


def test_modules_beside_the_script_and_above_it_are_found() -> None:
    files: Files = {
        "/app/src/main.py": "import helper, lib.x\n",
        "/app/src/helper.py": "",
        "/app/lib/x.py": "",
        "/other.py": "",
    }
    assert set(kept(files, "/app/src/main.py")) == set(files) - {"/other.py"}


def test_the_working_directory_and_pythonpath_are_searched() -> None:
    config = ImageConfig(document=b"{}", working_directory="/work", environment=(("PYTHONPATH", "/more"),))
    files: Files = {"/bin/tool.py": "import a, b\n", "/work/a.py": "", "/more/b.py": ""}
    assert set(kept(files, "/bin/tool.py", config=config)) == set(files)


def test_a_link_to_a_module_is_kept_with_what_it_points_to() -> None:
    files: Files = {
        "/app/main.py": "import a\n",
        f"{SITE}/a.py": Link("/etc/a.py"),
        "/etc/a.py": "import b\n",
        f"{SITE}/b.py": "",
    }
    assert set(kept(files, "/app/main.py")) == set(files)


def test_source_and_bytecode_keep_each_other() -> None:
    files: dict[str, bytes | str] = {
        "a.py": "",
        "__pycache__/a.cpython-311.pyc": b"x",
        "__pycache__/ab.cpython-311.pyc": b"x",
    }
    assert from_app("import a\n", files) == {"a.py": LINKED, "__pycache__/a.cpython-311.pyc": LINKED}
    levels = kept(packages(files), f"{SITE}/__pycache__/a.cpython-311.pyc")
    assert levels[f"{SITE}/a.py"] is LINKED


def test_bytecode_without_a_source_shows_its_names() -> None:
    files: dict[str, bytes | str] = {"a.pyc": b"\0\0\0\0z\x03p.a\0\0p.b\0", **PACKAGE}
    levels = from_app("import a\n", files)
    assert levels["a.pyc"] is LINKED
    assert levels["p/b.py"] is SAFE


def test_extension_modules_are_chosen_for_the_version() -> None:
    names = ["a.cpython-311-x86_64-linux-gnu.so", "a.cpython-312-x86_64-linux-gnu.so", "a.abi3.so", "a.so", "libz.so"]
    levels = from_app("import a\n", dict.fromkeys(names, ""))
    assert set(levels) == {names[0], names[2], names[3]}


def test_a_script_with_a_python_interpreter_is_read() -> None:
    files: Files = {
        "/usr/bin/tool": "#!/usr/bin/env -S python3 -s\nimport a\n",
        "/usr/bin/other": "#!/bin/sh\nimport b\n",
    }
    levels = kept({**files, **packages({"a.py": "", "b.py": ""})}, *files)
    assert f"{SITE}/a.py" in levels
    assert f"{SITE}/b.py" not in levels


def test_a_script_uses_the_interpreter_that_it_names() -> None:
    files: Files = {
        "/venv/pyvenv.cfg": "home = /usr/bin\n",
        "/venv/bin/python3": Link("/usr/bin/python3.11"),
        "/venv/bin/tool": "#!/venv/bin/python3\nimport a\n",
        "/venv/bin/long": "#!/bin/sh\n'''exec' /venv/bin/python3 \"$0\" \"$@\"\n' '''\nimport b\n",
        "/venv/lib/python3.11/site-packages/a.py": "",
        "/venv/lib/python3.11/site-packages/b.py": "",
        f"{SITE}/a.py": "",
    }
    levels = kept(files, "/venv/bin/tool", "/venv/bin/long")
    assert {path for path in levels if "packages" in path} == {
        "/venv/lib/python3.11/site-packages/a.py",
        "/venv/lib/python3.11/site-packages/b.py",
    }
    assert levels["/venv/pyvenv.cfg"] is LINKED


def test_an_interpreter_keeps_what_it_starts_with() -> None:
    files: Files = {f"{LIB}/site.py": "", f"{LIB}/traceback.py": "", f"{LIB}/turtle.py": ""}
    levels = kept(files, "/usr/bin/python3.11")
    assert levels[f"{LIB}/encodings/utf_8.py"] is levels[f"{LIB}/site.py"] is levels[f"{LIB}/os.py"] is LINKED
    assert levels[f"{LIB}/traceback.py"] is SAFE
    assert f"{LIB}/turtle.py" not in levels


def test_path_files_run_at_every_start() -> None:
    line = "/src\nimport os; __import__('hook')\n"
    files: Files = {f"{SITE}/x.pth": line, f"{SITE}/hook.py": "", f"{SITE}/other.py": ""}
    for seed in ("/usr/bin/python3.11", f"{SITE}/other.py"):
        levels = kept(files, seed)
        assert levels[f"{SITE}/x.pth"] is levels[f"{SITE}/hook.py"] is LINKED


def test_an_egg_on_the_search_path_leads_to_what_its_modules_import() -> None:
    text = "import other\nfrom . import inside\ndef f():\n    import later\n    subprocess.run(['tool'])\n"
    files: Files = {
        f"{SITE}/x.pth": "./e-1.egg\n",
        f"{SITE}/e-1.egg": zipped({"e/__init__.py": text, "e/inside.py": "", "broken.py": "import ("}),
        f"{SITE}/other.py": "",
        f"{SITE}/later.py": "",
        f"{SITE}/never.py": "",
        "/usr/bin/tool": elf_file(),
    }
    levels = kept(files, "/usr/bin/python3.11")
    assert levels[f"{SITE}/e-1.egg"] is LINKED
    assert {path for path in files if levels.get(path) is SAFE} == {
        f"{SITE}/other.py",
        f"{SITE}/later.py",
        "/usr/bin/tool",
    }
    assert (
        kept({"/app/main.pyz": zipped({"__main__.py": "import json\n"})}, "/app/main.pyz")[f"{LIB}/json/__init__.py"]
        is SAFE
    )


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"no archive" * 100])
def test_what_is_no_archive_leads_nowhere(content: bytes) -> None:
    assert set(kept({"/app/x.egg": content}, "/app/x.egg")) == {"/app/x.egg"}


def test_a_module_named_by_the_command_is_linked() -> None:
    config = ImageConfig(document=b"{}", entrypoint=("python3.11", "-m"), command=("p",))
    levels = kept(packages({**PACKAGE, "p/__main__.py": ""}), "/usr/bin/python3.11", config=config)
    assert levels[f"{SITE}/p/__main__.py"] is LINKED


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("importlib.import_module('p.a')", {"p/__init__.py", "p/a.py"}),
        ("__import__('p.a')", {"p/__init__.py", "p/a.py"}),
        ("table = {'x': 'p.a.Thing'}", {"p/__init__.py", "p/a.py"}),
        ("load('p.a:Thing')", {"p/__init__.py", "p/a.py"}),
        ("import_optional_dependency('p', extra='x')", {"p/__init__.py"}),
        ("x = LazyLoader('x', globals(), 'p')", {"p/__init__.py"}),
        ("importlib.import_module(f'p.q.{name}')", {"p/__init__.py", "p/q/__init__.py", "p/q/c.py"}),
        ("importlib.import_module('p.q.' + name)", {"p/__init__.py", "p/q/__init__.py", "p/q/c.py"}),
        ("importlib.import_module('p.q.%s' % name)", {"p/__init__.py", "p/q/__init__.py", "p/q/c.py"}),
        ("for name in ['p']:\n    importlib.import_module(name)", {"p/__init__.py"}),
        ("subprocess.run([sys.executable, '-m', 'p.a'])", {"p/__init__.py", "p/a.py"}),
        ("os.system('python3 -m p.a')", {"p/__init__.py", "p/a.py"}),
        ("exec('import p.a')", {"p/__init__.py", "p/a.py"}),
        ("TEMPLATE = '''\nfrom p import a\n'''", {"p/__init__.py", "p/a.py"}),
        ("runpy.run_module('p.a')", {"p/__init__.py", "p/a.py"}),
        ("from p import q\nwalk_packages(q.__path__)", {"p/__init__.py", "p/q/__init__.py", "p/q/c.py"}),
        ("'''\nimport p.a\n'''", set()),
        ("print('see p.a and import p')", set()),
        ("x = 'p'", set()),
    ],
)
def test_names_in_strings(text: str, reached: set[str]) -> None:
    assert set(from_app(f"import sys\n{text}\n", PACKAGE)) == reached


@pytest.mark.parametrize(
    "text",
    [
        "def __getattr__(name):\n    return load('.' + name)\nNAMES = ['a']",
        "_import_structure = {'a': ['Thing']}",
        "__all__ = ['a']",
        "submodules = {'a'}\n__getattr__ = lazy.attach(__name__, submodules)",
        "importlib.import_module('.a', __name__)",
        "importlib.import_module('.a', package=__package__)",
    ],
)
def test_lazy_tables_name_modules_of_their_own_package(text: str) -> None:
    files: dict[str, bytes | str] = {**PACKAGE, "p/__init__.py": text + "\n"}
    assert from_app("import p\n", files) == {"p/__init__.py": LINKED, "p/a.py": SAFE}


@pytest.mark.parametrize(
    "text",
    [
        "import_module('.' + name, __package__)",
        "import_module(f'.{name}', __package__)",
        "import_module(name)",
        "__import__(f'{__name__}.{name}')",
        "for each in pkgutil.iter_modules(__path__): ...",
        "sys.modules[__name__] = Lazy(__name__)",
    ],
)
def test_a_computed_name_in_a_package_may_be_any_of_its_modules(text: str) -> None:
    files: dict[str, bytes | str] = {
        **PACKAGE,
        "p/__init__.py": text + "\n",
        "p/tests/__init__.py": "",
        "p/tests/t.py": "",
    }
    assert set(from_app("import p\n", files)) == {"p/__init__.py", "p/a.py", "p/b.py", "p/q/__init__.py"}


GATHERED = {
    "p/__init__.py",
    "p/core/__init__.py",
    "p/core/one/__init__.py",
    "p/core/one/jobs/__init__.py",
    "p/core/one/jobs/a.py",
    "p/other/__init__.py",
    "p/other/one/__init__.py",
    "p/other/one/jobs/__init__.py",
    "p/other/one/jobs/b.py",
    "p/other/jobs/__init__.py",
    "p/other/jobs/c.py",
    "q/__init__.py",
    "q/one/__init__.py",
    "q/one/jobs/__init__.py",
    "q/one/jobs/d.py",
    "q/one/jobs/tests/__init__.py",
    "q/one/other.py",
}


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("import_module('%s.one.jobs.%s' % (app, name))", {"a.py", "b.py", "d.py"}),
        ("import_module(f'{app}.one.jobs.{name}')", {"a.py", "b.py", "d.py"}),
        ("import_module(f'{app}.one.jobs')", {"a.py", "b.py", "d.py"}),
        ("import_module('{}.jobs.{}'.format(app, name))", set[str]()),
        ("N = 'jobs'\nfor m in iter_modules(found.__path__):\n    import_module(m.name)", {"a.py", "b.py", "c.py"}),
        ("N = 'jobs'\nfor m in iter_modules(found.__path__): ...", set[str]()),
    ],
)
def test_what_a_framework_gathers_from_packages_under_one_name(text: str, reached: set[str]) -> None:
    files: dict[str, bytes | str] = {**dict.fromkeys(GATHERED, ""), "p/core/__init__.py": text + "\n"}
    found = from_app("import p.core\n", files)
    assert {path.rpartition("/")[2] for path in found if "/jobs/" in path} - {"__init__.py"} == reached


def test_walking_packages_reaches_all_depths() -> None:
    files: dict[str, bytes | str] = {**PACKAGE, "p/__init__.py": "pkgutil.walk_packages(__path__)\n"}
    assert set(from_app("import p\n", files)) == set(PACKAGE)


def test_a_stub_of_a_lazy_package_is_kept_and_read() -> None:
    files: dict[str, bytes | str] = {
        "p/__init__.py": "__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)\n",
        "p/__init__.pyi": "from .a import thing\n",
        "p/a.py": "",
        "p/a.pyi": "",
    }
    assert set(from_app("import p\n", files)) == {"p/__init__.py", "p/__init__.pyi", "p/a.py"}


def test_an_import_hook_may_serve_all_of_a_package() -> None:
    hook = (
        "class Finder:\n    def find(self):\n        return import_module('p.q')\nsys.meta_path.insert(0, Finder())\n"
    )
    assert "p/q/c.py" in from_app("import hook\n", {**PACKAGE, "hook.py": hook})


def test_vendored_copies_are_found() -> None:
    files: dict[str, bytes | str] = {"p/__init__.py": "import dep.x\n", "p/_vendor/dep/x.py": ""}
    assert from_app("import p\n", files)["p/_vendor/dep/x.py"] is SAFE


def test_entry_points_are_followed_for_groups_that_code_names() -> None:
    groups = {"p.plugins": "one:make [extra]", "other.group": "two", "console_scripts": "three:main"}
    points = "".join(f"[{group}]\nname = plug.{target}\n" for group, target in groups.items())
    files: dict[str, bytes | str] = {
        "plug/__init__.py": "",
        **{f"plug/{name}.py": "" for name in ("one", "two", "three")},
        "plug-1.dist-info/entry_points.txt": points,
    }
    levels = from_app("for each in entry_points(group='p.plugins'): ...\n", files)
    assert set(levels) == {"plug/__init__.py", "plug/one.py", "plug-1.dist-info/entry_points.txt"}
    assert set(levels.values()) == {SAFE}


def test_package_data_is_safe_and_ends_where_another_package_begins() -> None:
    files: dict[str, bytes | str] = {
        "p/__init__.py": "",
        "p/data/table.csv": "1",
        "p/schema.json": "{}",
        "p/other/__init__.py": "",
        "p/other/big.bin": "x",
        "p/tests/expected.txt": "x",
        "p/include/Core": "x",
        "p/fast.pyx": "x",
        "p/lib/libp.a": "x",
        "p/__init__.pyi": "x",
        "p/bin/tool": elf_file(interpreter="/lib64/ld.so"),
        "p/lib/libp.so.1": elf_file(),
    }
    assert from_app("import p\n", files) == {"p/__init__.py": LINKED, "p/data/table.csv": SAFE, "p/schema.json": SAFE}


def test_programs_libraries_and_sources_of_a_package_are_kept_when_named() -> None:
    files: dict[str, bytes | str] = {
        "p/__init__.py": "x = join(HERE, 'bin', 'tool')\ny = f'libp_{kind}.so'\nz = 'kernel.cu'\nw = 'worker.py'\n",
        "p/bin/tool": elf_file(interpreter="/lib64/ld.so"),
        "p/lib/libp_cpu.so": elf_file(),
        "p/lib/libq.so": elf_file(),
        "p/kernel.cu": "x",
        "p/worker.py": "",
    }
    assert set(from_app("import p\n", files)) == set(files) - {"p/lib/libq.so"}


def test_a_package_names_programs_of_a_package_in_it() -> None:
    files: dict[str, bytes | str] = {
        "p/__init__.py": "from . import paths\n",
        "p/paths.py": "import importlib.resources\nwhere = importlib.resources.files('p.programs')\n"
        "name = {'linux': 'tool-linux-1.2', 'other': 'tool.h'}\n",
        "p/programs/__init__.py": "",
        "p/programs/tool-linux-1.2": elf_file(interpreter="/lib64/ld.so"),
        "p/programs/tool-linux-1.1": elf_file(interpreter="/lib64/ld.so"),
        "p/programs/tool.h": "",
    }
    assert set(from_app("import p\n", files)) == set(files) - {"p/programs/tool-linux-1.1", "p/programs/tool.h"}


def test_data_beside_a_single_module_belongs_to_its_distribution() -> None:
    paths = tuple(f"{SITE}/{name}" for name in ("m-1.dist-info/METADATA", "m.py", "m_data/x.json", "p/__init__.py"))
    package = Package(manager=Manager.PIP, name="m", version="1", location=SITE, files=paths)
    inventory = Inventory(packages=(package,), owners=dict.fromkeys(paths, (package,)))
    files: Files = {"/app/main.py": "import m\n", **dict.fromkeys(paths, "")}
    levels = kept(files, "/app/main.py", inventory=inventory)
    assert {path: level for path, level in levels.items() if path in paths} == {paths[1]: LINKED, paths[2]: SAFE}


def test_metadata_of_a_distribution_that_code_names_is_kept() -> None:
    paths = tuple(f"{SITE}/{name}" for name in ("My_Dist-1.dist-info/METADATA", "my_dist.py"))
    package = Package(
        manager=Manager.PIP, name="My_Dist", version="1", location=SITE, files=paths, metadata=frozenset(paths[:1])
    )
    inventory = Inventory(packages=(package,), owners=dict.fromkeys(paths, (package,)))
    for text in (
        "from importlib import metadata\nx = metadata.version('my-dist')\n",
        "pkg_resources.require('my.dist>=1')\n",
    ):
        files: Files = {"/app/main.py": text, **dict.fromkeys(paths, "")}
        assert set(kept(files, "/app/main.py", inventory=inventory)) == {"/app/main.py", paths[0]}
    plain: Files = {"/app/main.py": "x = 'my-dist'\n", **dict.fromkeys(paths, "")}
    assert set(kept(plain, "/app/main.py", inventory=inventory)) == {"/app/main.py"}


def test_libraries_that_ctypes_loads_are_kept() -> None:
    text = "import ctypes\nctypes.CDLL('libone.so')\nctypes.util.find_library('two')\nname = 'libthree' + suffix\n"
    libraries: Files = {f"/usr/lib/lib{name}.so.1": elf_file() for name in ("one", "two", "three", "four")}
    levels = kept({"/app/main.py": text, **libraries}, "/app/main.py")
    assert set(levels) == {"/app/main.py", *libraries} - {"/usr/lib/libfour.so.1"}


def test_programs_that_code_runs_are_kept() -> None:
    text = "import subprocess\nsubprocess.run(['one', '-v'])\nos.system('two -x')\nshutil.which('three')\nx = 'four'\n"
    programs: Files = {f"/usr/bin/{name}": elf_file() for name in ("one", "two", "three", "four")}
    levels = kept({"/app/main.py": text, **programs}, "/app/main.py")
    assert set(levels) == {"/app/main.py", *programs} - {"/usr/bin/four"}
    assert levels["/usr/bin/one"] is SAFE


def extension(*strings: str) -> bytes:
    return elf_file(symbols=("PyInit_x", "PyImport_ImportModule"), strings=("", *strings))


EXTENSION = "p/x.cpython-311-x86_64-linux-gnu.so"


def test_modules_that_an_extension_names_are_safe() -> None:
    files: dict[str, bytes | str] = {
        **PACKAGE,
        EXTENSION: extension("p.q.c", "b", "other"),
        "other.py": "",
        "unsaid.py": "",
    }
    levels = from_app("import p.x\n", files)
    assert {path for path, level in levels.items() if level is SAFE} == {
        "p/q/__init__.py",
        "p/q/c.py",
        "p/b.py",
        "other.py",
    }


def test_an_extension_named_by_an_extension_is_linked() -> None:
    other = "p/y.cpython-311-x86_64-linux-gnu.so"
    files: dict[str, bytes | str] = {"p/__init__.py": "", EXTENSION: extension("p.y"), other: extension()}
    assert from_app("import p.x\n", files)[other] is LINKED


GLUED: dict[str, bytes | str] = {f"pack/{name}.py": "" for name in ("__init__", "alpha", "beta", "gamma", "neighbour")}


def test_names_glued_to_their_neighbours_are_found() -> None:
    files: dict[str, bytes | str] = {**GLUED, "pack/x.abi3.so": extension("sizepack.alphashapepack.betaself")}
    assert set(from_app("import pack.x\n", files)) == set(files) - {"pack/gamma.py", "pack/neighbour.py"}


def test_names_in_a_compressed_table_are_found() -> None:
    table = zlib.compress(b"arange shapepack.alphafloat" + b"neighbourvalue" * 4)
    raw = extension("filler" * 50).replace(b"filler" * 50, table.ljust(300, b"\0"))
    files: dict[str, bytes | str] = {**GLUED, "pack/x.abi3.so": raw}
    assert set(from_app("import pack.x\n", files)) == set(files) - {"pack/beta.py", "pack/gamma.py"}


def test_a_library_that_does_not_call_python_names_no_modules() -> None:
    files: dict[str, bytes | str] = {**PACKAGE, EXTENSION: elf_file(symbols=("malloc",), strings=("", "p.q.c"))}
    assert "p/q/c.py" not in from_app("import p.x\n", files)


def test_an_application_prefers_the_virtual_environment_beside_it() -> None:
    files: Files = {
        "/app/main.py": "import a\n",
        "/app/.venv/pyvenv.cfg": "home = /usr/bin\n",
        "/app/.venv/lib/python3.11/site-packages/a.py": "",
        f"{SITE}/a.py": "",
    }
    levels = kept(files, "/app/main.py")
    assert "/app/.venv/lib/python3.11/site-packages/a.py" in levels
    assert f"{SITE}/a.py" not in levels


def test_a_module_that_only_another_python_has_is_found_there() -> None:
    files: Files = {
        "/app/main.py": "import a\n",
        "/opt/lib/python3.9/os.py": "",
        "/opt/lib/python3.9/encodings/__init__.py": "",
        "/opt/lib/python3.9/site-packages/a.py": "",
    }
    assert "/opt/lib/python3.9/site-packages/a.py" in kept(files, "/app/main.py")


def test_broken_files_are_no_error() -> None:
    files: Files = {
        f"{SITE}/a.py": b"\xff\0import (((\nimport b\n'''",
        f"{SITE}/b.py": "",
        f"{SITE}/x.pth": b"\0\xff",
        f"{SITE}/z.dist-info/entry_points.txt": "no section\n[",
        f"{SITE}/c.cpython-311-x.so": b"\x7fELF\x02\x01broken",
        "/tool": "#!",
        "/pyvenv.cfg": "=\n",
    }
    assert f"{SITE}/b.py" in kept(files, *files)


def test_names_put_together_above_the_outermost_package_are_none() -> None:
    files = {
        **PACKAGE,
        "p/a.py": "import importlib\nimportlib.import_module('..' + name, __package__)\n",
        "other.py": "",
    }
    assert "other.py" not in from_app("import p.a\n", files)
    below = {**PACKAGE, "p/q/c.py": "import importlib\nimportlib.import_module('..' + name, __package__)\n"}
    assert from_app("import p.q.c\n", below)["p/b.py"] is SAFE


def test_what_the_standard_library_computes_is_not_in_its_own_strings() -> None:
    text = "import importlib\nNAMES = ('json', 'tools')\nimportlib.import_module(name)\n"
    assert from_app(text, {"tools.py": ""}) == {"tools.py": SAFE}
    files: Files = {"/app/main.py": "import plugins\n", f"{LIB}/plugins.py": text, **packages({"tools.py": ""})}
    levels = kept(files, "/app/main.py")
    assert not {f"{LIB}/json/__init__.py", f"{SITE}/tools.py"} & levels.keys()


def test_the_values_of_the_build_name_nothing_of_this_image() -> None:
    values = "build_time_vars = {'INSTALL': '/usr/bin/install -c', 'DESTSHARED': '/usr/lib/python3.11/lib-dynload'}\n"
    files: Files = {
        "/app/main.py": "import sysconfig\n",
        f"{LIB}/sysconfig.py": "",
        f"{LIB}/_sysconfigdata__x86_64-linux-gnu.py": values,
        "/usr/bin/install": elf_file(),
        f"{LIB}/lib-dynload/nis.cpython-311-x86_64-linux-gnu.so": elf_file(),
    }
    assert set(kept(files, "/app/main.py")) == set(list(files)[:3])


def test_the_values_of_the_build_belong_to_sysconfig() -> None:
    values = f"{LIB}/_sysconfigdata__x86_64-linux-gnu.py"
    files: Files = {"/app/main.py": "import sysconfig\n", f"{LIB}/sysconfig.py": "", values: "build_time_vars = {}\n"}
    assert kept(files, "/app/main.py")[values] is SAFE
    own: Files = {"/app/main.py": "import p.sysconfig\n", values: "", **packages({**PACKAGE, "p/sysconfig.py": ""})}
    assert values not in kept(own, "/app/main.py")


@pytest.mark.parametrize(("shown", "kept_too"), [((), True), (("__test__",), False)])
def test_an_extension_module_that_hides_its_names_may_import_all_of_its_package(
    shown: tuple[str, ...], kept_too: bool
) -> None:
    files: dict[str, bytes | str] = {
        **PACKAGE,
        "p/fast.cpython-311-x86_64-linux-gnu.so": elf_file(
            symbols=("PyInit_fast", "PyImport_ImportModule"), strings=("cython_runtime", *shown)
        ),
        "other.py": "",
    }
    levels = from_app("import p.fast\n", files)
    assert ("p/q/c.py" in levels) is kept_too
    assert "other.py" not in levels
