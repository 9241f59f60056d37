"""A local channel's index next to packages that were repaired: true again, in every form, and otherwise as it was.

    refresh     the use cases: is there an obstacle, and refresh the records of what was replaced
    rewrite     --reindex always: the index is written again from the packages that are there
    index       which files are an index, read and written together
    repodata    repodata.json and its variants
    shards      sharded repodata
    records     one package's records, in any of them
    files       reading and replacing files while other programs write them
    sidecars    signatures, attestations and other files that speak of old bytes

Specified in CEP 36 (repodata.json), CEP 48 (its revisions), CEP 16 (shards) and CEP 50 (attestations).
"""
