#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` keeps no group together, and says nothing.
#
# Tests that carry the same `xdist_group` mark are meant to run in one worker. With pytest 8.4.2 they do. With
# pytest 9.2.0 and the same xdist the run is green, warns of nothing, and spreads the group over both workers:
# a fixture that was to be made once is made twice, and tests that must not meet run at the same time.
#
# Seen (workers that ran one group of 40 tests, with two workers):
#   pytest 8.4.2, pytest-xdist 3.8.0: 1
#   pytest 9.2.0, pytest-xdist 3.8.0: 2
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >test_group.py <<'TEST'
import os
import time

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(40))
def test_notes_its_worker(number):
    time.sleep(0.02)
    with open(os.environ["NOTES"], "a") as notes:
        print(os.environ["PYTEST_XDIST_WORKER"], file=notes)
TEST

workers_with() {
  python3 -m venv "env-$1"
  "env-$1/bin/python" -m pip install --quiet --disable-pip-version-check "pytest==$1" "pytest-xdist==3.8.0" >&2 2>/dev/null
  NOTES="$folder/notes-$1" "env-$1/bin/python" -m pytest -q -n 2 --dist loadgroup -p no:cacheprovider >&2
  sort -u "$folder/notes-$1" | wc -l | tr -d ' '
}

before=$(workers_with 8.4.2)
after=$(workers_with 9.2.0)
echo "pytest 8.4.2, pytest-xdist 3.8.0: $before"
echo "pytest 9.2.0, pytest-xdist 3.8.0: $after"
[ "$before" = 1 ] && [ "$after" = 2 ] || { echo "this has changed" >&2; exit 1; }
