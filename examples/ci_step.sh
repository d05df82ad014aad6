#!/usr/bin/env bash
# A CI step: scan what the build made, keep a SARIF report for the code scanning page, fail on hash work.
#   examples/ci_step.sh dist/*.whl
set -uo pipefail
hashwarden scan --quiet --format sarif --output "${SARIF:-hashwarden.sarif}" --fail-on hash -- "$@"
code=$?
case $code in
    0) echo "no GPU code that hashes" ;;
    1) echo "GPU code that hashes: see ${SARIF:-hashwarden.sarif}" ;;
    14) echo "no GPU code at all"; code=0 ;;
    *) echo "not everything could be judged (exit code $code, docs/exit-codes.md)" ;;
esac
exit $code
