"""Mutants of a module: its source with one small fault each (operators of cosmic-ray, and two own).

Left out: the operators of one kind that say the same twice (a + b becomes a - b, and not also
a * b, a << b, ...), and `|`, which stands in annotations.
"""

import ast
import dataclasses
import pathlib
import random
from collections.abc import Iterator

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

_OPERATORS = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBreakWithContinue",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "ZeroIterationForLoop",
)


class DeleteStatement(Operator):
    """A call, or an assignment to what exists already (`a[b] = c`, `a += b`), is left out."""

    def mutation_positions(self, node):
        """See `Operator`."""
        if node.type == "simple_stmt" and _can_go(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        """See `Operator`."""
        node.children[0] = _written("pass", node.children[0])
        return node

    @classmethod
    def examples(cls):
        """See `Operator`."""
        return Example("f(x)\n", "pass\n"), Example("a.b = 1\n", "pass\n")


class SwapArguments(Operator):
    """The first two arguments of a call by position change places."""

    def mutation_positions(self, node):
        """See `Operator`."""
        if node.type == "arglist" and node.parent.type == "trailer":
            first, second = _by_position(node)[:2] or (None, None)
            if second is not None and first.get_code().strip() != second.get_code().strip():
                yield first.start_pos, second.end_pos

    def mutate(self, node, index):
        """See `Operator`."""
        first, second = _by_position(node)[:2]
        for here, there in ((first, second), (second, first)):
            node.children[node.children.index(here)] = _written(there.get_code(include_prefix=False), here)
        return node

    @classmethod
    def examples(cls):
        """See `Operator`."""
        return (Example("f(x, y, z)", "f(y, x, z)"),)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module's source with one fault.

    Attributes:
      path: the module's file.
      operator: what was done.
      line: where, from 1.
      source: the whole module.
    """

    path: pathlib.Path
    operator: str
    line: int
    source: str

    def __str__(self) -> str:
        before = self.path.read_text().splitlines()
        after = self.source.splitlines()
        changed = next((pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]), ("", ""))
        return f"{self.path}:{self.line} {self.operator}: {changed[0].strip()} -> {changed[1].strip()}"


def mutants(path: pathlib.Path) -> list[Mutant]:
    """All of them whose compiled code differs from the module's."""
    source = path.read_text()
    same = {ast.dump(ast.parse(source))}
    found = []
    for operator in _operators():
        for occurrence, line in enumerate(_lines(source, operator)):
            changed = mutate_code(source, operator, occurrence)
            if changed is None:
                continue
            try:
                tree = ast.dump(ast.parse(changed))
            except SyntaxError:
                continue
            if tree not in same:
                same.add(tree)
                found.append(Mutant(path, type(operator).__name__, line, changed))
    return found


def some(found: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """`number` of a module's mutants, or all where there are no more, drawn by a seed.

    A larger number draws the same ones first.
    """
    order = random.Random(seed).sample(found, len(found))
    return sorted(order[:number], key=lambda mutant: (mutant.line, mutant.operator))


def _operators() -> Iterator[Operator]:
    yield from (get_operator(f"core/{name}")() for name in _OPERATORS)
    yield from (DeleteStatement(), SwapArguments())


def _lines(source: str, operator: Operator) -> list[int]:
    """Where an operator changes something, in the order of its occurrences."""
    return [start[0] for node in ast_nodes(get_ast(source)) for start, _ in operator.mutation_positions(node)]


def _written(text: str, instead_of) -> Name:
    """Any text as one leaf, where another node stands."""
    return Name(text, instead_of.start_pos, instead_of.get_first_leaf().prefix)


def _can_go(statement) -> bool:
    """Whether every name is still there without it: a fault, and not a NameError."""
    if statement.type == "atom_expr":
        return statement.get_last_leaf().value == ")"
    if statement.type != "expr_stmt":
        return False
    target, sign = statement.children[:2]
    if sign.type == "operator" and sign.value != "=":
        return True  # += and its like
    return target.type == "atom_expr" and (target.children[0].value != "self" or len(target.children) > 2)


def _by_position(arguments) -> list:
    """The arguments before the first one with a name or a star."""
    found = []
    for child in arguments.children:
        if child.type == "argument":
            break
        if child.type != "operator":
            found.append(child)
    return found if len(found) > 1 else []
