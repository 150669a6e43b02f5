"""The conditions of condition steps: a small language, parsed once and evaluated without any code of the author's.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = operand [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in" ) operand ]
    operand    = "{{" variable "}}" | variable | string | number | "true" | "false" | "null"
               | "[" [ operand { "," operand } ] "]" | "(" condition ")"
    variable   = name { "." name | "[" digits "]" }

A string is in single or double quotes, `\\` before a quote or a backslash; a variable in `{{ }}` within it is replaced
by its text. Evaluation is total: an unknown variable is null; `==` compares as JSON does (`1` equals `1.0`, never
`true`); an order exists between two numbers and between two strings, any other `<` is false; `in` looks for an element
of a list, a member of an object or a part of a string. Null, false, zero and what is empty are false, all else is true.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger_pipeline.errors import InvalidInput

Json = Any
Lookup = Callable[[str], Json]
"""The value of a variable; None for an unknown one."""
_Term = Callable[[Lookup], Json]

MAX_LENGTH = 10_000
MAX_NESTING = 50
PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
"""A variable within a text."""
VARIABLE = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+|\[\d+\])*", re.ASCII)

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<placeholder>\{\{.*?\}\})
      | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)
      | (?P<word>[A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\])*)
      | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_KEYWORDS = frozenset({"and", "or", "not", "in"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


@dataclass(frozen=True)
class Condition:
    """A parsed condition: its text, the variables that it names in order, and what it says of given values."""

    text: str
    variables: tuple[str, ...]
    _term: _Term

    def evaluate(self, lookup: Lookup) -> bool:
        """Whether it holds; it always answers."""
        return truth(self._term(lookup))


def truth(value: Json) -> bool:
    """Whether a value counts as true: null, false, zero, and an empty text, list or object do not."""
    return bool(value)


def text_of(value: Json) -> str:
    """A value within a text: a string as it is, null as nothing, anything else as JSON."""
    import simplejson

    if isinstance(value, str):
        return value
    return "" if value is None else simplejson.dumps(value, ensure_ascii=False, use_decimal=True, default=str)


def equal(left: Json, right: Json) -> bool:
    """Whether two JSON values are the same; a boolean is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[name]) for name, value in left.items())
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(equal, left, right))
    return left == right


def _ordered(left: Json, right: Json) -> bool:
    """Whether one of the two is the greater."""
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    both_numbers = isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal))
    return both_numbers or (isinstance(left, str) and isinstance(right, str))


def _contained(item: Json, holder: Json) -> bool:
    if isinstance(holder, (list, tuple)):
        return any(equal(item, each) for each in holder)
    if isinstance(holder, (str, dict)):
        return isinstance(item, str) and item in holder
    return False


def _compare(sign: str, left: Json, right: Json) -> bool:
    match sign:
        case "==":
            return equal(left, right)
        case "!=":
            return not equal(left, right)
        case "in":
            return _contained(left, right)
        case "not in":
            return not _contained(left, right)
        case _:
            pass
    if not _ordered(left, right):
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0
        self.variables: list[str] = []

    def _fault(self, what: str, at: int) -> InvalidInput:
        return InvalidInput(f"condition: {what} at character {at + 1} of {self._text[:80]!r}")

    def _split(self) -> list[tuple[str, str, int]]:
        tokens: list[tuple[str, str, int]] = []
        at, end = 0, len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._fault(f"{self._text[start]!r} is not understood", start)
            kind = found.lastgroup
            tokens.append((kind, found[kind], found.start(kind)))
            at = found.end()
        return tokens

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "", len(self._text))

    def _takes(self, word: str) -> bool:
        kind, value, _ = self._peek()
        if kind in ("word", "sign") and value == word:
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._fault(f"{sign!r} is missing", self._peek()[2])

    def parse(self) -> _Term:
        term = self._disjunction()
        kind, value, at = self._peek()
        if kind != "end":
            raise self._fault(f"{value!r} is too much", at)
        return term

    def _disjunction(self) -> _Term:
        terms = [self._conjunction()]
        while self._takes("or"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else lambda lookup: any(truth(term(lookup)) for term in terms)

    def _conjunction(self) -> _Term:
        terms = [self._negation()]
        while self._takes("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else lambda lookup: all(truth(term(lookup)) for term in terms)

    def _negation(self) -> _Term:
        times = 0
        while self._takes("not"):
            times += 1
        term = self._comparison()
        return term if times == 0 else lambda lookup: truth(term(lookup)) is (times % 2 == 0)

    def _comparison(self) -> _Term:
        left = self._operand()
        _, sign, _ = self._peek()
        if self._takes("not"):
            self._expect("in")
            sign = "not in"
        elif sign not in _COMPARISONS or not self._takes(sign):
            return left
        right = self._operand()
        return lambda lookup: _compare(sign, left(lookup), right(lookup))

    def _operand(self) -> _Term:
        kind, value, at = self._peek()
        self._next += 1
        if value in ("(", "["):
            self._depth += 1
            if self._depth > MAX_NESTING:
                raise self._fault(f"is nested deeper than {MAX_NESTING} levels", at)
        match kind:
            case "placeholder":
                return self._variable(value[2:-2].strip(), at)
            case "string":
                return self._string(re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL), at)
            case "number":
                number = int(value) if re.fullmatch(r"-?\d+", value) else Decimal(value)
                return lambda _: number
            case "word" if value in _CONSTANTS:
                constant = _CONSTANTS[value]
                return lambda _: constant
            case "word" if value not in _KEYWORDS:
                return self._variable(value, at)
            case "sign" if value == "(":
                inner = self._disjunction()
                self._expect(")")
                self._depth -= 1
                return inner
            case "sign" if value == "[":
                return self._list()
            case _:
                raise self._fault(f"a value was expected, found {value!r}" if value else "a value is missing", at)

    def _list(self) -> _Term:
        items: list[_Term] = []
        while not self._takes("]"):
            if items:
                self._expect(",")
            items.append(self._operand())
        self._depth -= 1
        return lambda lookup: [item(lookup) for item in items]

    def _variable(self, name: str, at: int) -> _Term:
        if not VARIABLE.fullmatch(name):
            raise self._fault(f"{name!r} is no variable", at)
        self.variables.append(name)
        return lambda lookup: lookup(name)

    def _string(self, text: str, at: int) -> _Term:
        for found in PLACEHOLDER.finditer(text):
            self._variable(found[1], at)
        if "{{" not in text:
            return lambda _: text
        return lambda lookup: PLACEHOLDER.sub(lambda found: text_of(lookup(found[1])), text)


def parse_condition(text: str) -> Condition:
    """The condition that a text says; raises InvalidInput with the place of what is not understood."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"condition: has {len(text)} characters; allowed: at most {MAX_LENGTH}")
    parser = _Parser(text)
    term = parser.parse()
    return Condition(text, tuple(parser.variables), term)
