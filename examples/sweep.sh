#!/bin/sh
# A sweep over HTTP: a notebook with parameters is executed for each point of a grid, four at a time; then the table.
#
#   examples/sweep.sh [BASE_URL]
#
# Needs curl and python3 (to read the answers). The service must be running: `bindery serve`.
set -eu

base=${1:-http://127.0.0.1:8002}

# show TEXT: as it is; some shells' echo would read the backslashes of JSON.
show() { printf '%s\n' "$1"; }
# field NAME: a field of the JSON answer on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# A refusal is shown and ends the script.
get() { answer=$(curl -sS --fail-with-body "$@") || { show "$answer" >&2; exit 1; }; show "$answer"; }

echo "1. upload the template"
get -F file=@templates/workflow/train.ipynb -F category=workflow -F "description=Fits a line" -F overwrite=true \
    "$base/minio/upload-template"

echo "2. start the sweep: 4 × 3 = 12 points"
sweep=$(get -H 'Content-Type: application/json' "$base/api/v1/sweeps" -d '{
    "template_name": "workflow/train.ipynb", "username": "'"${USER:-demo}"'", "max_parallel": 4, "retries": {"limit": 1},
    "parameters": {"alpha": {"logspace": [-2, 1, 4]}, "noise": [0.1, 0.5, 1.0], "rows": 200}}')
id=$(show "$sweep" | field id)

echo "3. poll until it has ended"
while sweep=$(get "$base/api/v1/sweeps/$id"); do
    status=$(show "$sweep" | field status)
    [ "$status" = running ] || break
    show "$sweep" | field progress
    sleep 1
done
show "sweep $id: $status"

echo "4. the table"
get "$base/api/v1/sweeps/$id/results.csv"
[ "$status" = success ]
