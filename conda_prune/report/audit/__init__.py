"""The report of an audit: what a channel's packages hold, in totals, tables, one HTML page, or Parquet.

`lines` reads results files from their end, `unlisted` decides which sources count, `row` takes one result, `totals`
adds up results, and `tables` arranges the sums. `plain`, `page` and `parquet` write them. A result is held only as long
as it takes to count it, so a report of millions needs little memory.
"""
