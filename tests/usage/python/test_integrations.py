"""Imports of what a distribution does not require: kept where something else asks for it, and only there."""

from collections.abc import Mapping

import pytest

from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level
from tests.usage.python.made import LIB, SITE, Files, kept, packages

DEFERRED = "def f():\n    import other.part\n"
GUARDED = "try:\n    import other.part\nexcept ImportError:\n    pass\n"
OTHER = {"other/__init__.py": "", "other/part.py": "import third\n", "third/__init__.py": ""}

MARKED = {"user": ("REQUESTED",), "owner": ("REQUESTED",)}
"""Files of a `dist-info`: an installer that writes marks was here."""


def reached(
    app: str,
    files: Mapping[str, str],
    requires: Mapping[str, tuple[str, ...]],
    *,
    requested: Mapping[str, bool | None] | None = None,
    extras: Mapping[str, tuple[str, ...]] | None = None,
    more: Files | None = None,
    database: Mapping[str, tuple[str, ...]] = MARKED,
) -> dict[str, Level]:
    """Levels of installed files; each top-level package is a distribution of its name."""
    names = sorted({path.partition("/")[0] for path in files})
    made = {
        name: Package(
            manager=Manager.PIP,
            name=name,
            version="1",
            location=SITE,
            files=tuple(f"{SITE}/{path}" for path in sorted(files) if path.startswith(f"{name}/")),
            requires=tuple(f"pip:{each}@{SITE}" for each in requires.get(name, ())),
            integrates=tuple(f"pip:{each}@{SITE}" for each in (extras or {}).get(name, ())),
            requested=(requested or {}).get(name, False),
            database=tuple(f"{SITE}/{name}-1.dist-info/{each}" for each in database.get(name, ())),
        )
        for name in names
    }
    owners = {path: (package,) for package in made.values() for path in package.files}
    inventory = Inventory(packages=tuple(made.values()), owners=owners)
    levels = kept({"/app/main.py": app, **packages(files), **(more or {})}, "/app/main.py", inventory=inventory)
    return {path[len(SITE) + 1 :]: level for path, level in levels.items() if path.startswith(SITE)}


REQUIRED = {"owner": ("other",), "other": ("third",)}
"""Somebody requires `other`, so that nobody has to have asked for it."""


@pytest.mark.parametrize("text", [DEFERRED, "NAMES = ['other.part']\ndef f(n):\n    return import_module(n)\n"])
def test_what_a_distribution_does_not_require_is_not_brought_in(text: str) -> None:
    files = {"user/__init__.py": text, "owner/__init__.py": "", **OTHER}
    assert set(reached("import user\n", files, REQUIRED)) == {"user/__init__.py"}


@pytest.mark.parametrize(
    ("requires", "requested"),
    [
        ({"user": ("other",), **REQUIRED}, {}),
        ({"user": ("between",), "between": ("other",), **REQUIRED}, {}),
        ({"other": ("third",)}, {}),
        (REQUIRED, {"other": True}),
        (REQUIRED, {"other": None}),
    ],
    ids=["required", "required by what is required", "required by nothing", "asked for", "asked for or not"],
)
def test_what_is_required_or_asked_for_is(
    requires: Mapping[str, tuple[str, ...]], requested: Mapping[str, bool | None]
) -> None:
    files = {"user/__init__.py": DEFERRED, "owner/__init__.py": "", "between/__init__.py": "", **OTHER}
    levels = reached("import user\n", files, requires, requested=requested)
    assert {path for path, level in levels.items() if level is Level.SAFE} == set(OTHER)


def test_what_an_extra_names_may_have_been_asked_for() -> None:
    files = {"user/__init__.py": DEFERRED, "owner/__init__.py": "", **OTHER}
    levels = reached("import user\n", files, REQUIRED, extras={"user": ("other",)})
    assert {path for path, level in levels.items() if level is Level.SAFE} == set(OTHER)


@pytest.mark.parametrize("database", [{}, {"user": ("METADATA",)}])
def test_that_nobody_asked_is_a_guess_where_no_installer_leaves_marks(database: Mapping[str, tuple[str, ...]]) -> None:
    files = {"user/__init__.py": DEFERRED, "owner/__init__.py": "", **OTHER}
    levels = reached("import user\n", files, REQUIRED, database=database)
    assert {path for path, level in levels.items() if level is Level.SAFE} == set(OTHER)


