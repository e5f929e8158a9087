"""Files that were needed to make the image and not to run it."""

import re
from collections.abc import Iterator

from mlbloat.findings.scene import Rule, Scene, grouped, matched, without
from mlbloat.model.report import Finding

_ARCHIVES = tuple(".whl .deb .rpm .apk .tar .tar.gz .tgz .tar.bz2 .tar.xz .tar.zst .zip .run".split())
_CACHED = re.compile(r"/\.cache/|^/var/cache/|/pkgs/")
_TEMPORARY = re.compile(r"/(?:var/)?tmp/[^/]+")
_REPOSITORY = re.compile(r".*?/\.(?:git|hg|svn)(?=/)", re.DOTALL)


def _archives(rule: Rule, scene: Scene) -> Iterator[Finding]:
    found = {
        entry.path: [entry]
        for entry in scene.unused
        if entry.path.endswith(_ARCHIVES) and scene.is_unowned(entry.path) and not _CACHED.search(entry.path)
    }
    yield rule.finding(scene, "Archives that no package owns and nothing uses", found, without(scene, found))


def _temporary(rule: Rule, scene: Scene) -> Iterator[Finding]:
    entries = (entry for entry in scene.unused if "tmp/" in entry.path and scene.is_unowned(entry.path))
    groups = grouped(entries, lambda entry: matched(_TEMPORARY, entry.path))
    yield rule.finding(scene, "Temporary files", groups, without(scene, groups))


def _repositories(rule: Rule, scene: Scene) -> Iterator[Finding]:
    entries = (entry for entry in scene.files if "/." in entry.path and entry.path not in scene.touched)
    groups = grouped(entries, lambda entry: matched(_REPOSITORY, entry.path))
    yield rule.finding(scene, "Histories of version control", groups)


RULES = (
    Rule(
        name="leftover-archives",
        severity="warning",
        finds="wheels, packages and archives that no package owns and nothing reaches",
        example="ADD https://example.org/data.tar.gz /opt/, and RUN tar -xf /opt/data.tar.gz",
        remedy="RUN --mount=type=bind,source=ARCHIVE,target=/tmp/archive tar -xf /tmp/archive -C DIRECTORY",
        find=_archives,
    ),
    Rule(
        name="temporary-files",
        severity="warning",
        finds="files below `/tmp` and `/var/tmp` that nothing reaches",
        example="RUN make TMPDIR=/tmp",
        remedy="RUN INSTALL && rm -rf FILES",
        find=_temporary,
    ),
    Rule(
        name="version-control",
        severity="warning",
        finds="`.git`, `.hg` and `.svn` directories that no run touched",
        example="COPY . /app",
        remedy="COPY --exclude=**/.git --exclude=**/.hg --exclude=**/.svn SOURCE DESTINATION",
        find=_repositories,
    ),
)
