from statistics import median, quantiles

import pytest
from architecture import source
from architecture.source import cycles, functions, modules, room

MAX_MODULE = 450  # lines
MEDIAN_MODULE = 140
MAX_FUNCTION = 60
P90_FUNCTION = 25


@pytest.fixture(scope="module")
def lengths():
    return {module: len(file.read_text().splitlines()) for module, file in modules().items()}


def test_no_module_is_too_long(lengths):
    assert {module: length for module, length in lengths.items() if length > MAX_MODULE} == {}


def test_most_modules_are_short(lengths):
    assert median(lengths.values()) <= MEDIAN_MODULE


def test_no_function_is_too_long():
    assert {place: length for place, length in functions() if length > MAX_FUNCTION} == {}


def test_most_functions_are_short():
    assert quantiles([length for _, length in functions()], n=10)[-1] <= P90_FUNCTION


@pytest.mark.parametrize("levels", [{"top"}, {"top", "lazy"}], ids=["at import", "and inside functions"])
def test_modules_never_import_in_a_circle(levels):
    assert cycles(levels) == []


def test_rooms_never_need_each_other_for_types():
    # Modules of one room may name each other's classes in annotations (a hub its sinks, a sink its hub).
    across = [group for group in cycles({"top", "lazy", "typing"}) if len({room(module) for module in group}) > 1]
    assert across == []


def test_the_search_for_circles_finds_one(monkeypatch):
    # eventstream.http.site imports eventstream.http.ingest: the other way round is a circle
    other_way = source.Import("eventstream.http.ingest", "eventstream.http.site", "top")
    known = source.imports()
    monkeypatch.setattr(source, "imports", lambda: [*known, other_way])
    assert source.cycles({"top"}) == [["eventstream.http.ingest", "eventstream.http.site"]]
