"""What a Python text says, as facts that hold for any image."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.python.facts import SourceFacts, learn
from mlbloat.usage.python.source import Import, When


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a", SourceFacts(imports=(Import("a"),))),
        ("x = 'a'", SourceFacts(names=("a",))),
        ("x = 'a.b:c'", SourceFacts(dotted=("a.b",), files=("a.b:c",), groups=("a.b:c",))),
        ("x = ['a b', 'd/e f.txt']", SourceFacts(files=("e f.txt",))),
        ("x = f'lib{n}.so'", SourceFacts(patterns=("lib*.so",))),
        ("x = ['*', '****', '*.so.*', '*.*.dylib', 'lib*.so.[0-9]']", SourceFacts(patterns=("lib*.so.[0-9]",))),
        (
            "import_module('a.' + x)",
            SourceFacts(files=("a.",), groups=("a.",), prefixes=("a.",), lazy=True, computed=True),
        ),
        ("import_module(f'a.{x}')", SourceFacts(files=("a.{x}",), prefixes=("a.",), lazy=True)),
        (
            "import_module(x) if x.startswith('a.') else '..'",
            SourceFacts(files=("a.", ".."), groups=("a.", ".."), lazy=True, computed=True),
        ),
        ("x = 'see /usr/share/x now'", SourceFacts(paths=("/usr/share/x",))),
        ("x = '''\nimport a\nfrom . import b\n'''", SourceFacts(code=(Import("a"),))),
        ("f('python -m a.b')", SourceFacts(files=("python -m a.b",), started=("a.b",))),
        ("x = ['-m', 'a']", SourceFacts(names=("a",), files=("-m",), started=("a",))),
        ("import_thing('a')", SourceFacts(names=("a",), called=("a",))),
        (
            "from . import a\nimport_all(a.__path__)",
            SourceFacts(imports=(Import("", ("a",), 1),), handed=((1, "a"),), names_modules=True),
        ),
        ("Popen(['x y'])", SourceFacts(programs=("x",))),
        ("CDLL('libxy')", SourceFacts(names=("libxy",), libraries=("libxy.so",))),
        ("attach_stub(x)", SourceFacts(reads_stub=True)),
        ("sys.modules[__name__] = X()", SourceFacts(replaces_itself=True, names_modules=True)),
        ("def __getattr__(name): ...", SourceFacts(lazy=True)),
        ("importlib.import_module(name)", SourceFacts(lazy=True, names_modules=True, computed=True)),
        ("walk_packages(p)", SourceFacts(lazy=True, walks_packages=True)),
        ("iter_modules(p)", SourceFacts(lazy=True, lists_modules=True)),
    ],
)
def test_each_kind_of_fact(text: str, expected: SourceFacts) -> None:
    assert learn(text) == expected


def _probe(outcome: str, name: str = "name", function: str = "load") -> str:
    return f"def {function}(name):\n    try:\n        import_module({name})\n{outcome}\nx = f'b.{{y}}'\n"


YES = "        return True\n    except ImportError:\n        return False"


@pytest.mark.parametrize(
    "outcome",
    [
        "    except ImportError:\n        return False\n    else:\n        return True",
        "    except ImportError:\n        return False\n    return True",
        "        return True\n    except (ImportError, OSError) as error:\n        return False",
    ],
)
@pytest.mark.parametrize("name", ["name", "'a.b'"])
def test_an_import_that_only_says_whether_it_works_leads_nowhere(outcome: str, name: str) -> None:
    assert learn(_probe(outcome, name)) == SourceFacts(files=("b.{y}",))


@pytest.mark.parametrize("function", ["_module_is_available", "has_part", "is_installed"])
@pytest.mark.parametrize("name", ["'a.' + name", "f'a.{name}'", "'a.%s' % name"])
def test_one_whose_name_says_so_may_put_the_name_together(function: str, name: str) -> None:
    assert learn(_probe(YES, name, function)) == SourceFacts(files=("b.{y}",))
    told = _probe(YES, name, function).replace("    try:", "    '''Tell.'''\n    try:", 1)
    assert learn(told) == SourceFacts(files=("b.{y}",))


@pytest.mark.parametrize("name", ["'a.' + name", "f'a.{name}'", "'a.%s' % name", "'a.{}'.format(name)"])
def test_one_with_something_put_before_the_name_loads_plug_ins(name: str) -> None:
    assert learn(_probe(YES, name)).prefixes[0] == "a."


@pytest.mark.parametrize(
    "outcome",
    [
        "    except ImportError:\n        raise\n    return True",
        "        return sys.modules[name]\n    except ImportError:\n        return False",
        "    except ImportError:\n        return False\n    return sys.modules[name]",
    ],
)
def test_an_import_whose_module_is_used_counts(outcome: str) -> None:
    assert learn(_probe(outcome, "f'a.{name}'")).prefixes == ("a.", "b.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("load_all(__name__, ['a'])", True),
        ("load_all(\n    __name__,\n    ['a'],\n)", True),
        ("load_all(f(), package=__package__)", True),
        ("load_all(f'{__name__}.x', ['a'])", True),
        ("load_all('%s.x' % __name__, ['a'])", True),
        ("here = __name__\nload_all(here, ['a'])", True),
        ("load_all(dirname(__file__), ['a'])", True),
        ("load_all([x, (dirname(__file__), 1)], ['a'])", True),
        ("here = Path(__file__).parent\nload_all(\n    ['a'],\n    here / 'x',\n)", True),
        ("import os\nhere = os.path.dirname(__file__)\nthere: str = os.path.join(here, 'x')\nload_all(there)", True),
        ("for x in glob(join(dirname(__file__), '*')):\n    load_all(x)", True),
        ("from os.path import dirname\nfrom helper import path\npath(dirname(__file__))", True),
        ("helper.load_all(__file__)", True),
        ("import os\nhere = os.path.dirname(os.path.abspath(__file__))", False),
        ("import os.path as p\nx = open(p.join(p.dirname(__file__), 'y')).read()", False),
        ("from pathlib import (\n    Path,\n)\nx = (Path(__file__).parent / 'y').read_text()", False),
        (
            "import os as _os\ndef add(x):\n    xs.append(x)\nx = _os.path.dirname(__file__)\nadd(x)\nxs.append(x)",
            False,
        ),
        ("class X:\n    def f(self):\n        return self.g(__file__)\n", False),
        ("raise ImportError(f'{x} in {__file__}', str(__file__))", False),
        ("load_all(x.__file__)", False),
        ("load_all(__spec__, ['a'])", True),
        ("load_all(globals(), ['a'])", True),
        ("from runpy import run_path", True),
        ("from importlib.util import spec_from_file_location", True),
        ("import importlib.util\nimportlib.util.module_from_spec(x)", True),
        ("import importlib as il\nil.reload(x)", True),
        ("import importlib as _importlib\n_importlib.reload(x)", True),
        ("import importlib as _importlib", False),
        ("import importlib.metadata\nimportlib.metadata.version('x')", False),
        ("import importlib.resources as resources\nfrom importlib import metadata", False),
        ("import importlib_metadata\nimportlib_metadata.version('x')", False),
        ("import importlib.util\nif importlib.util.find_spec('x'):\n    f()", False),
        ("log = logging.getLogger(__name__)", False),
        ("log = get_logger(__name__)", False),
        ("if __name__ == 'x':\n    f()", False),
        ("f(x.__name__)", False),
        ("x = '__name__'", False),
        ("__package__ = 'x'", False),
    ],
)
def test_a_helper_has_to_be_told_for_whom_it_imports(text: str, says: bool) -> None:
    assert learn(text).names_modules is says


def test_all_names_in_a_call_that_imports_count() -> None:
    names = tuple(f"n{number}" for number in range(20))
    assert learn(f"import_all(x, {list(names)})").called == names


def test_a_value_is_kept_once() -> None:
    assert learn("x = ['a', 'a', 'b.c', 'b.c']") == SourceFacts(names=("a", "b.c"), dotted=("b.c",), groups=("b.c",))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("import from('\"\\\n\t #./{}*é-m")))
def test_facts_of_any_text_survive_the_cache(text: str) -> None:
    facts = learn(text)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=SourceFacts) == facts


def test_a_hostile_text_is_read_in_linear_time() -> None:
    facts = learn("import_module(" * 20_000 + "'a' " * 20_000 + "x = '" + "/a" * 200_000 + "'")
    assert facts.lazy
    assert learn("import" * 100_000 + "azy" * 100_000).called == ()
    assert not learn("(" * 100_000 + "()" * 100_000 + "__name" * 100_000).names_modules
    for text in ("f(" * 50_000 + "__file__, " * 50_000, "a = __file__\n" * 50_000, "x = (__file__" + ")(" * 100_000):
        assert learn(text).names_modules
    assert learn("class A:\n" + " x;import a\n" * 40_000).imports[-1] == Import("a")
    assert learn("x = [" + "'-m', " * 50_000 + "]").started == ()
    assert learn("if x:\n" + " import a\n" * 50_000).imports[-1] == Import("a", when=When.BLOCK)
