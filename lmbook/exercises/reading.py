"""Reads a number that a reader typed: "0.25", "1/26", "0.99^100", "log₂(8)", "219,136", "12 %", "2 bits".

`lmbook/widgets/core/judging.js` reads the same on the page.
"""

import math
import re
from collections.abc import Callable
from functools import cache

LONGEST = 80  # characters of an answer
# What is stripped. It is listed since the two languages differ in what is a space.
EDGES = " \t\n\r\f\v\u00a0\u2009\u202f\ufeff"
SENTENCES = {
    "right": "Right. {why}",
    "empty": "There is no answer yet.",
    "long": "An answer has at most {most} characters, and this one has {length}.",
    "no number": "“{given}” can’t be read as a number. Write digits, such as 0.25, 1/4 or 2.5e-3.",
    "comma": "“{given}” has a comma, which means different things in different places. Write a point before "
    "the decimals, and nothing between thousands.",
    "not a number": "“{given}” is not a number that anything could be equal to. Somewhere on the way there "
    "was a logarithm of zero, a division by zero, or an overflow.",
    "by zero": "“{given}” divides by zero.",
    "unit": "The answer is asked for {asked}; “{rest}” is something else. Convert it, or leave the unit out.",
    "in": "in {unit}",
    "in %": "in per cent",
    "in share": "as a share of one",
    "in probability": "as a probability",
    "in times": "as a number of times",
    "no unit": "The answer is a plain number, and “{rest}” is not a part of it.",
    "per cent or share": "“{given}” could be a share of one or a number of per cent. Write it with its sign, "
    "such as “40 %”.",
    "no per cent": "“{given}” is not between 0 and 100 %, and the answer is.",
    "no share": "“{given}” is not between 0 and 1, and the answer is. Per cent are written with their sign, "
    "such as “5 %”.",
    "close": "Close, but not right to {digits} significant digits. Carry more digits on the way and round "
    "last.",
    "small": "{given} is too small.",
    "large": "{given} is too large.",
    "no choice": "“{given}” is none of the choices. Answer with one letter, {first} to {last}.",
    "predicted": "You said {given}; it is {answer}. {text}",
    "noted": "Noted: {given}.",
}
PER_CENT = ("%", "per cent", "percent")
SHORT = {
    "second": ("s", "sec"),
    "MB": ("megabyte", "megabytes"),
    "times": ("x", "×", "time"),
    "tokens": ("tok",),
}
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity|∞)", re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:([,_ '’])\d{3})(?:\1\d{3})*(?![\d,_'’]| \d)", re.ASCII)
# A comma that can only stand before decimals: thousands have three digits and don't begin with 0.
_DECIMALS = re.compile(r"[+-]?(?:0,\d+|\d+,(?:\d\d?|\d{4,}))(?![\d,.])", re.ASCII)
_BEFORE = re.compile(r"^(?:[=≈~]|(?:about|around|roughly|ca\.?) ) *", re.IGNORECASE | re.ASCII)
# Other ways to write a sign. At the end of a text × is a unit.
_SIGNS = (("−", "-"), ("₂", "2"), ("₁₀", "10"), ("÷", "/"), ("½", "(1/2)"), ("¼", "(1/4)"), ("¾", "(3/4)"))
_RAISED = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_PLAIN = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_SPACES = re.compile("[\u00a0\u2009\u202f]")
_CALL = re.compile(r"(log10|log2|log|ln|exp|sqrt) *(?=[(\d.])", re.IGNORECASE | re.ASCII)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "log10": math.log10,
    "log2": math.log2,
    "log": math.log,
    "ln": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
}


def say(name: str, **values: str) -> str:
    """Return one of the `SENTENCES` with its places filled."""
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], SENTENCES[name]).strip()


def asked_in(unit: str) -> str:
    """Return "in bits" or "as a share of one": how an answer is asked for."""
    return say(f"in {unit}") if f"in {unit}" in SENTENCES else say("in", unit=unit)


@cache
def spellings(unit: str) -> tuple[str, ...]:
    """Return what may stand behind a number: "tokens per second" also as "tokens", "token", "tokens/s" …"""
    if not unit:
        return ()
    words = unit.split()
    singular = words[0].removesuffix("s") if len(words[0]) > 2 else words[0]
    firsts = {words[0], singular, *SHORT.get(words[0], ())}
    found = {" ".join([first, *words[1:n]]) for first in firsts for n in range(1, len(words) + 1)}
    if words[1:2] == ["per"]:
        below = (words[2], *SHORT.get(words[2], ()))
        found |= {f"{first}{per}{last}" for first in firsts for per in ("/", " per ") for last in below}
    return tuple(sorted({text.lower() for text in found}))


