"""Amounts in words, the same in the panel and on the command line."""

from __future__ import annotations


def size(count: int | float) -> str:
    """Bytes as "0 B", "1.5 MB", "312 GB"; 1 kB = 1024 bytes, as in the traffic limits."""
    amount = float(count)
    units = ["TB", "GB", "MB", "kB", "B"]
    # 999.5 would be shown as "1000": the next unit is shorter.
    while amount >= 999.5 and len(units) > 1:
        amount /= 1024
        units.pop()
    unit = units[-1]
    digits = 0 if unit == "B" or amount >= 99.95 else 1
    return f"{amount:.{digits}f}".removesuffix(".0") + f" {unit}"
