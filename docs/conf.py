"""The site of `make docs`: README, RESULTS and docs/ as pages, the API from docstrings. Nothing is fetched."""

import json
from typing import Any

from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx

import gail_suite

project, author, release = "gail-suite", "the gail-suite authors", gail_suite.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["README.md", "RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = ["docs/conf.py", "docs/images/**", "docs/pictures/**", "docs/static/**"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}
html_theme = "furo"
html_title = f"gail-suite {release}"
html_static_path, html_css_files = ["static"], ["site.css"]
highlight_language = "text"  # of a block that names none
html_show_sourcelink = html_copy_source = html_show_copyright = False
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "code"  # docstrings write code as Markdown does

PAGES = """
```{toctree}
:hidden:
:caption: Use

docs/flow
docs/your-own-environment
docs/generative
docs/priors
docs/migration
docs/troubleshooting
docs/notebooks/imitate
docs/notebooks/priors
docs/notebooks/generative
```

```{toctree}
:hidden:
:caption: Look up

docs/api
docs/algorithms/gail
docs/metrics
docs/save_format
docs/conventions
docs/compatibility
docs/trust
```

```{toctree}
:hidden:
:caption: Results
:glob:

RESULTS
docs/results/*
docs/log
CONTRIBUTING
CHANGELOG
```
"""
"""What stands in the margin."""


class Notebook(MystParser):
    """A notebook as a page: its text, and its code as blocks."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: Any) -> None:
        """Parses the cells as one page of Markdown."""
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(inputstring)["cells"]]
        text = [source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells]
        super().parse("\n\n".join(text), document)


def with_margin(app: Sphinx, name: str, source: list[str]) -> None:
    """Adds the list of pages to the first."""
    if name == root_doc:
        source[0] += PAGES


def as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps stars and bars of a docstring, which mean multiplication and "given" here."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "* ")):
            lines[i] = line.replace("*", r"\*").replace("|", r"\|")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_written, priority=100)  # before napoleon writes markup of its own
    app.add_source_parser(Notebook)
    app.connect("source-read", with_margin)
