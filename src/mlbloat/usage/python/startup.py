"""Modules that an interpreter imports for itself, whatever the program.

Sources: CPython `Python/pylifecycle.c` (init_import_site, init_sys_streams), `Modules/main.c`, `Modules/getpath.py`
(landmarks), `Python/frozen.c` (frozen modules, whose sources `inspect`, `linecache` and getpath still look for),
`Lib/site.py`, and the calls of PyImport_ImportModule in `Python/` and `Objects/`. Names that a version does not have
are not found and cost nothing.
"""

AT_START = (
    "__future__",
    "_collections_abc",
    "_sitebuiltins",
    "abc",
    "codecs",
    "encodings",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "genericpath",
    "importlib",
    "importlib._abc",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "importlib.machinery",
    "importlib.util",
    "io",
    "os",
    "posixpath",
    "runpy",
    "site",
    "sitecustomize",
    "stat",
    "usercustomize",
    "warnings",
    "zipimport",
)

ON_DEMAND = (
    "_colorize",
    "_pyrepl",
    "_strptime",
    "collections",
    "copyreg",
    "functools",
    "inspect",
    "linecache",
    "locale",
    "operator",
    "pickle",
    "re",
    "readline",
    "rlcompleter",
    "string.templatelib",
    "struct",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "types",
    "typing",
    "weakref",
)
"""Asked for by C code: to print an error, to end threads, to copy, to build a generic alias, at a prompt."""

BESIDE = {"sysconfig": "_sysconfigdata_"}
"""Modules of the standard library that import another one by a computed name, and how that begins: `Lib/sysconfig`."""

HOOK = "_distutils_hack"
SHIMS = {"distutils": "setuptools._distutils"}
"""Modules whose import that hook answers with another package; every start of Python loads it, where it is installed.

https://setuptools.pypa.io/en/latest/deprecated/distutils-legacy.html
"""

AT_PROMPT = {"_sitebuiltins": "pydoc.py", "pydoc": "pydoc_data/"}
"""What modules of the standard library import only to answer a person at a prompt: `help()`, and its texts on topics.

https://docs.python.org/3/library/constants.html#constants-added-by-the-site-module, `Lib/_sitebuiltins.py`
"""

NOT_FOR_SCRIPTS = frozenset(
    """
    aifc antigravity asynchat asyncore audioop bdb cProfile cgi cgitb chunk crypt ctypes curses dbm distutils doctest
    ensurepip idlelib imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pdb pickletools pipes profile pstats
    pyclbr pydoc pydoc_data shelve smtpd sndhdr spwd sunau tabnanny telnetlib test this timeit tkinter trace turtle
    turtledemo unittest uu venv xdrlib xx xxlimited xxlimited_35 xxsubtype
    """.split()
)
"""What of the standard library a script hardly imports that somebody runs in a container from outside of the image.

It is deprecated and gone from later versions (PEP 594, PEP 632), builds and installs, is for developing, debugging and
measuring (https://docs.python.org/3/library/development.html, debug.html), for a display or a terminal, or leads to
libraries of the system that little else needs (`ctypes`, `dbm`). It stays where anything imports it.
"""
