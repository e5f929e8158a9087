"""What programs in Perl, Ruby, R, Lua, PHP, Tcl and Guile may load, in made-up trees."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.languages import LanguageReader
from mlbloat.usage.languages.facts import learn, listed, needs
from mlbloat.usage.languages.table import LANGUAGES, Language
from mlbloat.usage.reach import reach
from tests.support.trees import Link, tree_of

Files = dict[str, bytes | str | None]
NOTHING = Inventory(packages=(), owners={})
PERL, GEMS, R = "/usr/share/perl5", "/var/lib/gems/3.1.0", "/usr/lib/R/library"


def kept(
    files: Mapping[str, bytes | str | None],
    *seeds: str,
    reason: Reason = Reason.OPENED,
    inventory: Inventory = NOTHING,
    **environment: str,
) -> set[str]:
    """Return what is reached from files that a run opened, these left out."""
    tree = tree_of(files)
    level = Level.TRACED if reason is Reason.OPENED else Level.SAFE
    roots = [Use(path, level, reason, "a run") for path in seeds]
    config = ImageConfig(document=b"{}", environment=tuple(environment.items()))
    reader = LanguageReader(Ground(tree, config), inventory, roots if reason is Reason.OPENED else ())
    uses = reach(tree, (reader,), roots, reader.group_of)
    assert all(use.level is level for use in uses if use.path in seeds)
    assert all(use.level is Level.SAFE for use in uses if use.path not in seeds)
    return {use.path for use in uses} - set(seeds)


def perl(text: str, modules: Mapping[str, bytes | str | None]) -> set[str]:
    """Return the modules, by their names in the root, that a program may load."""
    found = kept({"/app/run": f"#!/usr/bin/perl\n{text}\n", **_below(PERL, modules)}, "/app/run")
    return {path.removeprefix(f"{PERL}/") for path in found}


def _below(root: str, files: Mapping[str, bytes | str | None]) -> Files:
    return {f"{root}/{path}": content for path, content in files.items()}


@pytest.mark.parametrize(
    "text",
    [
        "use Made::Up;",
        "sub later { require Made::Up; }",
        "require 'Made/Up.pm';",
        "use parent -norequire, qw(Other Made::Up);",
        "my $class = 'Made::Up'; eval \"require $class\";",
        "Made::Up->import",
        "&Made::Up::call(1);",
        "my %table = (x => 'Made::Up::Main');",
        'require "Made/$name.pm";',
        'my $driver = "Made::$name";',
        "my $driver = 'Made::' . $name;",
        "system 'perl -MMade::Up -e 1'",
    ],
)
def test_a_perl_program_leads_to_the_modules_that_it_names(text: str) -> None:
    assert perl(text, {"Made/Up.pm": "1;", "Never.pm": "1;", "Never/Up.pm": "1;"}) == {"Made/Up.pm"}


@pytest.mark.parametrize(
    "text", ["# use Made;", "=pod\n\nuse Made;\n\n=cut\n\n1;", "print 'made';", "=head1 X\n\nuse Made;"]
)
def test_what_no_perl_program_does_leads_nowhere(text: str) -> None:
    assert perl(text, {"Made.pm": "1;", "made.pm": "1;"}) == set()


def test_code_after_documentation_is_read() -> None:
    assert perl("=head1 X\n\nuse Never;\n\n=cut\n\nuse Made;\n", {"Made.pm": "", "Never.pm": ""}) == {"Made.pm"}


def test_a_perl_module_brings_its_compiled_part_and_its_data() -> None:
    beside: Files = {
        "auto/Made/Up/Up.so": b"\x7fELF",
        "auto/Made/Up/split.al": "1;",
        "Made/Up/table.txt": "data",
        "auto/share/dist/Made-Up/x.pl": "data",
    }
    others: Files = {
        "auto/Made/Other/Other.so": b"\x7fELF",
        "Made/Up/Never.pm": "",
        "Made/Up/Never.pod": "",
        "Made/table.txt": "data",
    }
    assert perl("use Made::Up;", {"Made/Up.pm": "1;", **beside, **others}) == {"Made/Up.pm", *beside}


@pytest.mark.parametrize(
    "text",
    ["sub plug { require $_[0] }", 'eval "use $_[0]; 1"', "use Module::Pluggable;", "our $AUTOLOAD; sub AUTOLOAD {}"],
)
def test_a_perl_module_that_puts_names_together_brings_what_is_below_its_own(text: str) -> None:
    modules = {"Made.pm": text, "Made/Plug/One.pm": "use Further;", "Further.pm": "", "Other/One.pm": ""}
    assert perl("use Made;", modules) == {"Made.pm", "Made/Plug/One.pm", "Further.pm"}
    assert perl("use Made;", {**modules, "Made.pm": "1;"}) == {"Made.pm"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("open my $f, '<:encoding(big5)', $name;", {"PerlIO/scalar.pm", "PerlIO/encoding.pm"}),
        ('print "\\N{GREEK SMALL LETTER ALPHA}";', {"_charnames.pm", "unicore/Name.pl"}),
        ("print $!{ENOENT} ? 1 : 0;", {"Errno.pm"}),
        ("STDOUT->autoflush;", {"IO/File.pm", "IO/Handle.pm"}),
        ("print 1;", set[str]()),
    ],
)
def test_what_perl_itself_loads_for_what_a_text_does(text: str, names: set[str]) -> None:
    every = ("PerlIO/scalar.pm", "PerlIO/encoding.pm", "_charnames.pm", "unicore/Name.pl", "Errno.pm", "IO/File.pm")
    assert perl(text, dict.fromkeys((*every, "IO/Handle.pm", "strict.pm"), "1;")) == names | {"strict.pm"}


def test_data_below_a_beginning_is_kept_too() -> None:
    modules = {
        "Made.pm": 'open my $f, "tables/$name"; my $auto = "auto/$name";',
        "tables/x.txt": "",
        "auto/Never/never.al": "",
    }
    assert perl("use Made;", modules) == {"Made.pm", "tables/x.txt"}


def test_modules_are_found_beside_a_program_and_where_the_environment_says() -> None:
    files: Files = {
        "/opt/tool/bin/run": '#!/usr/bin/env perl\nuse FindBin; use lib "$FindBin::Bin/../lib"; use Made; use Named;\n',
        "/opt/tool/lib/Made.pm": "use Made::Next;",
        "/opt/tool/lib/Made/Next.pm": "",
        "/opt/tool/lib/Never.pm": "",
        "/srv/modules/Named.pm": "",
    }
    beside = {"/opt/tool/lib/Made.pm", "/opt/tool/lib/Made/Next.pm"}
    assert kept(files, "/opt/tool/bin/run") == beside
    assert kept(files, "/opt/tool/bin/run", PERL5LIB="/none:/srv/modules") == {*beside, "/srv/modules/Named.pm"}


def test_a_program_may_run_others_and_open_files_by_their_path() -> None:
    files: Files = {
        "/app/run": "#!/usr/bin/perl\nsystem('tool', '-x'); my $y = `other -y`; open my $f, '<', '/opt/made/data';\n",
        **dict.fromkeys(("/usr/bin/tool", "/usr/bin/other", "/usr/bin/never"), "#!x"),
        "/opt/made/data": "x",
    }
    assert kept(files, "/app/run") == {"/usr/bin/tool", "/usr/bin/other", "/opt/made/data"}


def test_a_line_of_a_shell_script_is_read_for_the_modules_of_the_language_that_it_starts() -> None:
    files: Files = {
        "/app/run": "#!/bin/sh\nif [ $1 ]; then perl -MMade -e 'use Further; print 1'; fi\n",
        "/app/quiet": "#!/bin/sh\necho use Made\n",
        **_below(PERL, {"Made.pm": "", "Further.pm": "", "Never.pm": ""}),
    }
    assert kept(files, "/app/run") == {f"{PERL}/Made.pm", f"{PERL}/Further.pm"}
    assert kept(files, "/app/quiet") == set()


def test_a_module_leads_on_only_where_a_program_may_load_it() -> None:
    modules: Files = {f"{PERL}/Made.pm": "use Further;", f"{PERL}/Further.pm": ""}
    assert kept(modules, f"{PERL}/Made.pm", reason=Reason.NAMED) == set()
    assert kept(modules, f"{PERL}/Made.pm") == {f"{PERL}/Further.pm"}
    program: Files = {**modules, "/usr/bin/made": "#!/usr/bin/perl\nprint 1;"}
    assert kept(program, f"{PERL}/Made.pm", "/usr/bin/made", reason=Reason.NAMED) == {f"{PERL}/Further.pm"}


GEM: Files = {
    "gems/made-1.2/lib/made.rb": "module Made; autoload :Later, 'made/later'; end",
    "gems/made-1.2/lib/made/later.rb": "",
    "gems/made-1.2/lib/made/never_named.rb": "",
    "gems/made-1.2/data/list.txt": "",
    "extensions/x86_64-linux/3.1.0/made-1.2/made/made.so": b"\x7fELF",
    "specifications/made-1.2.gemspec": "s.add_runtime_dependency(%q<made-needs>.freeze, ['>= 1'])",
    "gems/made-needs-3.0/lib/made/needs.rb": "",
    "specifications/made-needs-3.0.gemspec": "",
}
OTHER_GEM: Files = {
    "gems/other-1.0/lib/other.rb": "require 'made'",
    "specifications/other-1.0.gemspec": "s.add_dependency 'made'",
}


@pytest.mark.parametrize(
    "text", ["require 'made'", "def f = require('made/later')", "gem 'made', '~> 1'", "autoload(:M, 'made')"]
)
def test_a_gem_stays_whole_with_its_description_its_compiled_part_and_what_it_needs(text: str) -> None:
    files = {"/app/main.rb": text, **_below(GEMS, {**GEM, **OTHER_GEM})}
    assert kept(files, "/app/main.rb") == set(_below(GEMS, GEM))


def test_descriptions_of_gems_are_listed_at_every_start_and_bring_nothing() -> None:
    files = {"/app/main.rb": "puts 1", **_below(GEMS, {**GEM, **OTHER_GEM})}
    listed_too = [f"{GEMS}/specifications/{name}.gemspec" for name in ("made-1.2", "other-1.0", "made-needs-3.0")]
    assert kept(files, "/app/main.rb", *listed_too) == set()


def package(name: str, *, needs: str = "") -> Files:
    return {
        f"{R}/{name}/DESCRIPTION": f"Package: {name}\nDepends: R (>= 3.5)\n{needs}License: GPL\n",
        f"{R}/{name}/Meta/package.rds": b"\x1f\x8b",
        f"{R}/{name}/R/{name}": "local({})\n",
        f"{R}/{name}/R/{name}.rdb": b"\0compiled",
        f"{R}/{name}/libs/{name}.so": b"\x7fELF",
    }


@pytest.mark.parametrize(
    "text",
    [
        "library(made)",
        "made::f(1)",
        "requireNamespace('made')",
        "for (p in c('made')) library(p, character.only = TRUE)",
    ],
)
def test_a_package_of_r_stays_whole_with_what_it_says_that_it_needs(text: str) -> None:
    wanted = {
        **package("made", needs="Imports: stats, first (>= 1.0),\n    second\nSuggests: third\n"),
        **package("first"),
        **package("second"),
        **package("third"),
    }
    itself = {**package("base"), **package("grDevices")}
    files = {"/app/main.R": f"{text}\n", **wanted, **itself, **package("never")}
    assert kept(files, "/app/main.R") == {*wanted, *itself}
    assert kept({**files, "/app/main.R": "# library(never)\nprint(1)\n"}, "/app/main.R") == set(itself)


@pytest.mark.parametrize(
    ("program", "text", "wanted", "others"),
    [
        pytest.param(
            "/app/main.lua",
            "if arg[1] then require 'made.part' end",
            {
                "/usr/share/lua/5.4/made/part.lua": "",
                "/usr/share/lua/5.4/made/data.lua": "",
                "/usr/share/lua/5.4/made.lua": "",
            },
            {"/usr/share/lua/5.4/never.lua": "", "/usr/share/lua/5.4/never/init.lua": ""},
            id="lua",
        ),
        pytest.param(
            "/app/main.lua",
            "local m = require('made'); for _, n in ipairs(t) do require('plug.' .. n) end",
            {"/usr/lib/x86_64-linux-gnu/lua/5.4/made.so": b"\x7fELF", "/usr/share/lua/5.4/plug/x.lua": ""},
            {"/usr/share/lua/5.4/never.lua": ""},
            id="lua-computed",
        ),
        pytest.param(
            "/app/main.php",
            "<?php\n/* new Never\\Thing */\nif ($argc) { $x = new Made\\Deep\\Thing(1); }",
            {"/usr/share/php/Made/Deep/Thing.php": "<?php", "/usr/share/php/Made/Other.php": "<?php"},
            {"/usr/share/php/Never/Thing.php": "<?php"},
            id="php",
        ),
        pytest.param(
            "/app/main.php",
            "<?php require_once 'Made/autoload.php'; require __DIR__ . '/../inc/part.php';",
            {"/usr/share/php/Made/autoload.php": "<?php", "/usr/share/php/Made/Other.php": "<?php"},
            {"/usr/share/php/Never/Thing.php": "<?php"},
            id="php-path",
        ),
        pytest.param(
            "/app/main.tcl",
            "if {$argc} { package require made::part 1.0 }",
            {
                "/usr/share/tcltk/lib1/made/pkgIndex.tcl": "package ifneeded made::part 1.0 [list source $dir/p.tcl]",
                "/usr/share/tcltk/lib1/made/p.tcl": "",
            },
            {
                "/usr/share/tcltk/lib1/never/pkgIndex.tcl": "package ifneeded never 1.0 {}",
                "/usr/share/tcltk/lib1/never/n.tcl": "",
            },
            id="tcl",
        ),
        pytest.param(
            "/app/main.scm",
            "(use-modules (made up) ((made other) #:select (x)))",
            {
                "/usr/share/guile/site/3.0/made/up.scm": "(define-module (made up))",
                "/usr/lib/x86_64-linux-gnu/guile/3.0/site-ccache/made/up.go": b"\x7fELF",
                "/usr/share/guile/site/3.0/made/other.scm": "",
            },
            {"/usr/share/guile/site/3.0/never/up.scm": ""},
            id="guile",
        ),
    ],
)
def test_other_languages(program: str, text: str, wanted: Files, others: Files) -> None:
    assert kept({program: text, **wanted, **others}, program) == set(wanted)


def test_a_link_to_a_module_is_followed() -> None:
    files: Files = {
        "/app/m.lua": "require 'made'",
        "/usr/lib/lua/5.4/made.so": Link("../../made.so.1"),
        "/usr/lib/made.so.1": b"\x7fELF",
    }
    assert kept(files, "/app/m.lua") == {"/usr/lib/lua/5.4/made.so", "/usr/lib/made.so.1"}


def test_a_description_may_be_a_link_which_may_lead_nowhere() -> None:
    links: Files = {
        f"{GEMS}/specifications/made-1.2.gemspec": Link("/etc/made.gemspec"),
        f"{GEMS}/specifications/other-1.0.gemspec": Link("/etc/never.gemspec"),
    }
    there: Files = {"/etc/made.gemspec": GEM["specifications/made-1.2.gemspec"]}
    files = {"/app/main.rb": "require 'made'; require 'other'", **_below(GEMS, {**GEM, **OTHER_GEM}), **links, **there}
    assert kept(files, "/app/main.rb") >= {*links, *there, f"{GEMS}/specifications/made-needs-3.0.gemspec"}


@pytest.mark.parametrize(("root", "text"), [(PERL, "use {};"), ("/usr/share/php", "<?php new {};")])
def test_a_name_may_have_any_number_of_parts(root: str, text: str) -> None:
    separator, suffix = ("::", "pm") if root == PERL else ("\\", "php")
    program = f"/app/run.{suffix}"
    files = {program: text.format(f"Made{separator}" + f"a{separator}" * 20 + "b"), f"{root}/Made.{suffix}": ""}
    assert kept(files, program) == {f"{root}/Made.{suffix}"}
    assert kept({**files, program: text.format(f"a{separator}" * 5000 + "b")}, program) == set()


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
@pytest.mark.parametrize("word", ["require", "add_dependency", "Depends:"])
def test_white_space_is_passed_over_once(language: Language, word: str) -> None:
    """Steps that grew with its square would take hours."""
    text = (word + " " * 1_000_000).encode()
    assert not learn(text, language).computes
    assert needs(text, language).names == ()


def test_what_two_packages_have_by_one_name_is_not_one_thing() -> None:
    root = "/usr/share/php/Shared"
    files: Files = {
        "/app/main.php": "<?php new Shared\\One;",
        **dict.fromkeys((f"{root}/One.php", f"{root}/Two.php", f"{root}/Doc.php"), ""),
    }
    first = Package(
        manager=Manager.APT, name="one", version="1", location="/", files=(f"{root}/Doc.php", f"{root}/One.php"),
        metadata=frozenset({f"{root}/Doc.php"}),
    )  # fmt: skip
    second = Package(manager=Manager.APT, name="two", version="1", location="/", files=(f"{root}/Two.php",))
    owners = {path: (package,) for package in (first, second) for path in package.files}
    inventory = Inventory(packages=(first, second), owners=owners)
    assert kept(files, "/app/main.php") == {f"{root}/One.php", f"{root}/Two.php", f"{root}/Doc.php"}
    assert kept(files, "/app/main.php", inventory=inventory) == {f"{root}/One.php"}


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
@pytest.mark.parametrize("part", ["a", "a.", "a/", "a::", "a\\", "(a a ", "=a\n", "'a", "/*\n", "--[["])
def test_the_work_grows_with_the_text_and_not_faster(language: Language, part: str) -> None:
    """Steps that grew with its square would take hours."""
    assert not learn((part * 300_000).encode(), language).computes


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
@given(
    parts=st.lists(st.sampled_from([*"ab:/=.-'\"#$\\(){}*[] \n\0é", "use ", "require", "=cut", "::", "(a b)", "\\N{"]))
)
def test_any_text_can_be_read(language: Language, parts: list[str]) -> None:
    raw = "".join(parts).encode()
    for read in (learn, needs, listed):
        facts = read(raw, language)
        assert all(name and "//" not in name for name in facts.names)
