"""The grammar, and what a person reads when a text does not follow it.

LALR with the tree built bottom-up, so neither parsing nor building recurses however deep somebody nests brackets.
The parser is built once, on first use (about 15 ms).
"""

import functools
import re
from collections.abc import Iterator
from typing import cast

import lark

from shared.rules.expressions.syntax import Attribute, Call, Comparison, Concatenation, Constant, Empty, Node
from shared.rules.expressions.values import ExpressionError

MAX_LENGTH = 10_000
"""Characters of an expression, as documented for Entra."""

MAX_DEPTH = 200
"""Calls inside calls; keeps evaluation far below Python's recursion limit."""

_GRAMMAR = r"""
?start: comparison
?comparison: concatenation
    | concatenation COMPARE concatenation -> compare
?concatenation: primary
    | primary ("&" primary)+ -> concatenate
?primary: STRING -> string
    | HEX -> hexadecimal
    | NUMBER -> number
    | ATTRIBUTE -> attribute
    | NAME -> bare_name
    | NAME _OPEN arguments ")" -> call
    | "(" comparison ")"
_OPEN: "("
arguments: argument (COMMA argument)*
?argument: comparison | empty
empty:
COMMA: ","

STRING: /"(?:\\[\s\S]|[^"\\])*"/
ATTRIBUTE: /\[[^\[\]"]+\]/
HEX: /&H[0-9A-Fa-f]+/
NUMBER: /-?[0-9]+(?:\.[0-9]+)?/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
COMPARE: "<>" | ">=" | "<=" | "=" | ">" | "<"
%ignore /\s+/
"""
_ESCAPE = re.compile(r'\\(["\\])')
_ATTRIBUTE = re.compile(r"\[[^\[\]\"]+\]")
_CURLY_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019"
_LOGIC = {"and", "or", "xor", "andalso", "orelse"}


def parse(text: str) -> Node:
    """Answer the parsed expression.

    Raises:
        ExpressionError: the text is empty, too long, too deep, or not an expression.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"at most {MAX_LENGTH:,} characters were expected, the expression has {len(text):,}", MAX_LENGTH + 1
        )
    if not text.strip():
        raise ExpressionError('an expression was expected, for example Append([mailNickname], "@contoso.com")', 1)
    try:
        return cast(Node, _parser().parse(text))
    except lark.UnexpectedInput as unexpected:
        raise _explain(text, unexpected) from None


@functools.cache
def _parser() -> lark.Lark:
    return lark.Lark(_GRAMMAR, parser="lalr", lexer="contextual", transformer=_Nodes())


@lark.v_args(inline=True)
class _Nodes(lark.Transformer[lark.Token, Node]):
    """Builds the nodes of `syntax` while the parser reduces."""

    def string(self, token: lark.Token) -> Node:
        return Constant(_column(token), _ESCAPE.sub(r"\1", token[1:-1]))

    def hexadecimal(self, token: lark.Token) -> Node:
        return Constant(_column(token), _in_range(token, int(token[2:], 16)))

    def number(self, token: lark.Token) -> Node:
        if "." in token:
            return Constant(_column(token), float(token))
        return Constant(_column(token), _in_range(token, int(token[:32])))

    def attribute(self, token: lark.Token) -> Node:
        name = token[1:-1].strip()
        if not name:
            raise ExpressionError("an attribute name was expected between [ and ]", _column(token))
        return Attribute(_column(token), name)

    def bare_name(self, token: lark.Token) -> Node:
        truth = {"True": True, "False": False}
        return Constant(_column(token), truth.get(token, str(token)), bare=str(token) not in truth)

    def empty(self) -> Node:
        return Empty(0)

    def arguments(self, *arguments: Node | lark.Token) -> tuple[Node, ...]:
        if len(arguments) == 1 and isinstance(arguments[0], Empty):
            return ()
        nodes: list[Node] = []
        column = 0
        for part in reversed(arguments):
            if isinstance(part, lark.Token):
                column = _column(part)
            else:
                nodes.append(Empty(column) if isinstance(part, Empty) else part)
        return tuple(reversed(nodes))

    def call(self, name: lark.Token, arguments: tuple[Node, ...]) -> Node:
        column = _column(name)
        return Call(column, str(name), arguments, _depth(column, arguments))

    def compare(self, left: Node, operator: lark.Token, right: Node) -> Node:
        column = _column(operator)
        return Comparison(column, str(operator), left, right, _depth(column, (left, right)))

    def concatenate(self, *parts: Node) -> Node:
        return Concatenation(parts[0].column, parts, _depth(parts[0].column, parts))


def _column(token: lark.Token) -> int:
    return (token.start_pos or 0) + 1


def _in_range(token: lark.Token, number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ExpressionError("a number of at most 64 bits was expected", _column(token))
    return number


def _depth(column: int, parts: tuple[Node, ...]) -> int:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > MAX_DEPTH:
        raise ExpressionError(f"at most {MAX_DEPTH} calls inside each other were expected", column)
    return depth


def _explain(text: str, unexpected: lark.UnexpectedInput) -> ExpressionError:
    """Say what was expected in the words of the person who wrote the expression."""
    position = unexpected.pos_in_stream
    at_end = position is None or position < 0 or position >= len(text) or _ended(unexpected)
    position = len(text) if at_end or position is None else position
    found = text[position : position + 1]
    if found == '"':
        return ExpressionError('a text opened with " is never closed, or a comma is missing before it', position + 1)
    if found and found in _CURLY_QUOTES:
        return ExpressionError(f'straight double quotes " were expected, not {found}', position + 1)
    if found == "'":
        return ExpressionError('text belongs in double quotes "..."', position + 1)
    unclosed = _unclosed(text)
    if at_end and unclosed is not None:
        return ExpressionError(
            f"the ( at column {unclosed} is never closed; a ) was expected at the end", len(text) + 1
        )
    if at_end:
        return ExpressionError("the expression ends too early; a value was expected", len(text) + 1)
    word = _word_at(text, position)
    if word.lower() in _LOGIC:
        return ExpressionError(f"there is no {word}; nest IIF inside IIF instead", position + 1)
    if found == ")":
        return ExpressionError("this ) closes nothing, or a value is missing before it", position + 1)
    if found == "]" or (found == "[" and not _ATTRIBUTE.match(text, position)):
        return ExpressionError("an attribute is written [name]", position + 1)
    return ExpressionError(
        f"{word or found} was not expected here; a comma, a ) or an operator (& = <> > >= < <=) was expected",
        position + 1,
    )


def _ended(unexpected: lark.UnexpectedInput) -> bool:
    return isinstance(unexpected, lark.UnexpectedToken) and unexpected.token.type == "$END"


def _word_at(text: str, position: int) -> str:
    match = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").match(text, position)
    return match.group()[:40] if match else ""


def _unclosed(text: str) -> int | None:
    """Answer the column of the innermost ( without its ), ignoring text and attribute names."""
    opened: list[int] = []
    for token in _brackets(text):
        if token.group() == "(":
            opened.append(token.start() + 1)
        elif token.group() == ")" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _brackets(text: str) -> Iterator[re.Match[str]]:
    return re.finditer(r'"(?:\\[\s\S]|[^"\\])*"|\[[^\[\]"]*\]|[()]', text)
