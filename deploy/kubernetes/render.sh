#!/bin/sh
# Renders the chart as it is and with each example, for those who install without Helm and for the tests.
set -eu
cd "$(dirname "$0")"
helm=${HELM:-helm}
"$helm" template hashwarden hashwarden --namespace hashwarden > rendered/observe.yaml
for values in examples/*.yaml; do
    "$helm" template hashwarden hashwarden --namespace hashwarden --values "$values" > "rendered/$(basename "$values")"
done
find hashwarden examples -type f | LC_ALL=C sort | xargs sha256sum > rendered/SHA256SUMS
