import pytest

from benchmarks import tables
from benchmarks.records import RESULTS, markdown


def test_a_table_of_a_page_is_made_anew_and_the_rest_stays():
    text = "before\n<!-- table:ant_falls -->\nold\n<!-- end -->\nafter\n"
    new = tables.rewritten(text)
    assert new.startswith("before\n<!-- table:ant_falls -->\n| run | n_episodes |")
    assert new.endswith("|\n<!-- end -->\nafter\n")
    assert tables.rewritten(new) == new


def test_an_unknown_table_is_answered_with_the_nearest():
    with pytest.raises(SystemExit, match="no table 'few_demo': did you mean 'few_demos'"):
        tables.make("few_demo")


def test_every_result_is_in_a_table():
    results = {path.stem for path in RESULTS.glob("*.csv")} - {"generative"}  # which is the table called mnist
    assert results <= set(tables.NAMES)


def test_a_table_without_lines_says_so():
    assert markdown(["a", "b"], []) == "(not measured yet)\n"
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
