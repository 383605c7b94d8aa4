"""Messages about what is missing."""

import pytest

from ironore_lightning import errors


@pytest.mark.parametrize(
    ("is_checkout", "is_here", "wanted"),
    [
        (True, True, '-e ".[search]"'),
        (True, False, '-e "{folder}[search]"'),
        (False, False, '"ironore_lightning[search]"'),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it_from_here(
    tmp_path, monkeypatch, is_checkout, is_here, wanted
):
    folder = tmp_path.resolve() / "place"
    folder.mkdir()
    monkeypatch.setattr(errors, "__file__", str(folder / "ironore_lightning" / "errors.py"))
    if is_checkout:
        (folder / "pyproject.toml").touch()
    monkeypatch.chdir(folder if is_here else tmp_path)
    said = errors.missing_extra("Optuna", "search")
    install = f"pip install {wanted.format(folder=folder)}"
    assert said == f"Optuna is not installed; install it with {install}"
