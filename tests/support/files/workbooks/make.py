"""Makes the workbooks beside this file with LibreOffice: python tests/workbooks/make.py. CI reads them only."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import openpyxl

HERE = Path(__file__).resolve().parent
FORMATS = {"xlsx": "Calc MS Excel 2007 XML", "xls": "MS Excel 97", "ods": "calc8"}
HEADER: list[Any] = ["Email", "Zip", "Phone", "Points", "Joined", "Seen", "VIP", "Half", "Broken", "Sum"]
LEAP, LAST = dt.date(2024, 2, 29), dt.date(2023, 12, 31)
EARLY, LATE = dt.datetime.fromisoformat("2024-02-29T08:30"), dt.datetime.fromisoformat("2023-12-31T23:59:59")
ROWS: list[list[Any]] = [
    ["ann@mapleshop.com", "01040", "+4915112345678", 12, LEAP, EARLY],
    ["bob@mapleshop.com", "99950", 447911123456, 7, LAST, LATE],
]
FORMULAS: list[list[Any]] = [[True, 12.5, "=NA()", "=1+1"], [False, "=1/4", "=1/0", '=CONCATENATE("a";"b")']]


def main() -> None:
    """Write one workbook with openpyxl, let LibreOffice calculate it and save it in its own ways."""
    soffice = shutil.which("soffice")
    if soffice is None:
        raise SystemExit("LibreOffice (soffice) is not on this machine")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "People"
    for row in [["Customers of 2024"], [], HEADER, *(cells + made for cells, made in zip(ROWS, FORMULAS, strict=True))]:
        sheet.append([cell.replace(";", ",") if isinstance(cell, str) and cell[:1] == "=" else cell for cell in row])
    sheet.row_dimensions[5].hidden = True
    sheet.merge_cells("A1:C1")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "libreoffice.xlsx"
        book.save(source)
        for ending, filter_ in FORMATS.items():
            command = [soffice, "--headless", "--convert-to", f"{ending}:{filter_}", "--outdir", str(HERE), str(source)]
            subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
