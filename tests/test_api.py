"""House rules that a machine can check, read with ast: data first and settings by keyword, docstrings, sizes."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxface"
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50

FILES = sorted(PACKAGE.rglob("*.py"))
SETTINGS = {"int", "float", "bool", "None"}  # a parameter of only these types is a setting, not data
EXCEPTED_DEFAULTS = {"args"}  # minimise(energy, init, args=()), as scipy has it


def functions(tree: ast.Module, *, public: bool) -> list[ast.FunctionDef]:
    """All functions at any depth, or those of the module that callers see."""
    if not public:
        return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def positional_faults(function: ast.FunctionDef) -> list[str]:
    """Parameters that should be keyword-only: plain numbers and flags, and whatever has a default but is no array."""
    positional = function.args.posonlyargs + function.args.args
    num_required = len(positional) - len(function.args.defaults)
    faults = []
    for place, parameter in enumerate(positional):
        kinds = union_members(parameter.annotation) if parameter.annotation else set()
        is_data = any("Array" in kind or "ndarray" in kind for kind in kinds) or parameter.arg in EXCEPTED_DEFAULTS
        if (place >= num_required and not is_data) or (kinds and kinds <= SETTINGS):
            faults.append(parameter.arg)
    return faults


def union_members(annotation: ast.expr) -> set[str]:
    """The names in `A | B | None`, as written."""
    if isinstance(annotation, ast.BinOp):
        return union_members(annotation.left) | union_members(annotation.right)
    return {ast.unparse(annotation)}


def body_lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.fixture(params=FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def source(request) -> str:
    return request.param.read_text()


def test_settings_are_keyword_only(source):
    faults = {f.name: positional_faults(f) for f in functions(ast.parse(source), public=True)}
    assert {name: found for name, found in faults.items() if found} == {}


def test_public_things_have_docstrings(source):
    tree = ast.parse(source)
    public = functions(tree, public=True)
    public += [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert bare == []
    assert ast.get_docstring(tree) or not tree.body


def test_public_functions_are_fully_annotated(source):
    for function in functions(ast.parse(source), public=True):
        parameters = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        assert [p.arg for p in parameters if p.annotation is None] == [], function.name
        assert function.returns is not None, function.name


def test_files_and_functions_stay_short(source):
    assert len(source.splitlines()) <= MAX_FILE_LINES
    long = {f.name: body_lines(f) for f in functions(ast.parse(source), public=False)}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize(
    ("signature", "faults"),
    [
        ("f(image: Array, *, size: int)", []),
        ("f(image: Array, size: int)", ["size"]),
        ("f(rate: float | None)", ["rate"]),
        ("f(rate: Array | float)", []),
        ("f(diffuse: Array, specular: Array | float = 0.0)", []),
        ("f(image: Array, mode: str = 'x')", ["mode"]),
        ("f(energy: Callable, init: Any, args: tuple = ())", []),
        ("f(path: str | PathLike, mesh: Mesh, *, scale: float = 1.0)", []),
    ],
)
def test_the_rule_itself(signature, faults):
    assert positional_faults(ast.parse(f"def {signature}: ...").body[0]) == faults


def test_the_ruler_itself():
    text = 'def f():\n    """Long.\n\n    Docstring.\n    """\n    a = 1\n\n    return a\n'
    assert body_lines(ast.parse(text).body[0]) == 3
