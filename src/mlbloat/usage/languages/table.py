"""The languages: how their files are known, where their modules begin, how a text names one. Data with its sources.

A name is written with `/` between its parts here, whatever the language has there. Patterns see the text without
comments; their first group is what they find, of which each match of `word` is a name.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    name: str
    source: str
    suffixes: tuple[str, ...]
    """Of its texts."""
    interpreters: re.Pattern[str]
    """Base names of the programs that run a text."""
    roots: re.Pattern[str]
    """Directories in which modules are looked up, and in each of which what has one name belongs together."""
    forms: tuple[str, ...]
    """Files that a name may mean in a root."""
    comments: re.Pattern[str]
    word: re.Pattern[str]
    separator: str
    names: tuple[re.Pattern[str], ...]
    beginnings: tuple[re.Pattern[str], ...] = ()
    """What a name begins with whose end is computed."""
    shortened: bool = False
    """A name may go on after the module's, with what is in it."""
    places: re.Pattern[str] | None = None
    """More directories of which each child belongs together, with what other roots have by its name."""
    mark: str = ""
    """A path in directories of which each belongs together."""
    index: re.Pattern[str] | None = None
    """Paths of files that stand for the name in the first group."""
    listing: re.Pattern[str] | None = None
    """Names in the file `mark`, which mean its directory."""
    about: re.Pattern[str] | None = None
    """Paths of files that say what a package needs, and are read for many that nobody uses."""
    needs: re.Pattern[str] | None = None
    """What they need, in their text."""
    on_demand: tuple[tuple[re.Pattern[str], str], ...] = ()
    """What a text does, and the names that the interpreter itself looks up for it."""
    computed: re.Pattern[str] | None = None
    """What puts names together: any module below the text's own name may be meant."""
    together: bool = True
    """What has one name in the roots belongs together; otherwise only what `beside` says."""
    beside: tuple[str, ...] = ()
    """Files in any root that go with the module of a name: `{}`, or with `-` for `/`: `{dashed}`."""
    variable: str = ""
    """Of the environment, with more roots."""


_ALWAYS = re.compile("")
_HASH = re.compile(r"(?m)^[ \t]*#.*$")

PERL = Language(
    name="perl",
    source="perlmod(1), perlfunc(1) require, perlrun(1); perlvar(1), PerlIO(3perl), perlunicode(1) and charnames(3perl)"
    " for what the interpreter loads",
    suffixes=(".pm", ".pl", ".PL", ".ph", ".al", ".psgi", ".t"),
    interpreters=re.compile(r"perl(?:5[\d.]*)?"),
    roots=re.compile(
        r".*/(?:perl5|perl-base|site_perl|vendor_perl|core_perl|perl/5[\d.]*|etc/perl)"
        r"(?:/(?:site_perl|vendor_perl|core_perl))?(?:/5\.[\d.]+)?(?:/[^/]*-linux[^/]*)?"
    ),
    forms=("{}.pm", "{}.pl", "{}.ph"),
    comments=re.compile(r"(?m)^[ \t]*#.*$|^=[a-zA-Z][\s\S]*?(?:^=cut\b.*$|\Z)"),
    word=re.compile(r"\w+(?:(?:::|/)\w+)*"),
    separator="::",
    names=(
        re.compile(r"\b(?:use|no|require|do)\s+[\"']?([A-Za-z_]\w*(?:(?:::|/)\w+)*)"),
        re.compile(r"\b([A-Za-z_]\w*(?:::\w+)+)"),
        re.compile(r"[\"']([A-Z]\w*)[\"']|\b([A-Z]\w*)\s*->"),
        re.compile(r"\bqw\s*[^\w\s]([\w:\s]+)"),
        re.compile(r"\b(\w{1,64}(?:/\w{1,64}){0,16})\.p[lmh]\b"),
        re.compile(r"(?:^|\s)-[mM]-?([A-Z][\w:]*)"),
    ),
    beginnings=(
        re.compile(r"\b([A-Za-z_]\w{0,64}(?:::\w{1,64}){0,16})::(?=[\"'$@%{])"),
        re.compile(r"\b(?!auto/)([A-Za-z_]\w{0,64}(?:/\w{1,64}){0,16})/(?=\$)"),
    ),
    shortened=True,
    on_demand=(
        (_ALWAYS, "strict warnings utf8 feature mro re Carp attributes overloading"),
        (re.compile(r"->\s*\w"), "IO/File IO/Handle"),
        (re.compile(r"[%$]!|\$\{!\}"), "Errno"),
        (re.compile(r"\bglob\b|<[^<>\n]*\*"), "File/Glob"),
        (re.compile(r"[%$@][+-](?![\w=])"), "Tie/Hash/NamedCapture"),
        (re.compile(r"\bopen\b"), "PerlIO/scalar"),
        (re.compile(r":encoding\b"), "PerlIO/encoding"),
        (re.compile(r":via\b"), "PerlIO/via"),
        (re.compile(r"\\N\{|charnames"), "_charnames unicore/Name"),
        (re.compile(r"\bConfig\b"), "Config_heavy"),
        (re.compile(r"\bdbmopen\b"), "AnyDBM_File"),
    ),
    computed=re.compile(
        r"\brequire\s*(?:\(\s*)?(?:[$\"]|join)|\beval\b[^;]{0,200}\b(?:require|use)\b[^;]{0,80}[$]|AUTOLOAD|\breaddir\b"
        r"|[@%]INC\b|\b(?:use_module|use_package_optimistically|require_module|load_class|load_plugin"
        r"|Module::(?:Load|Pluggable|Find))\b"
    ),
    together=False,
    beside=("auto/{}/*", "{}/**", "auto/share/dist/{dashed}/**", "auto/share/module/{dashed}/**"),
    variable="PERL5LIB",
)

