"""Where Python looks for modules."""

from mlbloat.model.image import ImageConfig
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.layout import Layout
from tests.support.trees import Link, tree_of
from tests.usage.python.made import LIB, PYTHON, SITE, Files


def roots(files: Files, **environment: str) -> dict[str, tuple[str, ...]]:
    config = ImageConfig(document=b"{}", environment=tuple(environment.items()))
    layout = Layout(Ground(tree_of(files), config))
    return {f"{each.prefix} {each.version}": each.roots for each in layout.environments}


def test_debian_has_three_directories_of_packages() -> None:
    files = {**PYTHON, f"{LIB}/lib-dynload": None, SITE: None, "/usr/lib/python3/dist-packages": None}
    assert roots(files) == {"/usr 3.11": (LIB, f"{LIB}/lib-dynload", SITE, "/usr/lib/python3/dist-packages")}


def test_two_pythons_have_their_own_packages() -> None:
    files: Files = {
        **PYTHON,
        "/usr/local/lib/python3.12/os.py": "",
        "/usr/local/lib/python3.12/encodings/__init__.py": "",
        "/usr/local/lib/python3.12/site-packages/a.py": "",
        f"{SITE}/b.py": "",
    }
    assert roots(files) == {
        "/usr 3.11": (LIB, SITE),
        "/usr/local 3.12": ("/usr/local/lib/python3.12", "/usr/local/lib/python3.12/site-packages"),
    }


def test_a_virtual_environment_sees_its_base_but_not_its_packages() -> None:
    files: Files = {
        **PYTHON,
        f"{SITE}/a.py": "",
        "/venv/pyvenv.cfg": "home = /usr/bin\n",
        "/venv/lib/python3.11/site-packages/b.py": "",
    }
    assert roots(files)["/venv 3.11"] == (LIB, "/venv/lib/python3.11/site-packages")
    files["/venv/pyvenv.cfg"] = "home = /usr/bin\ninclude-system-site-packages = true\n"
    assert roots(files)["/venv 3.11"] == (LIB, "/venv/lib/python3.11/site-packages", SITE)


def test_conda_environments_are_prefixes() -> None:
    files: Files = {
        f"/opt/conda/{below}/{name}": ""
        for below in ("lib/python3.12", "envs/x/lib/python3.10")
        for name in ("os.py", "encodings/__init__.py", "site-packages/a.py")
    }
    assert set(roots(files)) == {"/opt/conda 3.12", "/opt/conda/envs/x 3.10"}


def test_path_files_and_the_environment_add_directories() -> None:
    files: Files = {
        **PYTHON,
        f"{SITE}/x.pth": "# comment\n/src/one\n../../elsewhere\nimport os\n/missing\n",
        "/src/one/a.py": "",
        "/usr/local/lib/elsewhere/b.py": "",
        "/more/c.py": "",
    }
    found = roots(files, PYTHONPATH="/more:relative:/gone")["/usr 3.11"]
    assert found == ("/more", LIB, SITE, "/src/one", "/usr/local/lib/elsewhere")


def test_packages_without_an_interpreter_are_found_too() -> None:
    assert roots({"/function/site-packages/a.py": ""}) == {"/function ": ("/function/site-packages",)}


def test_a_user_directory_belongs_to_its_version() -> None:
    files: Files = {
        **PYTHON,
        "/root/.local/lib/python3.11/site-packages/a.py": "",
        "/root/.local/lib/python3.9/site-packages/b.py": "",
    }
    found = roots(files)
    assert found["/usr 3.11"] == (LIB, "/root/.local/lib/python3.11/site-packages")


def test_an_image_without_python_has_no_environment() -> None:
    assert roots({"/bin/sh": "x"}) == {}


def test_the_first_python_of_the_path_is_the_default() -> None:
    files: Files = {
        **PYTHON,
        "/opt/lib/python3.12/os.py": "",
        "/opt/lib/python3.12/encodings/__init__.py": "",
        "/opt/bin/python3.12": "interpreter",
        "/opt/bin/python3": Link("python3.12"),
        "/usr/bin/python3": Link("python3.11"),
    }
    config = ImageConfig(document=b"{}", environment=(("PATH", "/opt/bin:/usr/bin"),))
    layout = Layout(Ground(tree_of(files), config))
    assert [each.prefix for each in layout.default] == ["/opt"]
    assert [each.prefix for each in layout.of_program("/usr/bin/python3")] == ["/usr"]
