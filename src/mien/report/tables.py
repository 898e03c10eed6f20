"""Tables and numbers as text, for pages and terminals alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.csv_files import read_rows

_SMALLEST_P = 1e-300
_LATEX = {sign: "\\" + sign for sign in "#$%&_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\0": r"\,",
    "±": r"$\pm$", "\u2212": "$-$", "<": "$<$", ">": "$>$",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A head and rows of text; the first column names the row. `total`: the last row sums the others up."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def read_table(path: Path) -> Table:
    """The table of a CSV file, its head with spaces for underscores."""
    rows = read_rows(path, (), dict, "make it again, or remove it")
    head = tuple(name.replace("_", " ") for name in next(iter(rows), {}))
    return Table(head, tuple(tuple(row.values()) for row in rows))


def counts_table(counts: Mapping[str, Mapping[str, int]], sums: bool = True) -> Table:
    """Images by class and part, with each class's share of all; `sums` adds a column over the parts."""
    total = sum(sum(by_class.values()) for by_class in counts.values())
    rows = []
    for name in next(iter(counts.values())):
        numbers = [by_class[name] for by_class in counts.values()]
        cells = [*numbers, *([sum(numbers)] if sums else [])]
        rows.append((name, *(f"{number:,}" for number in cells), percent(sum(numbers) / max(total, 1))))
    sizes = [sum(by_class.values()) for by_class in counts.values()]
    last = ("all", *(f"{number:,}" for number in [*sizes, *([total] if sums else [])]), "100 %")
    return Table(("class", *counts, *(["all"] if sums else []), "share"), (*rows, last), total=True)


def latex_table(table: Table) -> str:
    """A table for a paper, in the manner of the package booktabs.

    >>> print(latex_table(Table(("model", "accuracy"), (("my_net", "86.1 %"),))))
    \\begin{tabular}{lr}
    \\toprule
    model & accuracy \\\\
    \\midrule
    my\\_net & 86.1\\,\\% \\\\
    \\bottomrule
    \\end{tabular}
    """
    head, *rows = (" & ".join(map(_latex, line)) + r" \\" for line in (table.head, *table.rows))
    begin = rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"])


def _latex(text: str) -> str:
    """Text as LaTeX shows it as it is; signs of mathematics in math mode."""
    text = text.replace(" %", "\0%")
    return "".join(_LATEX.get(sign, sign) for sign in text)


def percent(share: float) -> str:
    """A share as `86.1 %`."""
    return f"{share * 100:.1f} %"


def whole_percent(share: float) -> str:
    """A share as `86 %`."""
    return f"{share * 100:.0f} %"


def percent_interval(interval: Sequence[float]) -> str:
    """The ends of an interval of shares, as `77.1 % to 79.9 %`."""
    low, high = interval
    return f"{percent(low)} to {percent(high)}"


def ends(interval: Sequence[float]) -> str:
    """The ends of an interval of scores from 0 to 1, as `0.771 to 0.799`."""
    low, high = interval
    return f"{low:.3f} to {high:.3f}"


def minus(number: str) -> str:
    """A number with a true minus sign."""
    return number.replace("-", "\u2212")


def signed(share: float) -> str:
    """A difference of shares in percentage points, with its sign: `+0.8`."""
    return minus(f"{share * 100:+.1f}")


def p_value(p: float) -> str:
    """`p = 0.032`; never `p = 0`, which no finite number of faces can show."""
    return f"p < {_SMALLEST_P:g}" if p < _SMALLEST_P else f"p = {p:.2g}"


def title(model: str, data: str, split: str, n: int) -> str:
    """What a figure is of, in one line."""
    return f"{model} on {data} ({split}, n = {n:,})"


def joined(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
