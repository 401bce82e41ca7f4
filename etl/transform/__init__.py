"""Transform: strings become typed values, rows become records, lines of one person become one."""

from etl.transform.dedupe import resolve_duplicates
from etl.transform.transformer import Transformer

__all__ = ["Transformer", "resolve_duplicates"]
