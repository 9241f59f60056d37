"""Makes the index of a local channel true again, in every form, after packages in it were repaired.

    refresh     the use cases: is there an obstacle, and refresh the records of what was replaced
    rewrite     --reindex always: the index is written again from the packages that are there
    index       which files are an index, read and written together
    repodata    repodata.json and its variants
    shards      sharded repodata
    records     one package's records, in any of them
    files       reading and replacing files while other programs write to them
    published   what shows that packages have been published
    sidecars    signatures, attestations and other files about the old bytes
    caches      package caches, whose packages are left alone

Specified in CEP 36 (repodata.json), CEP 48 (its revisions), CEP 16 (shards) and CEP 50 (attestations).
"""
