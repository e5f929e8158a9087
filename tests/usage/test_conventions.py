"""What goes with a file by custom, and what is kept for scanners."""

import pytest

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.conventions import ConventionReader, configuration, pins
from mlbloat.usage.ground import Ground
from tests.support.elf import elf_file
from tests.support.trees import Link, tree_of

Files = dict[str, bytes | str | None]
NOTHING = Inventory(packages=(), owners={})
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"


def inventory_of(*packages: Package) -> Inventory:
    owners: dict[str, tuple[Package, ...]] = {}
    for package in packages:
        for path in package.files:
            owners[path] = (*owners.get(path, ()), package)
    return Inventory(packages=packages, owners=owners)


def uses(files: Files, path: str, inventory: Inventory = NOTHING) -> list[Use]:
    tree = tree_of(files)
    ground = Ground(tree, ImageConfig(document=b"{}"))
    return list(ConventionReader(ground, inventory, Belongings(ground, inventory)).read(tree[path]))


def levels(files: Files, path: str, inventory: Inventory = NOTHING) -> dict[str, Level]:
    return {use.path: use.level for use in uses(files, path, inventory)}


def test_the_c_library_brings_accounts_names_and_locale() -> None:
    found = levels({LIBC: "", "/etc/passwd": "", "/etc/nsswitch.conf": "", "/usr/lib/locale/C.utf8/LC_CTYPE": ""}, LIBC)
    assert found == {
        "/etc/passwd": Level.LINKED,
        "/etc/nsswitch.conf": Level.LINKED,
        "/usr/lib/locale/C.utf8/LC_CTYPE": Level.LINKED,
    }


def test_time_zones_are_safe() -> None:
    assert levels({LIBC: "", "/usr/share/zoneinfo/Etc/UTC": ""}, LIBC) == {"/usr/share/zoneinfo/Etc/UTC": Level.SAFE}


def test_a_java_machine_loads_libraries_that_its_modules_name() -> None:
    home = "/usr/lib/jvm/java"
    kept = [f"{home}/lib/libawt.so", f"{home}/lib/jspawnhelper", f"{home}/lib/tzdb.dat", f"{home}/conf/net.properties"]
    files: Files = dict.fromkeys((f"{home}/lib/server/libjvm.so", *kept, f"{home}/lib/src.zip"), "")
    assert levels(files, f"{home}/lib/server/libjvm.so") == dict.fromkeys(kept, Level.SAFE)


@pytest.mark.parametrize(
    ("variables", "languages"),
    [
        ((("LANG", "de_DE.UTF-8"),), {"de", "de_DE"}),
        ((("LANGUAGE", "pt_BR:fr"),), {"pt", "fr"}),
        ((("LANG", "C.UTF-8"),), set()),
    ],
)
def test_messages_of_used_packages_are_safe_in_the_languages_of_the_image(
    variables: tuple[tuple[str, str], ...], languages: set[str]
) -> None:
    catalogues = {f"/usr/share/locale/{name}/LC_MESSAGES/tool.mo": name for name in ("de", "de_DE", "fr", "pt", "den")}
    package = Package(manager=Manager.APT, name="tool", version="1", location="/", files=("/usr/bin/tool", *catalogues))
    tree = tree_of({"/usr/bin/tool": "", **catalogues})
    ground = Ground(tree, ImageConfig(document=b"{}", environment=variables))
    inventory = inventory_of(package)
    found = list(ConventionReader(ground, inventory, Belongings(ground, inventory)).read(tree["/usr/bin/tool"]))
    assert {use.path.split("/")[4] for use in found} == languages


def test_data_that_a_wheel_puts_below_the_prefix_is_safe() -> None:
    site, start = "/opt/v/lib/python3.11/site-packages", "/opt/v/lib/python3.11/site-packages/tool/__init__.py"
    data = ("/opt/v/share/tool/templates/a.j2", "/opt/v/etc/tool/a.json")
    other = ("/opt/v/share/man/man1/tool.1", "/opt/v/include/tool.h", "/opt/v/bin/tool")
    files = (start, *data, *other)
    package = Package(manager=Manager.PIP, name="tool", version="1", location=site, files=files)
    assert levels(dict.fromkeys(files, ""), start, inventory_of(package)) == dict.fromkeys(data, Level.SAFE)


