"""Directories that only one program's packages serve: what of them may be asked for by a name that no file holds."""

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.conventions import ConventionReader
from mlbloat.usage.elf import ElfReader
from mlbloat.usage.ground import Ground
from mlbloat.usage.names import SMALL_DIRECTORY_ENTRIES
from tests.support.elf import elf_file
from tests.support.trees import tree_of

PLACE = "/usr/lib/server/7/plugins"
SERVER = "/usr/bin/server"
LOADS = elf_file(strings=("", PLACE), symbols=("dlopen",))
MANY = tuple(f"{PLACE}/p{number}.so" for number in range(SMALL_DIRECTORY_ENTRIES))
SPECIAL = (f"{PLACE}/made-for.so", f"{PLACE}/sql/a.sql", f"{PLACE}/sql/run", f"{PLACE}/sql/deep/b.sql")


def package(name: str, *files: str, manager: Manager = Manager.APT, requires: tuple[str, ...] = ()) -> Package:
    keys = tuple(f"{manager}:{each}@/" for each in requires)
    return Package(manager=manager, name=name, version="1", location="/", files=files, requires=keys)


SERVERS = package("server", SERVER, *MANY, *SPECIAL[1:])
ADDED = package("added", SPECIAL[0], requires=("server",))


def found(*packages: Package, program: bytes = LOADS, by: str = SERVER, extra: str = "") -> list[str]:
    owners = {path: (each,) for each in packages for path in each.files}
    files: dict[str, bytes | str | None] = {SERVER: program, "/etc/server.conf": f"dir '{PLACE}/'\n"}
    tree = tree_of({**files, **dict.fromkeys((*MANY, *SPECIAL, *filter(None, [extra])), ""), SPECIAL[2]: "#!/bin/sh\n"})
    ground = Ground(tree, ImageConfig(document=b"{}"))
    inventory = Inventory(packages=packages, owners=owners)
    belongings = Belongings(ground, inventory)
    reader = ElfReader(ground, belongings) if by == SERVER else ConventionReader(ground, inventory, belongings)
    uses = [use for use in reader.read(tree[by]) if use.path.startswith(PLACE)]
    assert {(use.level, use.reason) for use in uses} <= {(Level.SAFE, Reason.MAY_LOAD), (Level.SAFE, Reason.NAMED)}
    return sorted(use.path for use in uses)


def test_plug_ins_and_data_of_the_program_and_of_what_is_made_for_it_may_be_asked_for() -> None:
    assert found(SERVERS, ADDED) == sorted((*MANY, *SPECIAL[:2]))


def test_nobody_owns_what_was_built_in_place() -> None:
    assert found() == sorted((*MANY, *SPECIAL[:2]))


def test_a_directory_that_others_use_too_says_nothing() -> None:
    assert found(SERVERS, ADDED, package("other", f"{PLACE}/other.so"), extra=f"{PLACE}/other.so") == []


def test_a_directory_of_modules_is_for_the_reader_of_their_language() -> None:
    module = f"{PLACE}/module.py"
    assert found(SERVERS, ADDED, package("modules", module, requires=("server",)), extra=module) == []


def test_a_program_that_loads_nothing_by_name_has_no_plug_ins() -> None:
    assert found(SERVERS, ADDED, program=elf_file(strings=("", PLACE))) == []


def test_packages_of_python_have_readers_of_their_own() -> None:
    assert found(package("server", SERVER, *MANY, *SPECIAL, manager=Manager.PIP)) == []


def test_a_configuration_names_a_directory_for_its_program() -> None:
    data = package("data", *MANY, *SPECIAL)
    assert found(package("server", SERVER, "/etc/server.conf", requires=("data",)), data, by="/etc/server.conf")
