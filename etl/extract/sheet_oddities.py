"""What a workbook's reader keeps to itself, of whatever kind the workbook is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from etl.extract import sheet_biff, sheet_binary, sheet_ods, sheet_xml
from etl.extract.sheet_rewrite import UNSOUND
from etl.extract.sheet_xml import Oddities


def oddities_of(path: Path, sheet: str) -> Oddities:
    """Look through a workbook; nothing is found in formats that are not known, and in parts that are damaged."""
    try:
        with path.open("rb") as file:
            is_old = file.read(4) == sheet_biff.MAGIC
        if is_old:
            return sheet_biff.looked_through(path, sheet)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if sheet_ods.CONTENT in names:
                return sheet_ods.looked_through(archive, sheet)
            if sheet_binary.WORKBOOK in names:
                return sheet_binary.looked_through(archive, sheet)
            return sheet_xml.looked_through(archive, sheet)
    except UNSOUND:
        return Oddities()  # whether the file is sound is the reader's business
