#!/usr/bin/env bash
# valgrind.sh BUILD: every unit test under valgrind, where no error and no leak is allowed.
set -euo pipefail
failed=0
for program in "$1"/unit/test_*; do
  [ -x "$program" ] && [ -f "$program" ] || continue
  runner=()
  [[ "$(basename "$program")" =~ ^test_store_(postgres.*|pipeline|begun|plans)$ ]] && runner=(tests/tools/with-postgres)
  if ! EXPORTD_BUILD="$1" EXPORTD_SOURCE="$PWD" EXPORTD_VALGRIND=1 "${runner[@]}" valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,possible \
    --error-exitcode=99 --suppressions=tests/valgrind.supp "$program" >"$1/valgrind.log" 2>&1; then
    echo "valgrind: $(basename "$program") failed:" >&2
    grep -E -A 3 '\[ +(ERROR|FAILED) +\]' "$1/valgrind.log" >&2 || true # a failed test leaks, and the leaks come last
    tail -n 60 "$1/valgrind.log" >&2
    failed=1
  fi
done
[ "$failed" = 0 ] && echo "valgrind: no error and no leak in $(ls "$1"/unit/test_* | wc -l) programs"
exit "$failed"
