"""Break a module in every small way and see whether its tests notice.

    python tools/mutate.py lmbook/ngram.py tests/test_ngram.py [more] [--jobs 2] [--most 150] [--at-least 95]

Each mutant is the module with one change: a comparison, an operator, a number, a condition, a statement left
out, a keyword argument left out, a return value lost. It is loaded in place of the module in a fork of this
process, which has imported the heavy packages once, and the tests run until the first one fails. Survivors
are printed; the exit code is 1 if fewer than `--at-least` percent were killed. Checks of types are off: the
tests themselves must notice.

tests/equivalent_mutants.txt lists changes that change nothing, each with its reason; they don't count. A
module is named there by its path inside lmbook, such as decoding/filters.py.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.machinery
import itertools
import os
import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", JAXTYPING_DISABLE="1")  # before torch: forks and its threads don't mix
HEAVY = ["pytest", "torch", "hypothesis", "jaxtyping", "beartype", "scipy.stats", "transformers"]
QUIETLY = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:nbval", "-p", "no:playwright"]
QUIETLY += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
MEMORY = 4 << 30  # bytes that a mutant may take
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
COMPARISONS |= {ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
OPERATORS |= {ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.MatMult: ast.Add}
EQUIVALENT = Path(__file__).resolve().parents[1] / "tests" / "equivalent_mutants.txt"
METHODS = {"amax": "amin", "argmax": "argmin", "max": "min", "min": "max", "any": "all", "all": "any"}


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Replacements of `node`, each wrong in one way."""
    match node:
        case ast.Compare(left, ops, right):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], COMPARISONS[type(op)](), *ops[i + 1 :]], right)
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield ast.AugAssign(target, OPERATORS[type(op)](), value)
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Attribute(value, name, context) if name in METHODS:
            yield ast.Attribute(value, METHODS[name], context)
        case ast.If(test, body, orelse) | ast.IfExp(test, body, orelse) | ast.While(test, body, orelse):
            yield type(node)(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Call(function, arguments, keywords):
            for i in range(len(keywords)):
                yield ast.Call(function, arguments, keywords[:i] + keywords[i + 1 :])
        case ast.Return(value) if value is not None:
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.Raise() | ast.Break():
            yield ast.Pass()


def mutants(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, change, source) of each mutant; annotations, which are checked elsewhere, stay as they are."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in {"annotation", "returns", "decorator_list", "ops", "op", "ctx"}:
                continue
            holder, places = (
                (value, range(len(value))) if isinstance(value, list) else (vars(parent), [field])
            )
            for place in places:
                node = holder[place]
                for other in replacements(node) if isinstance(node, ast.AST) else ():
                    before, after = (
                        ast.unparse(ast.fix_missing_locations(n)).split("\n")[0] for n in (node, other)
                    )
                    holder[place] = other
                    yield getattr(node, "lineno", 0), f"{before}  →  {after}", ast.unparse(tree)
                    holder[place] = node


def equivalent() -> set[str]:
    """The listed changes that change nothing: "module | line of code | before  →  after | reason"."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {line.rpartition(" | ")[0] for line in lines if line.count(" | ") >= 3}


def name_in_package(path: Path) -> str:
    """The path from the folder `lmbook` on, as the list names modules: decoding/filters.py."""
    parts = path.parts
    return "/".join(parts[parts.index("lmbook") + 1 :]) if "lmbook" in parts else path.name


def load_instead(path: Path, source: str) -> None:
    """From now on an import of the module at `path` gets `source`."""
    original = importlib.machinery.SourceFileLoader.get_data

    def get_data(self, name):
        if name.endswith(".pyc") and Path(name).name.split(".")[0] == path.stem:
            raise OSError("no bytecode of a mutant's original")
        return source.encode() if Path(name) == path else original(self, name)

    importlib.machinery.SourceFileLoader.get_data = get_data


def run_tests(path: Path, source: str, tests: list[str], limit: int = resource.RLIM_INFINITY) -> int:
    """Fork; the child runs the tests on this source for at most `limit` CPU seconds. Returns its id."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))  # a mutant that never ends is noticed too
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # and one that grows without end
    sys.dont_write_bytecode = True
    load_instead(path, source)
    with (
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        os.dup2(silence.fileno(), 1), os.dup2(silence.fileno(), 2)
        code = importlib.import_module("pytest").main([*QUIETLY, *tests])
    os._exit(int(code))


def named_mutants(path: Path) -> Iterator[tuple[str, str]]:
    """The name of each mutant that is not listed as harmless, and its source."""
    code, harmless = path.read_text(encoding="utf-8").splitlines(), equivalent()
    for line, change, source in mutants(ast.parse("\n".join(code))):
        name = f"{name_in_package(path)} | {code[line - 1].strip()} | {change}"
        if name not in harmless:
            yield name, source


def judge(path: Path, tests: list[str], jobs: int, most: int, limit: int) -> tuple[int, list[str]]:
    """Run mutants, `jobs` at a time, each for at most `limit` CPU seconds; their number and the survivors."""
    named = list(named_mutants(path))
    pending = iter(named if len(named) <= most else random.Random(0).sample(named, most))
    running, survivors, total = {}, [], 0
    while True:
        for name, source in itertools.islice(pending, jobs - len(running)):
            running[run_tests(path, source, tests, limit)] = name
            total += 1
            if total % 20 == 0:
                print(f"{total} mutants, {len(survivors)} survivors", flush=True)
        if not running:
            return total, survivors
        pid, status = os.wait()
        name = running.pop(pid)
        if status == 0:
            survivors.append(name)
            print("survived:", name, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most", type=int, default=10**6, help="judge only so many, drawn with a fixed seed")
    parser.add_argument("--at-least", type=float, default=95.0, help="percent of the mutants to be killed")
    options = parser.parse_args()
    path = options.module.resolve()
    for name in HEAVY:
        importlib.import_module(name)
    _, status, used = os.wait4(run_tests(path, path.read_text(), options.tests), 0)
    if status:
        print("the tests fail without any mutation")
        return 1
    limit = 10 + 4 * int(used.ru_utime + used.ru_stime)
    total, survivors = judge(path, options.tests, options.jobs, options.most, limit)
    killed = 100 * (total - len(survivors)) / max(total, 1)
    print(f"{options.module}: {total - len(survivors)} of {total} mutants killed, {killed:.1f} %")
    return int(killed < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
