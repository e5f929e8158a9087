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
        ("importlib.import_module(name)", SourceFacts(lazy=True, computed=True)),
        ("walk_packages(p)", SourceFacts(lazy=True, walks_packages=True)),
        ("iter_modules(p)", SourceFacts(lazy=True, lists_modules=True)),
    ],
)
def test_each_kind_of_fact(text: str, expected: SourceFacts) -> None:
    assert learn(text) == expected


def _probe(outcome: str) -> str:
    return f"def has(name):\n    try:\n        import_module(f'a.{{name}}')\n{outcome}\nx = f'b.{{y}}'\n"


@pytest.mark.parametrize(
    "outcome",
    [
        "    except ImportError:\n        return False\n    else:\n        return True",
        "    except ImportError:\n        return False\n    return True",
        "        return True\n    except (ImportError, OSError) as error:\n        return False",
    ],
)
def test_an_import_that_only_says_whether_it_works_leads_nowhere(outcome: str) -> None:
    assert learn(_probe(outcome)) == SourceFacts(files=("b.{y}",))


@pytest.mark.parametrize(
    "outcome",
    [
        "    except ImportError:\n        raise\n    return True",
        "        return sys.modules[name]\n    except ImportError:\n        return False",
        "    except ImportError:\n        return False\n    return sys.modules[name]",
    ],
)
def test_an_import_whose_module_is_used_counts(outcome: str) -> None:
    assert learn(_probe(outcome)).prefixes == ("a.", "b.")


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
    assert learn("x = [" + "'-m', " * 50_000 + "]").started == ()
    assert learn("if x:\n" + " import a\n" * 50_000).imports[-1] == Import("a", when=When.BLOCK)
