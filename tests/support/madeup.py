"""Made-up packages, one per mechanism by which a program reaches a file that no run touched.

Each is imported when the image is profiled, and later does something that the profile did not: `LATER` is what a
process in the slim image runs, and must not fail. `never` modules are what nothing reaches.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Made:
    """A package, by files below the directory of modules."""

    files: dict[str, str]
    later: str
    """Code that must run in the slim image; `p` is the package."""
    entry_points: str = ""
    archived: bool = False
    """An egg that a `.pth` file names; no wheel."""
    outside: dict[str, str] = field(default_factory=dict)
    """Other files of the image, by their paths."""
    gone: tuple[str, ...] = ()
    """Paths that the slim image does not have; relative ones are below the directory of modules."""
    requires: tuple[str, ...] = ()
    """Packages of `OTHERS` that it declares."""
    asked: bool = False
    """Carries the mark that a user installed it by name."""


def _plain(start: str, later: str, entry_points: str = "", **files: str) -> Made:
    """A package `NAME/`: its start file, others by name (`sub__mod` is `sub/mod.py`), and one that is not used."""
    paths = {name.replace("__", "/") + ("" if "." in name else ".py"): text for name, text in files.items()}
    return Made({"__init__.py": start, "never.py": "", **paths}, later, entry_points)


_MODULE = {"mod": "value = 7\n"}

MADE: dict[str, Made] = {
    "function": _plain("def f():\n    from . import mod\n    return mod.value\n", "p.f()", **_MODULE),
    "conditional": _plain(
        "import sys\nif sys.argv[1:] == ['x']:\n    from .mod import value\n", "import NAME.mod", **_MODULE
    ),
    "star": _plain(
        "def f():\n    ns = {}\n    exec('from NAME.mod import *', ns)\n    return ns['value']\n", "p.f()", **_MODULE
    ),
    "dunder": _plain("def f():\n    return __import__('NAME.mod', fromlist=['x']).value\n", "p.f()", **_MODULE),
    "constant": _plain("import importlib\ndef f():\n    importlib.import_module('NAME.mod')\n", "p.f()", **_MODULE),
    "relative": _plain(
        "import importlib\ndef f():\n    return importlib.import_module('.mod', __package__)\n", "p.f()", **_MODULE
    ),
    "partly": Made(
        {
            "__init__.py": "import importlib\ndef f(n):\n    return importlib.import_module(f'NAME.kinds.{n}')\n",
            "kinds/__init__.py": "",
            "kinds/red.py": "",
            "kinds/blue.py": "",
            "never.py": "",
        },
        "p.f('red'), p.f('bl' + 'ue')",
    ),
    "joined": _plain(
        "import importlib\ndef f(n):\n    return importlib.import_module('NAME.' + n)\n", "p.f('mod')", **_MODULE
    ),
    "dots": Made(
        {
            "__init__.py": "from importlib import resources\ndef f(*parts):\n"
            "    return resources.files('.'.join(['NAME.zones'] + list(parts))).joinpath('data').read_text()\n",
            "zones/__init__.py": "",
            "zones/north/__init__.py": "",
            "zones/north/data": "7",
            "zones/north/deep/__init__.py": "",
            "zones/north/deep/data": "8",
            "never.py": "",
        },
        "assert p.f('north') + p.f('north', 'deep') == '78'",
    ),
    "computed": _plain(
        "import importlib\nT = {'a': 'NAME.mod'}\ndef f(k):\n    return importlib.import_module(T[k])\n",
        "p.f('a')",
        **_MODULE,
    ),
    "getattr": _plain(
        "def __getattr__(name):\n    if name == 'mod':\n        import importlib\n"
        "        return importlib.import_module('.' + name, __name__)\n    raise AttributeError(name)\n",
        "p.mod.value",
        **_MODULE,
    ),
    "table": _plain(
        "_import_structure = {'mod': ['value']}\n"
        "def __getattr__(name):\n    import importlib\n    for module, names in _import_structure.items():\n"
        "        if name in names:\n            return getattr(importlib.import_module('.' + module, __name__), name)\n"
        "    raise AttributeError(name)\n",
        "p.value",
        **_MODULE,
    ),
    "attach": _plain(
        "from .loader import attach\n__getattr__ = attach(__name__, submodules={'mod'})\n",
        "p.mod",
        loader="import importlib\ndef attach(package, submodules):\n    def get(name):\n"
        "        if name in submodules:\n            return importlib.import_module(f'{package}.{name}')\n"
        "        raise AttributeError(name)\n    return get\n",
        **_MODULE,
    ),
    "moves": _plain(
        "class Moved:\n    def __init__(self, name, module):\n        self.module = module\n"
        "    def load(self):\n        return __import__(self.module, fromlist=['x'])\n"
        "MOVES = [Moved('mod', 'NAME.mod')]\n",
        "p.MOVES[0].load()",
        **_MODULE,
    ),
    "pkgutil": _plain(
        "import pkgutil\ndef f():\n    return [m.name for m in pkgutil.iter_modules(__path__)]\n",
        "import importlib; [importlib.import_module('NAME.' + n) for n in p.f()]",
        **_MODULE,
    ),
    "gathered": Made(
        {
            "__init__.py": "import importlib, pkgutil\nNAMES = ['jobs']\n"
            "def f(app):\n    found = importlib.import_module(app + '.jobs')\n"
            "    for m in pkgutil.iter_modules(found.__path__):\n"
            "        importlib.import_module('%s.jobs.%s' % (app, m.name))\n"
            "def g(app, name):\n    return importlib.import_module(f'{app}.one.tasks.{name}')\n",
            "deep/__init__.py": "",
            "deep/jobs/__init__.py": "",
            "deep/jobs/mod.py": "value = 7\n",
            "deep/one/__init__.py": "",
            "deep/one/tasks/__init__.py": "",
            "deep/one/tasks/more.py": "",
            "never.py": "",
        },
        "p.f('NAME.deep'), p.g('NAME.deep', 'more'); import sys; assert 'NAME.deep.jobs.mod' in sys.modules",
    ),
    "plugins": _plain(
        "def f():\n    from importlib.metadata import entry_points\n"
        "    return [e.load() for e in entry_points().select(group='NAME.plugins')]\n",
        "assert p.f() == [7]",
        "[NAME.plugins]\none = NAME.mod:value\n",
        **_MODULE,
    ),
    "metadata": _plain("def f():\n    from importlib.metadata import version\n    return version('NAME')\n", "p.f()"),
    "resources": _plain(
        "def f():\n    from importlib import resources\n"
        "    return (resources.files(__name__) / 'table.txt').read_text()\n",
        "assert p.f() == 'seven'",
        **{"table.txt": "seven"},
    ),
    "beside": _plain(
        "import os\nHERE = os.path.dirname(__file__)\n"
        "def f():\n    return open(os.path.join(HERE, 'data', 'x.bin')).read()\n",
        "p.f()",
        **{"data__x.bin": "seven"},
    ),
    "loaded": _plain(
        "import pkgutil\ndef f():\n    return pkgutil.get_data(__name__, 'table.txt')\n",
        "p.f()",
        **{"table.txt": "seven"},
    ),
    "namespace": Made(
        {"__init__.py": "def f():\n    import NAME_space.part.mod\n", "../NAME_space/part/mod.py": "", "never.py": ""},
        "p.f()",
    ),
    "spawn": _plain(
        "def f():\n    import multiprocessing\n    from .mod import work\n"
        "    child = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    child.start()\n    child.join(60)\n    assert child.exitcode == 0\n",
        "p.f()",
        mod="def work():\n    from . import deep\n",
        deep="",
    ),
    "switch": _plain(
        "import sys\ndef f():\n    import subprocess\n"
        "    subprocess.run([sys.executable, '-m', 'NAME.tool'], check=True)\n",
        "p.f()",
        tool="if __name__ == '__main__':\n    import NAME.mod\n",
        **_MODULE,
    ),
    "program": _plain(
        "import sys\ndef f():\n    import subprocess\n    code = 'import NAME.mod'\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n",
        "p.f()",
        **_MODULE,
    ),
    "command": _plain(
        "def f():\n    import subprocess\n    subprocess.run(['cat', '/dev/null'], check=True)\n", "p.f()"
    ),
    "codec": _plain("def f():\n    return 'x'.encode('cp1252') + 'x'.encode('utf-16')\n", "p.f()"),
    "library": _plain("def f():\n    import ctypes, ctypes.util\n    return ctypes.CDLL('libm.so.6').cos\n", "p.f()"),
    "zones": _plain("def f():\n    import zoneinfo\n    return zoneinfo.ZoneInfo\n", "p.f()"),
    "database": _plain(
        "def f():\n    import sqlite3\n    return sqlite3.connect(':memory:').execute('select 7').fetchone()\n", "p.f()"
    ),
    "egg": Made(
        {
            "__init__.py": "def f():\n    from . import mod\n    import NAME_outside\n",
            "mod.py": "",
            "../NAME_outside.py": "",
        },
        "p.f()",
        archived=True,
    ),
    "resource_manager": Made(
        {
            "__init__.py": "def f():\n    import pkg_resources as r\n"
            "    assert r.resource_string(__name__, 'table.txt') == b'seven'\n"
            "    assert r.get_distribution('NAME').version == '1'\n"
            "    return [point.load() for point in r.iter_entry_points('NAME.plugins')]\n",
            "table.txt": "seven",
            "mod.py": "value = 7\n",
            "never.py": "",
            # As setuptools had it: https://setuptools.pypa.io/en/latest/pkg_resources.html
            "../pkg_resources/__init__.py": "def resource_string(package, name):\n"
            "    import pkgutil\n    return pkgutil.get_data(package, name)\n"
            "def get_distribution(name):\n    from importlib.metadata import distribution\n"
            "    return distribution(name)\n"
            "def iter_entry_points(group):\n    from importlib.metadata import entry_points\n"
            "    return entry_points().select(group=group)\n",
        },
        "assert p.f() == [7]",
        "[NAME.plugins]\none = NAME.mod:value\n",
    ),
    "shebang": Made(
        {
            "__init__.py": "def f():\n    import subprocess\n    subprocess.run(['/opt/NAME/tool'], check=True)\n",
            "never.py": "",
        },
        "p.f()",
        outside={
            "/opt/NAME/tool": "#!/opt/NAME/interpreter -e\nthe text of this file is read by its interpreter\n",
            "/opt/NAME/interpreter": "#!/bin/sh\ntest $1 = -e && test -r $2 && cat $2 > /dev/null\n",
            "/opt/NAME/never": "#!/bin/sh\n",
        },
        gone=("/opt/NAME/never",),
    ),
    "scripts": Made(
        {
            "__init__.py": "def f():\n    import subprocess\n    subprocess.run(['/opt/NAME/start.sh'], check=True)\n",
            "never.py": "",
        },
        "p.f()",
        outside={
            "/opt/NAME/start.sh": '#!/bin/sh\nset -e\n. /opt/NAME/settings.sh\n. "$HERE/functions.sh"\nstart\n',
            "/opt/NAME/settings.sh": "HERE=/opt/NAME\n",
            "/opt/NAME/functions.sh": 'start() {\n    NAME-step one > /dev/null && test -n "$(NAME-step two)"\n}\n',
            "/bin/NAME-step": "#!/bin/sh\ncat /opt/NAME/steps/$1 /opt/NAME/steps/two\n",
            "/opt/NAME/steps/one": "1",
            "/opt/NAME/steps/two": "2",
            "/bin/NAME-never": "#!/bin/sh\n",
        },
        gone=("/bin/NAME-never",),
    ),
    "node": Made(
        {
            "__init__.py": "import subprocess\nTOOL = '/usr/local/lib/node_modules/NAME/cli.js'\n"
            "def run(*words):\n    subprocess.run([TOOL, *words], check=True)\nrun()\n",
            "never.py": "",
        },
        "p.run('deep')",
        outside={
            # Any interpreter does: what is tested is that the whole package of Node stays.
            "/bin/node": '#!/bin/sh\nHERE=${1%/*}\n. "$1"\n',
            "/usr/local/lib/node_modules/NAME/package.json": '{"name": "NAME", "version": "1.0.0"}',
            "/usr/local/lib/node_modules/NAME/cli.js": '#!/bin/node\nif test -n "$2"; then . "$HERE/lib/$2.js"; fi\n',
            "/usr/local/lib/node_modules/NAME/lib/deep.js": '. "$HERE/node_modules/other/index.js"\n',
            "/usr/local/lib/node_modules/NAME/node_modules/other/index.js": "true\n",
            "/usr/local/lib/node_modules/NAME-never/package.json": '{"name": "NAME-never", "version": "1.0.0"}',
            "/usr/local/lib/node_modules/NAME-never/index.js": "true\n",
        },
        gone=("/usr/local/lib/node_modules/NAME-never/index.js",),
    ),
    "settings": Made(
        {
            "__init__.py": "def f():\n    import configparser\n    parser = configparser.ConfigParser()\n"
            "    parser.read('/etc/NAME.conf')\n    return open(parser['data']['table']).read()\n",
            "never.py": "",
        },
        "assert p.f() == 'seven'",
        outside={
            "/etc/NAME.conf": "[data]\ntable = /srv/NAME/table.txt\n# never = /srv/NAME/never.txt\n",
            "/srv/NAME/table.txt": "seven",
            "/srv/NAME/never.txt": "",
        },
        gone=("/srv/NAME/never.txt",),
    ),
    "integrates": Made(
        {
            "__init__.py": "def f():\n    try:\n        import made_optional\n    except ImportError:\n"
            "        return None\n    return made_optional.value\n",
            "never.py": "",
        },
        "assert p.f() is None",
        gone=("made_optional/__init__.py", "made_owner/__init__.py"),
    ),
    "declares": Made(
        {"__init__.py": "def f():\n    from made_declared import value\n    return value\n", "never.py": ""},
        "assert p.f() == 7",
        requires=("declared",),
    ),
    "discovers": _plain(
        "def f():\n    from importlib.metadata import entry_points\n"
        "    return [e.load() for e in entry_points().select(group='NAME.plugins')]\n",
        "assert p.f() == [7]",
    ),
    "tells": Made(
        {
            "__init__.py": "from NAME_helper import load_all\nload_all(__name__, ['mod'])\n",
            "../NAME_helper.py": "import sys\ndef load_all(package, names):\n    start = sys.modules[package]\n"
            "    for name in names:\n"
            "        setattr(start, name, lambda name=name: __import__(f'{package}.{name}'))\n",
            "mod.py": "",
            "never.py": "",
        },
        "p.mod()",
    ),
    "asked": Made(
        {
            "__init__.py": "",
            "tools.py": "from .inner import value\n",
            "inner/__init__.py": "value = 7\n",
            "generate.py": "from .tests import data\n",
            "tests/__init__.py": "",
            "tests/data.py": "",
            "test_it.py": "",
        },
        "import NAME.tools",
        gone=("NAME/generate.py", "NAME/tests/__init__.py", "NAME/tests/data.py", "NAME/test_it.py"),
        asked=True,
    ),
    "registers": Made(
        {
            "__init__.py": "from importlib import import_module\ndef f(name):\n    try:\n"
            "        import_module(f'NAME.kinds.{name}')\n        return True\n"
            "    except ImportError:\n        return False\n",
            "kinds/__init__.py": "",
            "kinds/red.py": "",
            "never.py": "",
        },
        "assert p.f('red')",
    ),
    "told_where": Made(
        {
            "__init__.py": "import os\nimport NAME_helper\nHERE = os.path.dirname(__file__)\n"
            "f = NAME_helper.later(os.path.join(HERE, ''), ['mod'])\n",
            "../NAME_helper.py": "import runpy\n"
            "def later(where, names):\n    return lambda: runpy.run_path(f'{where}{names[0]}.py')['value']\n",
            **{f"{name}.py": text for name, text in _MODULE.items()},
            "never.py": "",
        },
        "p.f()",
    ),
    "asks_what_is_there": Made(
        {
            "__init__.py": "import importlib as _importlib, os as _os\n"
            "def has_part(name):\n    try:\n        _importlib.import_module(f'NAME.{name}')\n        return True\n"
            "    except ImportError:\n        return False\n"
            "def f():\n    with open(_os.path.join(_os.path.dirname(__file__), 'x.txt')) as file:\n"
            "        return {name: has_part(name) for name in ('heavy', file.read())}\n",
            "heavy.py": "",
            "x.txt": "seven",
            "never.py": "",
        },
        "assert p.f() == {'heavy': False, 'seven': False}",
        gone=("NAME/heavy.py",),
    ),
    "path": _plain("def f():\n    return open('/opt/settings/made.txt').read()\n", "assert p.f() == 'settings'"),
}

OTHERS: dict[str, Made] = {
    "owner": Made({"__init__.py": "import made_optional\n"}, "", requires=("optional",)),
    "optional": Made({"__init__.py": "value = 7\n"}, ""),
    "declared": Made({"__init__.py": "value = 7\n"}, ""),
    "plugged_owner": Made({"__init__.py": ""}, "", requires=("plugged",)),
    "plugged": Made(
        {"__init__.py": "", "deep.py": "value = 7\n"},
        "",
        "[made_discovers.plugins]\none = made_plugged.deep:value\n",
    ),
}
"""Installed, and not imported when the image is profiled."""


def files(name: str) -> dict[str, str]:
    """The files of one package, by path below the directory of modules."""
    made = MADE.get(name) or OTHERS[name]
    found = {}
    for path, text in made.files.items():
        place = path.removeprefix("../") if path.startswith("../") else f"NAME/{path}"
        found[place.replace("NAME", package(name))] = text.replace("NAME", package(name))
    return found


def package(name: str) -> str:
    return f"made_{name}"


def later(name: str) -> str:
    return f"import {package(name)} as p\n{MADE[name].later}".replace("NAME", package(name))


def outside(name: str) -> dict[str, str]:
    """The other files of one package, by path."""
    named = package(name)
    return {path.replace("NAME", named): text.replace("NAME", named) for path, text in MADE[name].outside.items()}


def gone(name: str) -> list[str]:
    return [path.replace("NAME", package(name)) for path in MADE[name].gone]
