"""`gail-suite data`: look at, check, exchange and combine folders of demonstrations."""

from gail_suite.commands.data.actions import actions
from gail_suite.commands.data.files import export, import_, show, verify
from gail_suite.commands.data.sets import filter_, merge, split

__all__ = ["actions", "export", "filter_", "import_", "merge", "show", "split", "verify"]