def test_services_of_nsswitch_name_their_libraries() -> None:
    where = "/usr/lib/x86_64-linux-gnu"
    files: Files = {
        LIBC: "",
        "/etc/nsswitch.conf": "# comment: compat\npasswd: files sss # nis\n",
        **{f"{where}/libnss_{name}.so.2": "" for name in ("files", "sss", "nis", "compat")},
    }
    found = levels(files, LIBC)
    assert {path for path in found if "libnss" in path} == {f"{where}/libnss_files.so.2", f"{where}/libnss_sss.so.2"}


def test_converters_follow_only_what_calls_iconv() -> None:
    gconv = "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so"
    files: Files = {gconv: "", "/a.so": elf_file(symbols=("iconv_open",)), "/b.so": elf_file(symbols=("iconv",))}
    assert levels(files, "/a.so") == {gconv: Level.SAFE}
    assert levels(files, "/b.so") == {}


def test_a_library_that_converts_for_nobody_but_its_own_templates_brings_no_converters() -> None:
    gconv, name = "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", "/usr/lib/libstdc++.so.6.0.30"
    assert levels({gconv: "", name: elf_file(symbols=("iconv_open",))}, name) == {}


def test_converters_are_those_of_text_of_today_except_for_the_program_that_converts_any() -> None:
    where = "/usr/lib/x86_64-linux-gnu/gconv"
    files: Files = {
        **{f"{where}/{name}.so": "" for name in ("ISO8859-15", "CP1252", "EUC-JP", "GB18030", "IBM1390", "EBCDIC-UK")},
        "/a.so": elf_file(symbols=("iconv_open",)),
        "/usr/bin/iconv": elf_file(symbols=("__gconv_open",)),
    }
    assert set(levels(files, "/a.so")) == {f"{where}/{n}.so" for n in ("ISO8859-15", "CP1252", "EUC-JP", "GB18030")}
    assert {path for path in levels(files, "/usr/bin/iconv") if "gconv" in path} == set(list(files)[:6])


def test_tls_libraries_bring_their_configuration_and_authorities() -> None:
    files: Files = {
        "/usr/lib/libcrypto.so.3": "",
        "/etc/ssl/openssl.cnf": "",
        "/usr/lib/ossl-modules/legacy.so": "",
        "/etc/ssl/certs/ca-certificates.crt": "",
    }
    assert levels(files, "/usr/lib/libcrypto.so.3") == {
        "/etc/ssl/openssl.cnf": Level.LINKED,
        "/usr/lib/ossl-modules/legacy.so": Level.SAFE,
        "/etc/ssl/certs/ca-certificates.crt": Level.SAFE,
    }


def test_conventions_are_relative_to_the_library_in_another_prefix() -> None:
    files: Files = {"/opt/env/lib/libssl.so.3": "", "/opt/env/ssl/openssl.cnf": "", "/opt/env/ssl/cacert.pem": ""}
    assert levels(files, "/opt/env/lib/libssl.so.3") == {
        "/opt/env/ssl/openssl.cnf": Level.LINKED,
        "/opt/env/ssl/cacert.pem": Level.SAFE,
    }


def test_modules_named_by_pam_are_linked() -> None:
    files: Files = {
        "/lib/libpam.so.0": "",
        "/etc/pam.d/login": "auth required pam_unix.so\n",
        "/lib/security/pam_unix.so": "",
        "/lib/security/pam_ldap.so": "",
    }
    assert levels(files, "/lib/libpam.so.0") == {
        "/etc/pam.d/login": Level.LINKED,
        "/lib/security/pam_unix.so": Level.LINKED,
    }


def test_configuration_names_files_groups_and_libraries() -> None:
    files: Files = {
        "/etc/x/x.conf": "include /etc/x/on/*.conf;\nload modules/y.so;\n# not /srv/c\nroot /srv/a;\n",
        "/etc/x/on/1.conf": Link("../off/1.conf"),
        "/etc/x/off/1.conf": "",
        "/usr/lib/x/y.so": "",
        "/srv/a": "",
        "/srv/c": "",
    }
    assert set(levels(files, "/etc/x/x.conf")) == {"/etc/x/on/1.conf", "/usr/lib/x/y.so", "/srv/a"}


