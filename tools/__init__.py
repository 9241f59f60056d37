"""Tools for maintainers: they measure the tests and write generated pages. No test and no user needs them."""
