import pytest

from benchmarks import curves


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "RESULTS", tmp_path)
    curves.read.cache_clear()
    yield
    curves.read.cache_clear()


def test_a_run_keeps_its_evaluations_and_takes_the_place_of_what_it_saved_before():
    metrics = [
        {"step": 0, "wall_s": 1.5, "bc_score": 0.1},
        {"step": 5, "wall_s": 2.0, "loss": 3.0},
        {"step": 10, "wall_s": 2.5, "score": 0.30000000000000004, "return_mean": -4.0, "length_mean": 7.0, "loss": 1.0},
    ]
    curves.save("few_demos", "a", metrics[:1])
    curves.save("few_demos", "b", metrics)
    curves.save("few_demos", "a", metrics)
    kept = [
        {"step": 0, "wall_s": 1.5, "bc_score": 0.1},
        {"step": 10, "wall_s": 2.5, "score": 0.30000000000000004, "return_mean": -4.0, "length_mean": 7.0},
    ]
    assert curves.read("few_demos") == {"b": kept, "a": kept}
    assert curves.points("few_demos", "a") == [(10, 0.30000000000000004)]
