"""Settings are read where they are used, and what is remembered hangs on an application or on arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.places import ROOT

PACKAGES = ("webapp", "webserver", "tasks", "models", "runtime", "migrations", "sandbox", "bench")

#: What a process begins with: there, and nowhere else, settings are read at import.
ENTRY_POINTS = {"wsgi.py", "gunicorn.conf.py", "migrations/env.py", "tasks/app.py", "tasks/flower.py"}

READERS = {"get", "get_or_exit", "of_process"}

#: What the modules of the web may keep for the whole process, and why no application sees another one by it.
MAY_KEEP = {
    "webapp/agents/runner.py _schema": "a schema holds nothing but its fields",
    "webapp/nudge.py _producer": "one for each settings: it publishes to the broker that they name",
    "webapp/ops/health.py newest_revision": "read from files of the code",
    "webapp/staff/tries.py _hashers": "threads and their memory are the process's; they keep nothing",
    "webapp/unit_of_work.py _shares": "one for each pool, and a pool is of one settings",
}

#: What calls at the level of a module may make: it does not change.
CONSTANT = {
    "Blueprint",
    "ContextVar",
    "File",
    "ParamSpec",
    "TypeVar",
    "getLogger",
    "option",
    "partial",
    "per_app",
}
#: What may change although its name, in capitals, says that it is a constant.
CONTAINERS = {"Counter", "OrderedDict", "WeakKeyDictionary", "defaultdict", "deque", "dict", "list", "set"}
#: What they remember hangs on a function.
CACHES = {"cache", "lru_cache"}


def sources(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    files = [*ROOT.glob("*.py"), *(path for each in packages for path in (ROOT / each).rglob("*.py"))]
    for path in files:
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of its functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        kept: list[ast.AST] = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        kept += [] if isinstance(node, ast.Lambda) else node.decorator_list
    else:
        kept = list(ast.iter_child_nodes(node))
        yield node
    for each in kept:
        yield from at_import(each)


def name_of(node: ast.AST) -> str:
    """The last part of what is called: `lru_cache` of `functools.lru_cache(maxsize=4)`."""
    if isinstance(node, ast.Call | ast.Subscript):
        return name_of(node.func if isinstance(node, ast.Call) else node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def reads(tree: ast.Module) -> list[str]:
    """Where a module asks for settings as it is imported."""
    bare = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "settings"
        for alias in node.names
        if alias.name in {*READERS, "Settings"}
    }
    return [
        f"line {node.lineno}"
        for node in at_import(tree)
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func) in {f"settings.{each}" for each in {*READERS, "Settings"}}
            or (isinstance(node.func, ast.Name) and node.func.id in bare)
        )
    ]


def kept(body: list[ast.stmt], *, of_a_class: bool = False) -> Iterator[str]:
    """The names in a module or a class behind which something can grow or change while the process lives.

    Objects in a class are mostly the fields of its instances.
    """
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{each}" for each in kept(node.body, of_a_class=True))
        elif isinstance(node, ast.FunctionDef):
            if any(name_of(each) in CACHES for each in node.decorator_list):
                yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if not name.startswith("__") and changes(node.value, constant=name.isupper() or of_a_class):
                yield name


def changes(value: ast.expr, *, constant: bool) -> bool:
    """Whether what is assigned there can change, where nothing says that it is a constant."""
    if isinstance(value, ast.Call):
        made_by = name_of(value)
        return made_by in {*CONTAINERS, *CACHES} or not (constant or made_by in CONSTANT)
    return not constant and isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp)


def test_no_module_reads_settings_as_it_is_imported() -> None:
    found = {where: lines for where, tree in sources(*PACKAGES) if (lines := reads(tree))}
    assert {where: lines for where, lines in found.items() if where not in ENTRY_POINTS} == {}


def test_no_module_of_the_web_keeps_what_belongs_to_an_application() -> None:
    found = {
        f"{where} {name}" for where, tree in sources("webapp") if "/" in where for name in kept(tree.body)
    }
    assert found == set(MAY_KEEP)


@pytest.mark.parametrize(
    "source",
    [
        "config = settings.get()",
        "class Limit:\n    most = settings.get().web_threads",
        "def ask(most=settings.get().web_threads): ...",
        "def ask(*, config=settings.of_process()): ...",
        "@limited(settings.get().web_threads)\ndef ask(): ...",
        "ask = lambda config=settings.get(): config",
        "try:\n    settings.get_or_exit()\nexcept SettingsError:\n    raise",
        "from settings import get as ours\nconfig = ours()",
        "from settings import Settings\nconfig = Settings()",
    ],
)
def test_it_is_seen_wherever_settings_are_read_at_import(source: str) -> None:
    assert reads(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "def ask():\n    return settings.get()",
        "ask = lambda: settings.get()",
        "class Limit:\n    def most(self): return settings.get().web_threads",
        "def ask(config: settings.Settings | None = None): ...",
    ],
)
def test_what_asks_later_may_ask(source: str) -> None:
    assert reads(ast.parse(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "_noted = {}",
        "_quiet_until: list[float] = [0.0]",
        "_used: OrderedDict[str, Use] = OrderedDict()",
        "POOLS = deque(maxlen=16)",
        "_trace = Trace(_add)",
        "_lock = threading.Lock()",
        "@cache\ndef threads(): ...",
        "@functools.lru_cache(maxsize=4)\ndef threads(): ...",
        "opened = lru_cache(maxsize=4)(unseal)",
        "class Trace:\n    @cache\n    def known(self): ...",
        "class Trace:\n    known: ClassVar[dict[str, str]] = dict()",
    ],
)
def test_it_is_seen_whatever_a_module_keeps(source: str) -> None:
    assert list(kept(ast.parse(source).body))


@pytest.mark.parametrize(
    "source",
    [
        "accounts = per_app(Guesses)",
        "@per_app\ndef threads(): ...",
        "_NAMES = {}",
        "log = logging.getLogger()",
    ],
)
def test_what_is_of_each_application_and_what_is_constant_may_be_there(source: str) -> None:
    assert list(kept(ast.parse(source).body)) == []
