"""What belongs to a distribution that the user installed by name."""

import pytest

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.asked import Asked
from tests.support.trees import tree_of

Files = dict[str, bytes | str | None]
SITE = "/opt/v/lib/python3.11/site-packages"
START = f"{SITE}/tool/__init__.py"
INFO = f"{SITE}/tool-1.dist-info"
FILES: Files = {
    START: "",
    f"{SITE}/tool/extra.py": "import csv\n",
    f"{SITE}/tool/generate.py": "from tool.tests import data\n",
    f"{SITE}/tool/test_extra.py": "",
    f"{SITE}/tool/tests/__init__.py": "",
    f"{SITE}/tool/data-files/no_module.py": "",
    f"{INFO}/METADATA": "",
    f"{INFO}/entry_points.txt": "[console_scripts]\nTool = tool.extra:main\n"
    "check = tool.tests.run:main\nmain = tool.__main__:main\n",
    "/opt/v/bin/Tool": "#!/opt/v/bin/python\n",
    "/opt/v/bin/check": "#!/opt/v/bin/python\n",
    f"{SITE}/tool/__main__.py": "",
    "/opt/v/bin/main": "#!/opt/v/bin/python\n",
    "/opt/v/bin/other": "#!/bin/sh\n",
}


@pytest.mark.parametrize("requested", [True, False, None])
@pytest.mark.parametrize("manager", [Manager.PIP, Manager.APT])
def test_modules_and_commands_of_what_was_asked_for_are_safe(requested: bool | None, manager: Manager) -> None:
    package = Package(
        manager=manager,
        name="tool",
        version="1",
        location=SITE,
        files=tuple(FILES),
        metadata=frozenset(path for path in FILES if path.startswith(INFO)),
        database=(f"{INFO}/METADATA", f"{INFO}/entry_points.txt"),
        requested=requested,
    )
    tree = tree_of(FILES)
    inventory = Inventory(packages=(package,), owners=dict.fromkeys(FILES, (package,)))
    found = list(Asked(Ground(tree, ImageConfig(document=b"{}")), inventory).uses(tree[START]))
    modules = {(f"{SITE}/tool/{name}.py", Reason.MAY_IMPORT) for name in ("__init__", "__main__", "extra")}
    commands = {(f"/opt/v/bin/{name}", Reason.MAY_RUN) for name in ("Tool", "main")}
    asked = requested and manager is Manager.PIP
    assert {(use.path, use.reason) for use in found} == (modules | commands if asked else set())
    assert {use.level for use in found} <= {Level.SAFE}
