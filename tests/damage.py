"""Ways to damage a raw file: each makes a function that does it to the file of a folder."""

import datetime
import io
import os
import pickle
import socket
import zipfile
from pathlib import Path

import pandas as pd


def in_bytes(file, change):
    def damage(folder):
        path = folder / file
        path.write_bytes(change(path.read_bytes()))

    return damage


def in_text(file, change):
    """Change a csv as an editor shows it; it stays UTF-8 with a mark and Windows lines."""
    return in_bytes(
        file,
        lambda raw: (
            change(raw.decode("utf-8-sig").replace("\r\n", "\n"))
            .replace("\n", "\r\n")
            .encode("utf-8-sig")
        ),
    )


def in_lines(file, change):
    """Change the lines of a csv, header first."""
    return in_text(file, lambda text: "\n".join(change(text.splitlines())) + "\n")


def in_cell(file, line, column, cell):
    """Put a text, or what a function makes of it, into a cell; lines are counted from 1."""

    def change(lines):
        cells = lines[line - 1].split(",")
        cells[column] = cell(cells[column]) if callable(cell) else cell
        lines[line - 1] = ",".join(cells)
        return lines

    return in_lines(file, change)


def in_every_cell(file, column, change, *, header=False):
    """Change all cells of a column of a csv."""

    def rewrite(lines):
        rows = [line.split(",") for line in lines]
        for row in rows[0 if header else 1 :]:
            row[column] = change(row[column])
        return [",".join(row) for row in rows]

    return in_lines(file, rewrite)


def in_curves(file, change):
    """Change the dict in a pickle."""

    def rewrite(raw):
        curves = pickle.loads(raw)
        changed = change(curves)
        return pickle.dumps(curves if changed is None else changed, protocol=4)

    return in_bytes(file, rewrite)


def in_contract(file, month, change):
    """Change one series in a pickle."""

    def rewrite(curves):
        curves[month] = change(curves[month].copy())

    return in_curves(file, rewrite)


def with_price(day, price):
    def change(prices):
        prices.loc[day] = price
        return prices

    return change


def with_date(old, new):
    return lambda prices: prices.rename({pd.Timestamp(old): pd.Timestamp(new)})


def in_frame(file, change):
    """Change a prepared table and store it in the same format."""

    def damage(folder):
        path = folder / file
        is_parquet = path.suffix == ".parquet"
        frame = change(pd.read_parquet(path) if is_parquet else pd.read_excel(path))
        frame.to_parquet(path) if is_parquet else frame.to_excel(path, index=False)

    return damage


def in_place_of(file, make):
    """Put something else in the place of a file."""

    def damage(folder):
        (folder / file).unlink()
        make(folder / file)

    return damage


def as_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def swapped(lines, first, second):
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def iso(text):
    return datetime.datetime.strptime(text, "%d/%m/%Y").date().isoformat()


def month_first(text):
    day, month, year = text.split("/")
    return f"{month}/{day}/{year}"


def swap_columns(line, first, second):
    cells = line.split(",")
    return ",".join(swapped(cells, first, second))


def unpacked(change):
    """Change the parts of a workbook, which is a zip, by name."""

    def rewrite(raw):
        with zipfile.ZipFile(io.BytesIO(raw)) as parts:
            contents = {name: parts.read(name) for name in parts.namelist()}
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as parts:
            for name, content in change(contents).items():
                parts.writestr(name, content)
        return changed.getvalue()

    return rewrite