def read_number(given: str, unit: str = "", *, grouped: bool = False) -> tuple[float, str]:
    """Read a number or a small calculation; return its value and "", or NaN and what is wrong with it.

    Args:
        given: what was typed. ln and log are natural; ^ and ** are powers. Behind it may stand the unit, or
            per cent, which divide by a hundred unless they are the unit.
        unit: what the answer counts.
        grouped: whether 219,136 has its thousands apart; elsewhere a comma may be a decimal point, and 0,5
            is read so, where 1,000 could be either. Thousands apart by a space, an underscore or an
            apostrophe are read everywhere.
    """
    text = _in_one_form(given.strip(EDGES), grouped)
    if _NO_NUMBER.fullmatch(text):
        return math.nan, say("not a number", given=given)
    if re.match(r"[+-]?[\d.]*,", text, re.ASCII):
        return math.nan, say("comma", given=given)
    try:
        value, rest = _Calculation(text).result()
    except SyntaxError:
        return math.nan, say("no number", given=given)
    except ZeroDivisionError:
        return math.nan, say("by zero", given=given)
    except (OverflowError, ValueError):
        return math.nan, say("not a number", given=given)
    return _without_unit(value, rest, unit)


def _in_one_form(text: str, grouped: bool) -> str:
    """Return `text` with one sign for each thing, digits without gaps, and nothing before the number."""
    for other, sign in _SIGNS:
        text = text.replace(other, sign)
    text = _BEFORE.sub("", _SPACES.sub(" ", text))
    text = re.sub(r"×(?= *[^ ])|(?<=[\d)]) *x *(?=[\d(])", "*", text, flags=re.ASCII)
    text = _RAISED.sub(lambda match: f"^{match[0].translate(_PLAIN)}", text)
    text = _THOUSANDS.sub(
        lambda match: match[0].replace(match[1], "") if grouped or match[1] != "," else match[0], text
    )
    return text.replace(",", ".", 1) if not grouped and _DECIMALS.match(text) else text


def _without_unit(value: float, rest: str, unit: str) -> tuple[float, str]:
    told = re.sub(r" *([/ ]) *", r"\1", rest.lower())
    if told in PER_CENT and unit in ("", "%", "share", "probability"):
        return (value if unit == "%" else value / 100), ""
    if not rest or told in spellings(unit):
        return value, ""
    return math.nan, say("unit", asked=asked_in(unit), rest=rest) if unit else say("no unit", rest=rest)


class _Calculation:
    """Computes what stands at the beginning of a text: sums, products, powers, brackets, logarithms."""

    def __init__(self, text: str):
        self.text, self.place = text, 0

    def result(self) -> tuple[float, str]:
        value = self.sum()
        rest = self.text[self.place :].strip(EDGES).rstrip(".")
        if re.search(r"\d", rest, re.ASCII):
            raise SyntaxError
        return value, rest

    def take(self, *signs: str) -> str:
        """Return the first of `signs` that stands here, and step over it."""
        while self.text[self.place : self.place + 1] == " ":
            self.place += 1
        for sign in signs:
            if self.text.startswith(sign, self.place):
                self.place += len(sign)
                return sign
        return ""

    def sum(self) -> float:
        value = self.product()
        while sign := self.take("+", "-"):
            value = _finite(value + self.product() if sign == "+" else value - self.product())
        return value

    def product(self) -> float:
        value = self.signed()
        while sign := self.take("*", "·", "/"):
            value = _finite(value / self.signed() if sign == "/" else value * self.signed())
        return value

    def signed(self) -> float:
        sign = self.take("+", "-")
        value = self.power()
        return -value if sign == "-" else value

    def power(self) -> float:
        base = self.atom()
        return _finite(math.pow(base, self.signed())) if self.take("**", "^") else base

    def atom(self) -> float:
        if self.take("("):
            value = self.sum()
            if not self.take(")"):
                raise SyntaxError
            return value
        if match := _CALL.match(self.text, self.place):
            self.place = match.end()
            return _finite(_FUNCTIONS[match[1].lower()](self.atom()))
        match = _NUMBER.match(self.text, self.place)
        if not match:
            raise SyntaxError
        self.place = match.end()
        return _finite(float(match[0]))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value