def test_what_only_an_init_system_starts_is_not_followed() -> None:
    files: Files = {"/etc/cron.daily/x": "/srv/a\n", "/etc/x.conf": "/srv/a\n", "/srv/a": ""}
    assert levels(files, "/etc/cron.daily/x") == {}
    assert levels(files, "/etc/x.conf") == {"/srv/a": Level.SAFE}


def test_payload_brings_the_metadata_of_its_package_but_no_licence() -> None:
    info = "/site/p-1.dist-info"
    metadata = tuple(f"{info}/{name}" for name in ("METADATA", "WHEEL", "LICENSE", "licenses/COPYING"))
    package = Package(
        manager=Manager.PIP,
        name="p",
        version="1",
        location="/site",
        files=("/site/p.py", *metadata),
        metadata=frozenset(metadata),
        database=(f"{info}/METADATA",),
    )
    files: Files = dict.fromkeys(package.files, "")
    found = uses(files, "/site/p.py", inventory_of(package))
    assert found == [Use(f"{info}/WHEEL", Level.LINKED, Reason.METADATA, "/site/p.py")]
    assert uses(files, f"{info}/WHEEL", inventory_of(package)) == []


def test_payload_brings_the_configuration_of_its_package_and_not_the_other_way() -> None:
    package = Package(
        manager=Manager.APT, name="p", version="1", location="/", files=("/etc/p.conf", "/etc/p2.conf", "/usr/bin/p")
    )
    files: Files = dict.fromkeys(package.files, "")
    assert levels(files, "/usr/bin/p", inventory_of(package)) == {"/etc/p.conf": Level.SAFE, "/etc/p2.conf": Level.SAFE}
    assert levels(files, "/etc/p.conf", inventory_of(package)) == {}


def test_scanners_keep_identity_databases_and_metadata() -> None:
    package = Package(manager=Manager.PIP, name="p", version="1", location="/s", database=("/s/p.dist-info/METADATA",))
    files: Files = {
        "/usr/lib/os-release": "",
        "/etc/os-release": Link("../usr/lib/os-release"),
        "/etc/debian_version": "",
        "/var/lib/dpkg/status": "",
        "/var/lib/dpkg/info/a.list": "",
        "/var/lib/dpkg/info/a.postinst": "",
        "/var/lib/dpkg/status.d/b": "",
        "/opt/env/conda-meta/c.json": "",
        "/s/p.dist-info/METADATA": "",
        "/s/p.dist-info/sboms/p.json": "",
        "/usr/bin/x": "",
    }
    found = pins(tree_of(files), inventory_of(package))
    assert {use.path for use in found} == set(files) - {
        "/etc/os-release",
        "/var/lib/dpkg/info/a.postinst",
        "/usr/bin/x",
    }
    assert all(use.pinned and use.level is Level.LINKED for use in found)


def test_every_regular_file_of_etc_is_safe() -> None:
    found = configuration(tree_of({"/etc/a/b": "", "/etc/link": Link("a/b"), "/usr/x": ""}))
    assert [(use.path, use.level) for use in found] == [("/etc/a/b", Level.SAFE)]


def test_a_node_package_is_used_as_a_directory() -> None:
    where = "/usr/lib/node_modules/tool"
    paths = (
        f"{where}/bin/cli.js",
        f"{where}/lib/other.js",
        f"{where}/node_modules/dep/index.js",
        f"{where}/package.json",
    )
    package = Package(
        manager=Manager.NPM, name="tool", version="1", location="/usr/lib/node_modules", files=paths, database=paths[3:]
    )
    files: Files = dict.fromkeys(paths, "")
    inventory = inventory_of(package)
    assert levels(files, paths[0], inventory) == {paths[3]: Level.SAFE}
    assert levels(files, paths[3], inventory) == dict.fromkeys(paths[:3], Level.SAFE)
