"""The rules, one file per kind of finding. A rule drops only files that the package's Python can never import.

A rule is a function that turns a package's facts into findings. Its docstring is the text that `explain`, SARIF and the
documentation show. A file belongs to the first rule that would drop it, so the order of RULES matters.
"""

from . import (
    embedded,
    foreign_extension,
    foreign_path,
    foreign_tag,
    foreign_tree,
    leftover,
    misnamed,
    nested_path,
    no_variant,
    noarch_bytecode,
    optimized,
    orphan,
    sourceless,
    stale_listing,
    stale_stamp,
    unknown_variant,
)

RULES = (
    foreign_path.RULE,
    foreign_tag.RULE,
    noarch_bytecode.RULE,
    no_variant.RULE,
    nested_path.RULE,
    foreign_tree.RULE,
    foreign_extension.RULE,
    leftover.RULE,
    optimized.RULE,
    orphan.RULE,
    unknown_variant.RULE,
    misnamed.RULE,
    sourceless.RULE,
    embedded.RULE,
    stale_listing.RULE,
    stale_stamp.RULE,
)