RUBY = Language(
    name="ruby",
    source="https://docs.ruby-lang.org/en/3.3/Kernel.html#method-i-require; https://guides.rubygems.org/specification-reference/;"
    " Gem::Specification; encodings: enc/ of ruby; prelude.rb for pp and the helpers of messages",
    suffixes=(".rb", ".ru", ".rake", ".gemspec"),
    interpreters=re.compile(r"(?:j?ruby|truffleruby|rackup|rake)[\d.]*"),
    roots=re.compile(
        r".*/(?:ruby/(?:site_ruby|vendor_ruby)|site_ruby|vendor_ruby|(?<=/ruby/)\d[\d.]*)(?:/\d[\d.]*)?(?:/[^/]*-linux[^/]*)?"
        r"|.*/gems/[^/]+-\d[^/]*/lib|.*/extensions/[^/]+-linux[^/]*/[\d.]+/[^/]+-\d[^/]*"
    ),
    places=re.compile(
        r".*/(?:gems|bundler/gems|specifications|specifications/default|extensions/[^/]+-linux[^/]*/[^/]+)"
    ),
    forms=("{}.rb", "{}.so"),
    comments=re.compile(r"(?m)^[ \t]*#.*$|^=begin\b[\s\S]*?(?:^=end\b.*$|\Z)"),
    word=re.compile(r"[\w.-]+(?:/[\w.-]+)*"),
    separator="/",
    names=(
        re.compile(
            r"\b(?:require|require_relative|load|autoload|gem|require_dependency)\b[^\n'\"]{0,60}['\"]([\w./-]+)"
        ),
        re.compile(r"['\"]/?([\w.-]+(?:/[\w.-]+)+)['\"]"),
        re.compile(r"(?:^|\s)-r\s?([a-z][\w/-]*)"),
    ),
    beginnings=(re.compile(r"['\"]([\w-]+(?:/[\w-]+)*)/#\{"),),
    index=re.compile(r".*/specifications/(?:default/)?([^/]+?)-\d[^/]*\.gemspec"),
    about=re.compile(r".*\.gemspec"),
    needs=re.compile(r"add(?:_runtime)?_dependency\s*(?:\(\s*)?(?:%q<|['\"])([\w.-]+)"),
    on_demand=(
        (_ALWAYS, "rubygems did_you_mean error_highlight syntax_suggest/core monitor pp set"),
        (_ALWAYS, "unicode_normalize/normalize enc/encdb enc/trans/transdb"),
    ),
    variable="RUBYLIB",
)

R = Language(
    name="r",
    source="R Installation and Administration, section 6; Writing R Extensions, sections 1.1 and 1.1.3; ?Startup",
    suffixes=(".R", ".r", ".Rmd", ".Rprofile"),
    interpreters=re.compile(r"R|Rscript|r|littler"),
    roots=re.compile(r".*/R/(?:[^/]+/)?(?:library|site-library|modules)|.*/R/[^/]*-library/[\d.]+"),
    forms=("{}/Meta/package.rds", "{}.so"),
    comments=_HASH,
    word=re.compile(r"[A-Za-z][\w.]*"),
    separator="/",
    names=(
        re.compile(r"\b(?:library|require|p_load|\w*Namespace)\s*\(\s*[\"']?([A-Za-z][\w.]*)"),
        re.compile(r"(?<![\w.])([A-Za-z][\w.]*):::?[\w.`]"),
        re.compile(r"[\"']([A-Za-z][\w.]+)[\"']"),
    ),
    mark="Meta/package.rds",
    about=re.compile(r".*/DESCRIPTION"),
    needs=re.compile(r"(?m)^(?:Depends|Imports|Suggests|Enhances):((?:.*\n)(?:[ \t].*\n)*)"),
    on_demand=(
        (_ALWAYS, "base methods datasets utils grDevices graphics stats tools compiler translations"),
        (_ALWAYS, "R_X11 R_de internet lapack"),
    ),
    variable="R_LIBS",
)

