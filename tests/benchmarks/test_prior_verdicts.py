"""What the table of priors says of made-up runs."""

import pytest

from benchmarks import prior_verdicts, priors
from gail_suite.algorithms.gail import GAILConfig
from gail_suite.priors.attach import group
from gail_suite.runs.config import build


def against(other, *gains):
    return other, [{"auc": str(0.5 + g)} for g in gains], [{"auc": "0.5"} for _ in gains]


AHEAD, UNSURE, LEVEL = (0.20, 0.21, 0.19), (0.3, 0.0, 0.1), (0.05, -0.05, 0.0)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ([], ""),
        ([against("a", *AHEAD)], "ahead of each control that was run"),
        ([against("a", *AHEAD), against("b", *UNSURE)], "not surely ahead of `b` (+0.13)"),
        ([against("a", *LEVEL), against("b", *UNSURE)], "no better than `a` (+0.00); not surely ahead of `b` (+0.13)"),
        (
            [against("a", *AHEAD), against("b", 0.4, 0.2), against("c")],
            "ahead of each control that was run; under 3 seeds: `b` (+0.30, 2), `c`",
        ),
    ],
)
def test_controls_decide_in_words(controls, words):
    assert prior_verdicts.verdict([against("plain", *AHEAD), *controls]) == (
        "+0.20 (+0.18 to +0.22; 3 seeds)",
        words,
    )  # 0.01 * 4.303 / sqrt(3) = 0.025


def test_what_is_behind_plain_gail_says_so_before_its_controls():
    assert prior_verdicts.verdict([against("plain", -0.1), against("a", *LEVEL), against("b", 0.1)]) == (
        "-0.10 (one seed)",
        "behind plain GAIL; no better than `a` (+0.00); under 3 seeds: `b` (+0.10, 1)",
    )
    assert (
        prior_verdicts.verdict([against("plain", 0.01), against("a", *AHEAD)])[1]
        == "no better than plain GAIL; ahead of each control that was run"
    )
    assert prior_verdicts.verdict([against("plain")]) == prior_verdicts.verdict([]) == ("-", "not run")


def test_the_seed_of_choices_counts_only_alone():
    runs = {n: {s: {"auc": str(s)} for s in seeds} for n, seeds in (("x", (0, 1, 5)), ("y", (1, 5)), ("z", (5,)))}
    assert [r["auc"] for r in prior_verdicts.paired(runs, "x", "y")[0]] == ["1"]
    assert [r["auc"] for r in prior_verdicts.paired(runs, "x", "z")[0]] == ["5"]


def test_every_arm_is_a_prior_a_control_of_one_or_a_variant_of_one():
    claims = prior_verdicts.priors()
    for name, arm in priors.ARMS.items():
        if arm.variant_of is not None:
            assert arm.variant_of in priors.ARMS, name
        elif name not in ("plain", "bc-start"):
            assert (
                name in claims
                or any(name in prior_verdicts.controls(c, t) for c in claims for t in priors.TASKS)
                or priors.ARMS[priors.first_of(arm.prior)].variant_of is not None
            ), name


def test_an_arm_that_weighs_a_prior_fits_one():
    for name, arm in priors.ARMS.items():
        fitted = {group(fit.get("use", "typicality")) for fit in (arm.fit, arm.second) if fit}
        assert {s.partition("=")[0].rpartition(".")[0] for s in arm.settings if s.startswith("priors.")} == fitted, name
        build(GAILConfig(), settings=arm.settings)
