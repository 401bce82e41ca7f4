"""What a workbook's reader keeps to itself, of whatever kind the workbook is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from etl.extract.spreadsheet.containers import UNSOUND
from etl.extract.spreadsheet.formats import ods, xls, xlsb, xlsx
from etl.extract.spreadsheet.formats.xlsx import SheetQuirks


def quirks_of(path: Path, sheet: str) -> SheetQuirks:
    """Look through a workbook; nothing is found in formats that are not known, and in parts that are damaged."""
    try:
        with path.open("rb") as file:
            is_old = file.read(4) == xls.MAGIC
        if is_old:
            return xls.scan_sheet(path, sheet)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if ods.CONTENT in names:
                return ods.scan_sheet(archive, sheet)
            if xlsb.WORKBOOK in names:
                return xlsb.scan_sheet(archive, sheet)
            return xlsx.scan_sheet(archive, sheet)
    except UNSOUND:
        return SheetQuirks()  # whether the file is sound is the reader's business