LUA = Language(
    name="lua",
    source="https://www.lua.org/manual/5.4/manual.html#6.3; https://luajit.org/install.html",
    suffixes=(".lua",),
    interpreters=re.compile(r"(?:lua|luajit|texlua)[\d.-]*\w*"),
    roots=re.compile(r".*/(?:share|lib(?:64)?)(?:/[^/]*-linux-[^/]*)?/lua/5\.\d|.*/share/luajit-[^/]+|.*/lualib"),
    forms=("{}.lua", "{}/init.lua", "{}.so"),
    comments=re.compile(r"(?m)(?:^|(?<=\s))--(?:\[(=*)\[[\s\S]*?(?:\]\1\]|\Z)|.*$)"),
    word=re.compile(r"[\w-]+(?:[./][\w-]+)*"),
    separator=".",
    names=(
        re.compile(r"\brequire\b[\s(]*[\"'\[]+([\w./-]+)"),
        re.compile(r"[\"']([A-Za-z_][\w-]*(?:[./][\w-]+)+)[\"']"),
        re.compile(r"(?:^|\s)-l\s?([a-z][\w.]*)"),
    ),
    beginnings=(re.compile(r"[\"']([\w-]+(?:\.[\w-]+)*)\.[\"']\s*\.\."),),
    variable="LUA_PATH",
)

PHP = Language(
    name="php",
    source="https://www.php.net/manual/en/function.include.php; https://www.php-fig.org/psr/psr-4/",
    suffixes=(".php", ".phtml", ".inc", ".php5"),
    interpreters=re.compile(r"(?:php|php-cgi|php-fpm)[\d.]*"),
    roots=re.compile(r".*/(?:share|lib)/(?:php|pear)|.*/vendor(?:/composer)?"),
    forms=("{}.php", "{}/autoload.php", "{}.inc"),
    comments=re.compile(r"(?m)^[ \t]*(?://|#(?!\[)).*$|^[ \t]*/\*[\s\S]*?(?:\*/|\Z)"),
    word=re.compile(r"[\w.-]+(?:[\\/]+[\w.-]+)*"),
    separator="\\",
    names=(
        re.compile(r"\b(?:use|new|extends|implements|instanceof|catch\s*\()\s+\\?([A-Za-z_]\w*(?:\\\w+)*)"),
        re.compile(r"\b([A-Za-z_]\w*(?:\\{1,2}\w+)+)"),
        re.compile(r"['\"]/?([\w.-]+(?:/[\w.-]+)*\.(?:php|inc|phtml))['\"]"),
    ),
    beginnings=(re.compile(r"['\"]\\*([A-Za-z_]\w*(?:\\{1,2}\w+)*)\\{1,2}['\"]\s*\."),),
    shortened=True,
)

TCL = Language(
    name="tcl",
    source="https://www.tcl-lang.org/man/tcl8.6/TclCmd/pkgMkIndex.htm, library.htm and package.htm",
    suffixes=(".tcl", ".tm", ".itcl", ".exp"),
    interpreters=re.compile(r"(?:tclsh|wish|expect|jimsh)[\d.]*"),
    roots=re.compile(r".*/tcltk(?:/[^/]*-linux-[^/]*)?|.*/tcllib[\d.]+|.*/tcl\d(?:/\d[\d.]*|/site-tcl)"),
    forms=("{}.tcl",),
    comments=_HASH,
    word=re.compile(r"[\w.-]+(?:::[\w.-]+)*"),
    separator="::",
    names=(re.compile(r"\bpackage\s+(?:require|present)\s+(?:-exact\s+)?(?:::)?([\w:.-]+)"),),
    mark="pkgIndex.tcl",
    listing=re.compile(r"\bpackage\s+ifneeded\s+\{?([\w:.-]+)"),
    variable="TCLLIBPATH",
)

GUILE = Language(
    name="guile",
    source="https://www.gnu.org/software/guile/manual/html_node/Modules-and-the-File-System.html",
    suffixes=(".scm", ".ss", ".sld"),
    interpreters=re.compile(r"guile(?:-?[\d.]+)?"),
    roots=re.compile(
        r".*/guile(?:/site)?(?:/\d\.\d+)(?:/(?:ccache|site-ccache))?|.*/guile/site|.*/guile-[\d.]+/ccache"
    ),
    forms=("{}.scm", "{}.go"),
    comments=re.compile(r"(?m)^[ \t]*;.*$|^[ \t]*#\|[\s\S]*?(?:\|#|\Z)"),
    word=re.compile(r"[^\s()]+(?:[ ]+[^\s()]+)*"),
    separator=" ",
    names=(re.compile(r"\(([a-z0-9][^\s()\"';,`]*(?:[ ]+[^\s()\"';,`#:]+)+)\)"),),
    on_demand=(
        (_ALWAYS, "ice-9/boot-9 ice-9/eval system/base/compile system/vm/linker system/repl/error-handling"),
        (_ALWAYS, "language/scheme/spec language/tree-il/spec language/bytecode/spec"),
    ),
    variable="GUILE_LOAD_PATH",
)

LANGUAGES = (PERL, RUBY, R, LUA, PHP, TCL, GUILE)
