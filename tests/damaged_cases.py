"""Raw files of the small market as they go wrong: name, damage, and what the refusal says of it."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from damage import (
    as_socket,
    in_bytes,
    in_cell,
    in_contract,
    in_curves,
    in_every_cell,
    in_lines,
    in_place_of,
    in_text,
    iso,
    month_first,
    swap_columns,
    with_date,
    with_price,
)

from ironore_lightning.reading import raw_bytes as files

GROUP, INDEX = "group.csv", "Raw_65and62_Index.csv"
STOCK, SHIPS = "IOCJ Inventory.csv", "IOCJ Weekly Shipment.csv"
LEG_65, LEG_62 = "Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"
JUNE, JULY = pd.Period("2025-06", "M"), pd.Period("2025-07", "M")

CSV = {
    "empty": (in_bytes(GROUP, lambda _: b""), "group.csv: is empty (no bytes)"),
    "mark only": (in_bytes(GROUP, lambda raw: raw[:3]), "group.csv: is empty (only blank lines)"),
    "header only": (
        in_lines(GROUP, lambda lines: lines[:1]),
        "group.csv: holds a header and no row below it",
    ),
    "header cut off": (in_lines(GROUP, lambda lines: lines[1:]), "group.csv: there is no column"),
    "cut within a line": (
        in_bytes(GROUP, lambda raw: raw[:2000]),
        "group.csv: line 45 has 3 cells, the header has 7: is the line whole",
    ),
    "cut within the header": (
        in_bytes(GROUP, lambda raw: raw[:40]),
        "group.csv: holds a header and no row",
    ),
    "cut at a line": (
        in_lines(GROUP, lambda lines: lines[:50]),
        "group.csv: the last value of 'Ukraine Concentrate fines' is of 2025-06-06, 68 days before",
    ),
    "newest half lost": (
        in_lines(INDEX, lambda lines: lines[:1] + lines[60:]),
        f"{INDEX}: the last value of '62 Index' is of",
    ),
    "middle lost": (
        in_lines(GROUP, lambda lines: lines[:20] + lines[60:]),
        "group.csv: group has no value between 2025-04-25 and 2025-06-23 (59 days, 45 are allowed)",
    ),
    "semicolons": (
        in_text(GROUP, lambda text: text.replace(",", ";")),
        "group.csv: only one column was found, 'Date;Ukraine Concentrate fines;lump premium;IOCJ",
    ),
    "tabs": (
        in_text(INDEX, lambda text: text.replace(",", "\t")),
        f"{INDEX}: only one column was found, 'Date\\t62 Index\\t65 Index': is the delimiter right",
    ),
    "semicolons and decimal commas": (
        in_text(INDEX, lambda text: text.replace(",", ";").replace(".", ",")),
        f"{INDEX}: line 2 has 3 cells, the header has 1: is the line whole, and is the delimiter",
    ),
    "utf-16": (
        in_bytes(GROUP, lambda raw: raw.decode("utf-8-sig").encode("utf-16")),
        "group.csv: line 1 is not UTF-8 (byte 0xff): set encoding: utf-16",
    ),
    "utf-16 unmarked": (
        in_bytes(GROUP, lambda raw: raw.decode("utf-8-sig").encode("utf-16-le")),
        "group.csv: line 1 holds a zero byte",
    ),
    "latin-1": (
        in_bytes(GROUP, lambda raw: raw.replace(b"lump premium", b"lump pr\xe9mium")),
        "group.csv: line 1 is not UTF-8 (byte 0xe9)",
    ),
    "zero byte": (
        in_cell(STOCK, 5, 1, lambda cell: "\0" + cell),
        f"{STOCK}: line 5 holds a zero byte",
    ),
    "rubbish": (
        in_bytes(GROUP, lambda _: np.random.default_rng(0).bytes(5000)),
        "group.csv: line 1 is not UTF-8",
    ),
    "a gzip": (in_bytes(GROUP, gzip.compress), "group.csv: line 1 is not UTF-8 (byte 0x8b)"),
    "a web page": (
        in_text(GROUP, lambda _: "<html><body>Please log in</body></html>\n"),
        "group.csv: only one column was found, '<html><body>Please log in</body></html>'",
    ),
    "a marker of a large file store": (
        in_text(GROUP, lambda _: "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "group.csv: only one column was found",
    ),
    "ISO dates": (
        in_every_cell(GROUP, 0, iso),
        "group.csv: column 'Date', line 2: '2025-04-01' is not a date written as '%d/%m/%Y'",
    ),
    "months first": (
        in_every_cell(GROUP, 0, month_first),
        "group.csv: column 'Date', line 11: '4/14/2025' is not a date written as '%d/%m/%Y'",
    ),
    "mixed dates": (
        in_cell(GROUP, 20, 0, iso),
        "group.csv: column 'Date', line 20: '2025-04-25' is not a date",
    ),
    "two-digit years": (
        in_every_cell(STOCK, 0, lambda date: date.replace("/2025", "/25")),
        f"{STOCK}: column 'Date', line 2: '12/8/25' is not a date",
    ),
    "dates of a spreadsheet": (
        in_cell(GROUP, 7, 0, "45755"),
        "group.csv: column 'Date', line 7: '45755' is not a date",
    ),
    "dates with a time": (
        in_cell(GROUP, 7, 0, lambda date: date + " 00:00"),
        "group.csv: column 'Date', line 7: '8/4/2025 00:00' is not a date",
    ),
    "impossible date": (
        in_cell(STOCK, 3, 0, "31/6/2025"),
        f"{STOCK}: column 'Date', line 3: '31/6/2025' is not a date",
    ),
    "no date": (
        in_cell(INDEX, 9, 0, ""),
        f"{INDEX}: column '62 Index', line 9: a value without a date",
    ),
    "a century ago": (
        in_cell(GROUP, 20, 0, lambda date: date.replace("2025", "1925")),
        "group.csv: group has no value between 1925-04-25 and 2025-04-01",
    ),
    "the first century": (
        in_cell(SHIPS, 3, 0, lambda date: date.replace("2025", "0025")),
        f"{SHIPS}: shipment has no value between 0025-04-13 and 2025-04-06",
    ),
    "the next century": (
        in_cell(GROUP, 20, 0, lambda date: date.replace("2025", "2125")),
        "group.csv: the last date of group, 2125-04-25, lies 36414 days after that of every",
    ),
    "next year": (
        in_cell(INDEX, 2, 0, "2026-08-13"),
        f"{INDEX}: the last date of index, 2026-08-13, lies 365 days after",
    ),
    "a year late throughout": (
        in_every_cell(SHIPS, 0, lambda date: date.replace("2025", "2024")),
        f"{SHIPS}: the last value of 'IOCJ Weekly shipment' is of 2024-08-10, 368 days before",
    ),
    "a date twice": (
        in_lines(GROUP, lambda lines: [*lines, lines[5]]),
        "group.csv: the date 2025-04-07 is there twice, on line 6 and line 99; keep one",
    ),
    "every line twice": (
        in_lines(SHIPS, lambda lines: lines + lines[1:]),
        f"{SHIPS}: the date 2025-04-06 is there twice, on line 2 and line ",
    ),
    "daily dates in a weekly file": (
        in_lines(
            STOCK,
            lambda lines: [
                lines[0],
                *(f"{date:%d/%m/%Y},100 ," for date in pd.bdate_range("2025-05-01", "2025-08-12")),
            ],
        ),
        f"{STOCK}: from 2025-05-01 on, values are 1 days apart (median), but frequency: weekly",
    ),
    "no date column": (
        in_lines(GROUP, lambda lines: [line.partition(",")[2] for line in lines]),
        "group.csv: there is no column 'Date'",
    ),
    "date column renamed": (
        in_cell(GROUP, 1, 0, "Day"),
        "group.csv: there is no column 'Date'",
    ),
    "no such column": (
        in_lines(INDEX, lambda lines: [line.rpartition(",")[0] for line in lines]),
        f"{INDEX}: there is no column '65 Index'; did you mean '62 Index'?; its columns are 'Date'",
    ),
    "column renamed": (
        in_cell(GROUP, 1, 2, "lump premia"),
        "group.csv: there is no column 'lump premium'; did you mean 'lump premia'?",
    ),
    "header without its first letters": (
        in_bytes(SHIPS, lambda raw: raw[:3] + raw[5:]),
        f"{SHIPS}: there is no column 'Date'; did you mean 'te'?",
    ),
    "column twice": (
        in_every_cell(INDEX, 2, lambda cell: f"{cell},{cell}", header=True),
        f"{INDEX}: the header '65 Index' is there twice",
    ),
    "column blank": (
        in_every_cell(GROUP, 2, lambda _: ""),
        "group.csv: no value in column 'lump premium'; fill it or leave it out",
    ),
    "column of NaN": (
        in_every_cell(GROUP, 4, lambda _: "NaN"),
        "group.csv: no value in column 'rebar steel margin'",
    ),
    "column ends early": (
        in_lines(INDEX, lambda lines: [lines[0], *(f"{x[:10]},,1" for x in lines[1:51])]),
        f"{INDEX}: no value in column '62 Index'",
    ),
    "all rows blank": (
        in_lines(SHIPS, lambda lines: [lines[0], *[","] * 20]),
        f"{SHIPS}: every row is blank",
    ),
    "infinity": (
        in_cell(GROUP, 30, 2, "inf"),
        "group.csv: column 'lump premium', line 30: 'inf' is infinite",
    ),
    "overflow": (
        in_cell(GROUP, 30, 2, "-1e400"),
        "group.csv: column 'lump premium', line 30: the value is infinite",
    ),
    "a price of zero": (
        in_cell(INDEX, 4, 1, "0"),
        f"{INDEX}: column '62 Index', 2025-08-11: 0 is not above zero; if that is right, set "
        "data.sources.index.columns.62 Index.positive: false",
    ),
    "a negative stock": (
        in_cell(STOCK, 4, 1, lambda cell: "-" + cell),
        f"{STOCK}: column 'IOCJ Inventory', 2025-07-29: -",
    ),
    "text": (
        in_cell(GROUP, 12, 3, "n.a."),
        "group.csv: column 'IOCJ Import margin', line 12: 'n.a.' is not a number, expected digits",
    ),
    "an error of a spreadsheet": (
        in_cell(GROUP, 12, 3, "#DIV/0!"),
        "group.csv: column 'IOCJ Import margin', line 12: '#DIV/0!' is not a number",
    ),
    "a unit": (
        in_cell(INDEX, 12, 1, lambda cell: f"${cell}"),
        f"{INDEX}: column '62 Index', line 12: '$",
    ),
    "a per cent sign": (
        in_cell(GROUP, 12, 2, lambda cell: f"{cell}%"),
        "group.csv: column 'lump premium', line 12: '",
    ),
    "brackets for a minus": (in_cell(GROUP, 12, 3, "(3.5)"), "line 12: '(3.5)' is not a number"),
    "digits of another script": (in_cell(GROUP, 12, 3, "３"), "line 12: '３' is not a number"),
    "a space in a number": (
        in_cell(STOCK, 12, 1, "1 500.2"),
        f"{STOCK}: column 'IOCJ Inventory', line 12: '1 500.2' is not a number",
    ),
    "thousands": (
        in_cell(STOCK, 12, 1, "1,500.2"),
        f"{STOCK}: line 12 has 4 cells, the header has 3: is the line whole",
    ),
    "quoted thousands": (
        in_cell(STOCK, 12, 1, '"1,500.2"'),
        f"{STOCK}: column 'IOCJ Inventory', line 12: '1,500.2' is not a number",
    ),
    "a decimal comma": (
        in_cell(INDEX, 6, 2, lambda cell: cell.replace(".", ",")),
        f"{INDEX}: line 6 has 4 cells, the header has 3",
    ),
    "a cell too few": (
        in_lines(GROUP, lambda lines: [*lines[:9], lines[9].rpartition(",")[0], *lines[10:]]),
        "group.csv: line 10 has 6 cells, the header has 7",
    ),
    "a cell too many": (
        in_cell(GROUP, 10, 6, lambda cell: cell + ",7"),
        "group.csv: line 10 has 8 cells, the header has 7",
    ),
    "dates and numbers swapped": (
        in_lines(INDEX, lambda lines: [lines[0], *(swap_columns(x, 0, 1) for x in lines[1:])]),
        f"{INDEX}: column 'Date', line 2: '",
    ),
    "an open quote": (
        in_cell(GROUP, 40, 3, lambda cell: '"' + cell),
        "group.csv: line 40 opens a quote that is never closed",
    ),
    "a quote that swallows lines": (
        lambda folder: [
            in_cell(STOCK, 5, 2, '"')(folder),
            in_cell(STOCK, 9, 2, '"')(folder),
        ],
        f"{STOCK}: line 5 opens a quote that line 9 closes, expected every cell on one line",
    ),
    "a quote within a number": (
        in_cell(INDEX, 5, 1, '"9"7.5'),
        f"{INDEX}: line 5 cannot be split into cells: ',' expected after '\"'",
    ),
    "two files in one": (
        in_lines(INDEX, lambda lines: lines + lines),
        f"{INDEX}: column 'Date', line 99: 'Date' is not a date",
    ),
    "a conflict of two versions": (
        in_lines(GROUP, lambda lines: [*lines[:9], "<<<<<<< HEAD", *lines[9:]]),
        "group.csv: line 10 has 1 cells, the header has 7",
    ),
    "a million letters above": (
        in_cell(GROUP, 1, 6, "x" * 1_000_000),
        "group.csv: line 1 cannot be split into cells: field larger than field limit (131072)",
    ),
    "a long header": (
        in_cell(GROUP, 1, 6, "x" * 100_000),
        "group.csv: there is no column '(IOCJ+SSF)/2-PBF'",
    ),
    "a million letters within": (
        in_cell(GROUP, 8, 6, "1" * 1_000_000),
        "group.csv: line 8 cannot be split into cells: field larger than field limit (131072)",
    ),
    "a long number": (
        in_cell(GROUP, 8, 6, "1" * 100_000),
        "group.csv: column '(IOCJ+SSF)/2-PBF', line 8: the value is infinite",
    ),
    "six million cells": (
        in_lines(GROUP, lambda _: ["Date" + "," * 6_000_000]),
        "group.csv: has 6000002 cells or more, may have 5000000",
    ),
    "missing": (
        lambda folder: (folder / GROUP).unlink(),
        "group.csv: there is no such file",
    ),
    "another name": (
        lambda folder: (folder / GROUP).rename(folder / "Group.csv"),
        "group.csv: there is no such file; did you mean 'Group.csv'?",
    ),
    "no folder": (shutil.rmtree, ": there is no such file, nor a folder "),
    "a folder": (in_place_of(GROUP, Path.mkdir), "group.csv: is a folder, expected a file"),
    "a pipe without end": (in_place_of(GROUP, os.mkfifo), "group.csv: is a device, expected a f"),
    "zeros without end": (
        in_place_of(GROUP, lambda path: path.symlink_to("/dev/zero")),
        "group.csv: is a device, expected a file",
    ),
    "a socket": (in_place_of(GROUP, as_socket), "group.csv: is a device, expected a file"),
    "a broken link": (
        in_place_of(GROUP, lambda path: path.symlink_to("elsewhere.csv")),
        "group.csv: there is no such file; it is a link to elsewhere.csv, which is not there",
    ),
    "a link to itself": (
        in_place_of(GROUP, lambda path: path.symlink_to(path)),
        "group.csv: cannot be read: ",
    ),
    "a gigabyte of nothing": (
        lambda folder: os.truncate(folder / GROUP, 2**30),
        f"group.csv: has {2**30} bytes, may have {files.MAX_BYTES}",
    ),
}

PICKLES = {
    "empty": (in_bytes(LEG_65, lambda _: b""), "is empty (no bytes)"),
    "cut": (in_bytes(LEG_65, lambda raw: raw[:5000]), "is not a whole pickle: "),
    "last byte cut": (in_bytes(LEG_65, lambda raw: raw[:-1]), "is not a whole pickle: "),
    "rubbish": (
        in_bytes(LEG_65, lambda _: np.random.default_rng(0).bytes(5000)),
        "is not a whole pickle: ",
    ),
    "a gzip": (in_bytes(LEG_65, gzip.compress), "is not a whole pickle: "),
    "text": (in_bytes(LEG_65, lambda _: b"Date,2025-06\n"), "is not a whole pickle: "),
    "a list": (
        in_curves(LEG_65, list),
        "holds a list; only a DataFrame, or a dict of price Series",
    ),
    "no contract": (in_curves(LEG_65, lambda _: {}), "holds an empty dict"),
    "lists as prices": (
        in_curves(LEG_65, lambda curves: {month: list(one) for month, one in curves.items()}),
        "contract 2025-05 is a list",
    ),
    "text as prices": (
        in_contract(LEG_65, JUNE, lambda prices: prices.astype(str).astype(object)),
        "the prices of contract 2025-06 are no numbers",
    ),
    "prices without dates": (
        in_contract(LEG_65, JUNE, lambda prices: prices.reset_index(drop=True)),
        "the dates of contract 2025-06 are no DatetimeIndex; only a DataFrame, or a dict of",
    ),
    "dates with a timezone": (
        in_contract(LEG_65, JUNE, lambda prices: prices.tz_localize("UTC")),
        "dates have a timezone",
    ),
    "a contract month is missing": (
        in_curves(LEG_65, lambda curves: {m: one for m, one in curves.items() if m != JULY}),
        "price_65_m1: contract 2025-07 is held but has no price from 2025-06-02 to 2025-06-30",
    ),
    "a contract ends early": (
        in_contract(LEG_65, JULY, lambda prices: prices[:"2025-06-20"]),
        "price_65_m1: contract 2025-07 is held but has no price from 2025-06-23 to 2025-06-30",
    ),
    "a contract is blank": (
        in_contract(LEG_65, JULY, lambda prices: prices * np.nan),
        "price_65_m1: contract 2025-07 is held but has no price",
    ),
    "a gap within a month": (
        in_contract(LEG_65, JULY, with_price("2025-06-11", np.nan)),
        "contract 2025-07 is held but has no price from 2025-06-11 to 2025-06-11 (1 trading day(s)",
    ),
    "a gap at a roll": (
        in_contract(LEG_65, JULY, with_price("2025-05-30", np.nan)),
        "price_65_m1: gap at the roll from 2025-06 to 2025-07: 2025-07 has no price on 2025-05-30",
    ),
    "every contract is blank": (
        in_curves(LEG_65, lambda curves: {month: one * np.nan for month, one in curves.items()}),
        "no contract of price_65_m1 has a price",
    ),
    "every contract is blank for the last months": (
        in_curves(
            LEG_65, lambda curves: {m: x.where(x.index < "2025-06-20") for m, x in curves.items()}
        ),
        "the last value of 'price_65_m1' is of 2025-06-19, 55 days before the newest of all files",
    ),
    "three weeks are lost": (
        in_curves(
            LEG_65,
            lambda curves: {
                month: one[(one.index < "2025-06-05") | (one.index > "2025-06-25")]
                for month, one in curves.items()
            },
        ),
        "there is no trading day between 2025-06-04 and 2025-06-26 (22 days, 14 are allowed)",
    ),
    "a month is lost": (
        in_curves(LEG_65, lambda curves: {m: x[x.index.month != 6] for m, x in curves.items()}),
        "price_65_m1: contract 2025-07 is never held: there is no trading day",
    ),
    "two contracts are swapped": (
        in_curves(LEG_65, lambda curves: curves | {JUNE: curves[JULY], JULY: curves[JUNE]}),
        "contract 2025-06, 2025-07-01: ",
    ),
    "a price of zero": (
        in_contract(LEG_65, JUNE, with_price("2025-05-12", 0.0)),
        "contract 2025-06, 2025-05-12: 0 is not above zero; a price of price_65_m1 must be above",
    ),
    "a decimal point lost": (
        in_contract(LEG_65, JULY, with_price("2025-06-12", 10825.0)),
        "contract 2025-07, 2025-06-12: the price is 10825 and the one before 1",
    ),
    "a negative price": (
        in_contract(LEG_65, JUNE, with_price("2025-05-12", -101.5)),
        "contract 2025-06, 2025-05-12: -101.5 is not above zero",
    ),
    "an infinite price": (
        in_contract(LEG_65, JUNE, with_price("2025-05-12", np.inf)),
        "column 2025-06: 2025-05-12 00:00:00 has an infinite price",
    ),
    "a date twice": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", "2025-05-13")),
        "column 2025-06: 2025-05-13 00:00:00 is there twice",
    ),
    "a time of day": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", "2025-05-12 16:00")),
        "column 2025-06: 2025-05-12 16:00:00 has a time of day",
    ),
    "a price without a date": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", None)),
        "column 2025-06: a price without a date",
    ),
    "a date a century ago": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", "1925-05-12")),
        "price_65_m1 has no value between 1925-05-12 and 2025-04-01",
    ),
    "a date of the far future": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", "2225-05-12")),
        "contract 2025-06 has a date outside 1900 to 2199",
    ),
    "a date of next year": (
        in_contract(LEG_65, JUNE, with_date("2025-05-12", "2026-05-12")),
        "contract 2025-06, 2026-05-12: ",
    ),
    "missing": (lambda folder: (folder / LEG_65).unlink(), "there is no such file"),
    "a folder": (in_place_of(LEG_65, Path.mkdir), "is a folder, expected a file"),
    "a gigabyte of nothing": (
        lambda folder: os.truncate(folder / LEG_65, 2**30),
        f"has {2**30} bytes, may have {files.MAX_BYTES}",
    ),
}
