"""A made-up program in Perl, slimmed by a run that does one thing, and then run to do others."""

import os
import posixpath
import subprocess
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.image import load, squash
from mlbloat.model.workload import Expect, Run, Workload
from mlbloat.pipeline import Request
from tests.support import images, sandbox
from tests.support.images import Value
from tests.support.trees import Link

pytestmark = [pytest.mark.engine, pytest.mark.sandbox]

ROOT = "/opt/made/lib"
LATER = {
    "required": "require Made::Late; print Made::Late::say()",
    "plugged": "print Made::plug('Two')",
    "data": "require Made::Late; print Made::Late::data()",
    "autoloaded": "print Made::anything()",
    "named": "my %of = (x => 'Made::Named'); (my $file = $of{x}) =~ s{::}{/}; require \"$file.pm\"; print 'named'",
    "error": "eval { Made::fail() }; die unless $@ =~ /made to fail/; print 'failed'",
    "number": "open my $f, '<', '/none' or print $!{ENOENT} ? 'missing' : 'no'",
    "method": "STDOUT->autoflush(1); print 'flushed'",
    "capture": "'ab' =~ /(?<first>a)/ and print $+{first}",
    "letter": 'binmode STDOUT, ":utf8"; print "\\x{e4}" =~ /\\p{Latin}/ ? uc("\\x{e4}") : "no"',
}
MODULES = {
    "Made.pm": """package Made;
use strict;
use Carp ();
our $AUTOLOAD;
sub plug { my $name = shift; eval "require Made::Plug::$name; 1" or die $@; "Made::Plug::$name"->say }
sub fail { Carp::confess('made to fail') }
sub AUTOLOAD { my $name = $AUTOLOAD; return if $name =~ /DESTROY/; require Made::Auto; Made::Auto::say($name) }
1;
""",
    "Made/Late.pm": """package Made::Late;
sub say { 'late' }
sub data { (my $place = __FILE__) =~ s/\\.pm$//; open my $f, '<', "$place/words.txt" or die "$place: $!"; <$f> }
1;
""",
    "Made/Late/words.txt": "words",
    "Made/Auto.pm": "package Made::Auto; sub say { 'auto' } 1;\n",
    "Made/Named.pm": "package Made::Named; 1;\n",
    "Made/Plug/One.pm": "package Made::Plug::One; sub say { 'one' } 1;\n",
    "Made/Plug/Two.pm": "package Made::Plug::Two; sub say { 'two' } 1;\n",
    "Never.pm": "package Never; 1;\n",
    "Never/Again.pm": "package Never::Again; 1;\n",
}
PROGRAM = """#!/usr/bin/perl
use strict;
use Made;
my %do = (
    start => sub { print Made::plug('One') },
CASES
);
$do{shift()}->();
"""


def test_what_a_program_in_perl_does_next_works(tmp_path: Path) -> None:
    engine = sandbox.engine("embedded")
    image: dict[str, Value] = {**sandbox.shell_files("/bin/sh"), **_perl(), "/dev/null": b""}
    image |= {f"{ROOT}/{path}": text for path, text in MODULES.items()}
    cases = "".join(f"    '{name}' => sub {{ {code} }},\n" for name, code in LATER.items())
    image["/usr/local/bin/made"] = PROGRAM.replace("CASES\n", cases)
    archive = images.oci_archive(
        tmp_path / "image.tar", [image], config={"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PERL5LIB={ROOT}"]}
    )
    profile = (Run(name="start", run=("made", "start"), expect=Expect(stdout="^one$")),)
    verify = tuple(Run(name=name, run=("made", name), expect=Expect(exit=0, same=("stdout",))) for name in LATER)
    workload = Workload(profile=profile, verify=verify)
    request = Request(reference=str(archive), workload=workload, engine=engine.name)
    target = f"oci-dir:{tmp_path / 'slim'}"
    assert pipeline.slim(request, target).failure == ""
    (tmp_path / "read").mkdir()
    left = squash(load(target, tmp_path / "read"))
    assert [path for path in MODULES if f"{ROOT}/{path}" not in left] == ["Never.pm", "Never/Again.pm"]


def _perl() -> dict[str, Value]:
    """This machine's Perl: the interpreter, and the directories of its own modules with what they load."""
    code = """my ($texts) = grep { -e "$_/strict.pm" } @INC; my ($compiled) = grep { -e "$_/auto/POSIX/POSIX.so" } @INC;
        print "$_\\n" for $^X, $texts, $texts eq $compiled ? () : $compiled"""
    lines = subprocess.run(["perl", "-e", code], check=True, capture_output=True, text=True).stdout.splitlines()
    found: dict[str, bytes | str | None] = {}
    sandbox.take("/usr/bin/perl" if lines[0].startswith("/usr/bin/perl") else lines[0], found)
    for directory, _, names in (each for place in lines[1:] for each in os.walk(posixpath.realpath(place))):
        for name in names:
            path = f"{directory}/{name}"
            if name.endswith(".so"):
                sandbox.take(path, found)
            elif not name.endswith(".pod"):
                found[path] = Path(path).read_bytes()
    for place in lines[1:]:
        if posixpath.realpath(place) != place:
            found[place] = Link(posixpath.realpath(place))
    return dict(found.items())
