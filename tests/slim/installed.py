"""A small image with packages of every manager, for tests of what is left of their databases.

`lib` is used by the program, `extra` is not; every manager has one of each, and APT a package without payload.
"""

import json

from tests.support.images import Members

SITE = "/usr/lib/python3/site-packages"
CONDA = "/opt/conda"


def _stanza(name: str, more: str = "") -> str:
    return (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\n"
        f"Version: 1.0-1\n{more}Description: a package\n more of it\n"
    )


STATUS = "\n".join(
    [
        _stanza("lib", "Depends: base\nConffiles:\n /etc/lib.conf 0123\n /etc/lib.d/gone 4567\n"),
        _stanza("extra", "Conffiles:\n /etc/extra.conf 89ab\n"),
        _stanza("base"),
        _stanza("lonely"),
        "Package: removed\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 3\n",
    ]
)
LISTS = {
    "lib": "/.\n/usr\n/usr/lib\n/usr/lib/lib.so\n/usr/share/lib/data\n/usr/share/doc/lib/copyright\n/etc/lib.conf\n",
    "extra": "/.\n/usr/bin/extra\n/etc/extra.conf\n/usr/share/doc/extra/copyright\n",
    "base": "/.\n/usr/share/doc/base/copyright\n",
    "lonely": "/.\n/usr/share/doc/lonely/copyright\n",
}
SUMS = "0" * 32 + "  usr/lib/lib.so\n" + "1" * 32 + "  usr/share/lib/data\n"


def _wheel(name: str) -> Members:
    record = (
        f"{name}/__init__.py,sha256=abc,3\n{name}/rest.py,sha256=def,3\n{name}-1.0.dist-info/METADATA,,\n"
        f'"{name}/odd, name.txt",,\n{name}-1.0.dist-info/RECORD,,\n../../../bin/{name},,\n'
    )
    directory = f"{SITE}/{name}-1.0.dist-info"
    return {
        f"{SITE}/{name}": None,
        f"{SITE}/{name}/__init__.py": "a=1",
        f"{SITE}/{name}/rest.py": "b=1",
        f"{SITE}/{name}/odd, name.txt": "odd",
        f"/usr/bin/{name}": "#!/usr/bin/python3\n",
        directory: None,
        f"{directory}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n",
        f"{directory}/RECORD": record,
        f"{directory}/WHEEL": "Wheel-Version: 1.0\n",
        f"{directory}/licenses": None,
        f"{directory}/licenses/LICENSE": "free",
    }


def _conda(name: str) -> Members:
    files = [f"lib/{name}.so", f"share/{name}.txt"]
    paths = [{"_path": path, "path_type": "hardlink", "sha256": "00", "size_in_bytes": 3} for path in files]
    record = {"name": name, "version": "1.0", "build": "0", "files": files, "paths_data": {"paths": paths}}
    return {
        f"{CONDA}/lib/{name}.so": "c",
        f"{CONDA}/share/{name}.txt": "d",
        f"{CONDA}/conda-meta/{name}-1.0-0.json": json.dumps(record),
    }


APK = (
    "C:Q1aaaa=\nP:lib-apk\nV:1.0-r0\nA:x86_64\nF:usr/lib\nR:apk.so\na:0:0:755\nZ:Q1bbbb=\n"
    "F:usr/share/apk\nR:data\nZ:Q1cccc=\n\n"
    "C:Q1dddd=\nP:extra-apk\nV:2.0-r0\nA:x86_64\nF:usr/bin\nR:apk-extra\nZ:Q1eeee=\n\n"
)

LAYER: Members = {
    "/etc": None,
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "/etc/debian_version": "12.1\n",
    "/etc/lib.conf": "l",
    "/etc/extra.conf": "e",
    "/etc/lib.d/gone": "g",
    "/usr/lib/lib.so": "so",
    "/usr/share/lib/data": "data",
    "/usr/bin/extra": "x",
    **{f"/usr/share/doc/{name}/copyright": "free\n" for name in LISTS},
    "/var/lib/dpkg/status": STATUS,
    **{f"/var/lib/dpkg/info/{name}.list": text for name, text in LISTS.items()},
    "/var/lib/dpkg/info/lib.md5sums": SUMS,
    "/var/lib/dpkg/info/extra.postinst": "#!/bin/sh\n",
    **dict(_wheel("pylib")),
    **dict(_wheel("pyextra")),
    f"{CONDA}/conda-meta": None,
    f"{CONDA}/conda-meta/history": "",
    **dict(_conda("clib")),
    **dict(_conda("cextra")),
    "/lib/apk/db/installed": APK,
    "/usr/lib/apk.so": "apk",
    "/usr/share/apk/data": "d",
    "/usr/bin/apk-extra": "x",
}
USED = ("/usr/lib/lib.so", f"{SITE}/pylib/__init__.py", f"{CONDA}/lib/clib.so", "/usr/lib/apk.so")
KEPT = (*USED, "/etc/os-release", "/etc/debian_version", "/etc/lib.conf", "/etc/extra.conf")