HERE = {**MARKED, "mine": ("REQUESTED", "direct_url.json")}
"""`pip install .`"""


@pytest.mark.parametrize("extra", [False, True])
def test_what_an_application_that_pip_installed_requires_is_wanted(extra: bool) -> None:
    files = {"mine/__init__.py": "import user\n", "user/__init__.py": DEFERRED, "owner/__init__.py": "", **OTHER}
    asks = {"mine": ("user",) if extra else ("user", "other")}
    extras = {"mine": ("other",)} if extra else {}
    asked = {"mine": True}
    levels = reached("import mine\n", files, {**REQUIRED, **asks}, requested=asked, extras=extras, database=HERE)
    assert {path for path, level in levels.items() if level is Level.SAFE} == set(OTHER)
    levels = reached("import mine\n", files, {**REQUIRED, **asks}, requested=asked, extras=extras)
    assert set(levels) == {"mine/__init__.py", "user/__init__.py"}


def test_what_it_imports_counts_and_what_others_import_does_not() -> None:
    files = {"mine/__init__.py": DEFERRED, "owner/__init__.py": "", **OTHER}
    assert set(reached("import mine\n", files, REQUIRED, requested={"mine": True}, database=HERE)) == {
        "mine/__init__.py",
        *OTHER,
    }
    # Pulled in by its address, as in `Requires-Dist: mine @ https://...`, it is a library.
    assert set(reached("import mine\n", files, REQUIRED, database=HERE)) == {"mine/__init__.py"}


def test_plug_ins_of_a_group_that_code_names_count_whoever_requires_them() -> None:
    files = {
        "user/__init__.py": "def f():\n    return entry_points(group='user.plugins')\n",
        "owner/__init__.py": "",
        **OTHER,
    }
    points = f"{SITE}/other-1.dist-info/entry_points.txt"
    more: Files = {points: "[user.plugins]\nname = other.part:make\n"}
    levels = reached("import user\n", files, REQUIRED, more=more)
    assert {path for path, level in levels.items() if level is Level.SAFE} >= set(OTHER)


def test_installers_are_there_without_being_asked_for() -> None:
    files = {"user/__init__.py": "def f():\n    import setuptools\n", "setuptools/__init__.py": ""}
    assert set(reached("import user\n", files, {}, requested={"setuptools": True})) == {"user/__init__.py"}
    assert "setuptools/__init__.py" in reached("import user\ndef f():\n    import setuptools\n", files, {})


def test_an_application_declares_nothing_and_its_imports_count() -> None:
    files = {"owner/__init__.py": "", **OTHER}
    assert set(reached(DEFERRED, files, REQUIRED)) == set(OTHER)


def test_it_counts_where_something_else_leads_to_that_package() -> None:
    files = {"user/__init__.py": DEFERRED, "owner/__init__.py": "", **OTHER}
    levels = reached("import user\ndef f():\n    import other\n", files, REQUIRED)
    assert {path for path, level in levels.items() if level is Level.SAFE} == set(OTHER)


def test_what_is_taken_up_lets_others_be_taken_up() -> None:
    files = {
        "user/__init__.py": "def f():\n    import second.part\n    import other.part\n",
        "owner/__init__.py": "",
        "second/__init__.py": "",
        "second/part.py": "import other\n",
        **OTHER,
    }
    requires = {"owner": ("other", "second"), "other": ("third",), "second": ("other",)}
    assert "other/part.py" not in reached("import user\n", files, requires)
    assert "other/part.py" in reached("import user\ndef f():\n    import second\n", files, requires)


def test_as_a_module_loads_a_block_decides_in_what_only_may_be_imported() -> None:
    files = {
        "user/__init__.py": "def f():\n    from . import later\n",
        "user/later.py": GUARDED,
        "owner/__init__.py": "",
        **OTHER,
    }
    assert "other/part.py" not in reached("import user\n", files, REQUIRED)
    used = reached("import user.later\n", files, REQUIRED)
    assert used["other/part.py"] is Level.LINKED
    assert used["third/__init__.py"] is Level.LINKED
    plain = {**files, "user/later.py": "import other.part\n"}
    assert "other/part.py" in reached("import user\n", plain, REQUIRED)


def test_the_standard_library_requires_nothing() -> None:
    files = {"owner/__init__.py": "", **OTHER}
    library: Files = {f"{LIB}/venv.py": DEFERRED}
    assert reached("import venv\n", files, REQUIRED, more=library) == {}
