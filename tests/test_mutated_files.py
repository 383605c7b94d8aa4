"""Raw files with random damage: refused in a line that names them, or read as they stand."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judgement import KINDS, UnjustifiedError, judge, write_undamaged
from mutations import Step, mutate

EXAMPLES = 34
"""Of each of the six kinds: 204 in all; tests/benchmarks/file_mutations.py makes thousands."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of the undamaged files."""
    folder = tmp_path_factory.mktemp("market")
    write_undamaged(folder)
    return folder


def steps_of(kind):
    share = st.floats(0, 1, allow_subnormal=False)  # torch may have them flushed to zero
    step = st.builds(
        Step, name=st.sampled_from(kind.steps), where=share, other=share, value=st.integers(0, 255)
    )
    return st.lists(step, min_size=1, max_size=3)


@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_file_is_refused_by_name_or_read_as_it_stands(folder, name):
    kind = KINDS[name]
    undamaged = (folder / kind.file).read_bytes()
    outcomes = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=steps_of(kind))
    def judge_one(steps):
        outcomes.append(judge(kind, folder, mutate(undamaged, steps)))

    try:
        judge_one()
    finally:
        (folder / kind.file).write_bytes(undamaged)
    assert len(outcomes) >= EXAMPLES
    assert outcomes.count("refused") >= 5
    assert outcomes.count("read") >= 3


@pytest.mark.parametrize("name", KINDS)
def test_an_undamaged_file_is_read(folder, name):
    undamaged = (folder / KINDS[name].file).read_bytes()
    assert judge(KINDS[name], folder, undamaged) == "read"


@pytest.mark.parametrize("name", KINDS)
def test_a_value_that_the_file_does_not_say_is_found_out(folder, name):
    kind = KINDS[name]
    undamaged = (folder / kind.file).read_bytes()
    others = kind.read_plainly(undamaged)
    column = list(others)[-1]
    day = next(day for day, value in reversed(others[column].items()) if value > 0)
    others[column][day] *= 1 + 1e-15
    other_kind = dataclasses.replace(kind, read_plainly=lambda _: others)
    with pytest.raises(UnjustifiedError, match=f"{day}: .*, expected"):
        judge(other_kind, folder, undamaged)


def test_a_refusal_that_does_not_name_the_file_is_found_out(folder):
    kind = dataclasses.replace(KINDS["pickle"], file="another.pkl")
    unnamed = dataclasses.replace(kind, settings=lambda root: kind.settings(root / "nowhere"))
    with pytest.raises(UnjustifiedError, match="not one short line that names the file"):
        judge(unnamed, folder, b"unread")
    (folder / "another.pkl").unlink()
