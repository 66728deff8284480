"""Pages: every link to a file or a heading of this repository leads somewhere, and sentences are short."""

import re
import statistics
from pathlib import Path

import pytest

import demos
import envs

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "RESULTS.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {path}#{anchor}"


def sentences(text: str) -> list[int]:
    """Words of each sentence of a page without tables, headings, code and pictures; a list item ends a sentence."""
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", text, flags=re.DOTALL)
    lines = [line for line in text.split("\n") if not re.match(r"\s*(\||#|!\[)", line)]
    found = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(lines)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "Code", paragraph))
        parts = re.split(r"(?<=[.!?])\s+(?=[A-Z(*\"'])|:\s*\n", " ".join(plain.split()))
        found += [len(part.split()) for part in parts if len(part.split()) >= 3]
    return found


PROSE = [page for page in PAGES if page.parent.name != "results"]


def test_sentences_are_counted() -> None:
    text = "Eins zwei drei. Vier `fünf sechs` sieben.\n\n| a table is not read |\n* acht neun zehn elf\n"
    assert sentences(text) == [3, 3, 5]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    lengths = sentences(page.read_text())
    assert max(lengths) <= 45, f"{page.name} has a sentence of {max(lengths)} words: two thoughts are two sentences"
    assert statistics.median(lengths) < 20


def test_troubleshooting_quotes_what_the_program_says() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    symptoms = [row.split("|")[1] for row in page.splitlines() if row.startswith("| ")]
    source = "".join(path.read_text() for path in sorted((ROOT / "gail_suite").rglob("*.py")))
    source = re.sub(r'"\s*f?"', "", source)  # messages that stand in pieces
    fragments = [part.strip() for said in re.findall(r"`([^`]+)`", "".join(symptoms)) for part in said.split("...")]
    assert len(fragments) > 10
    assert [part for part in fragments if part.strip(" :?") not in source] == []


def test_every_key_of_demonstrations_is_explained(toy_demos: demos.Demonstrations) -> None:
    first, second = toy_demos.split(0.5, seed=0)
    unseen = demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=1, actions=False)
    made = [first + second, toy_demos.where([True] * 4, min_return=0.0), toy_demos.clipped(-0.1, 0.1)]
    made += [toy_demos.subsample(5, seed=0), toy_demos.take(1), unseen]
    page = (ROOT / "docs/save_format.md").read_text()
    keys = {key for d in made for key in (*d.meta, *(key for part in d.meta.get("parts", []) for key in part))}
    assert {"parts", "split", "filter", "take", "subsample", "observations_only"} <= keys
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_first_pages_are_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
    assert len((ROOT / "RESULTS.md").read_bytes()) <= 25_000
