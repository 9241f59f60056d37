#!/bin/sh
# Builds the package in this directory and tests what will be shipped. With the settings of ./condarc, conda-prune
# repairs each package after it is built, so the tests run later, on the repaired package.
set -e
conda build --no-test --output-folder output .
for package in output/*/*.conda; do
  conda build --test "$package"
done
