#!/bin/sh
# The five steps from a template to a result, over HTTP: upload, list, create, execute, poll.
#
#   examples/automl_flow.sh [BASE_URL] [TEMPLATE.ipynb] [PARAMETERS_JSON]
#
# Needs curl and python3 (to read the answers). The service must be running: `bindery serve`.
set -eu

base=${1:-http://127.0.0.1:8002}
template=${2:-templates/quickstart/hello.ipynb}
parameters=${3:-'{}'}
file=$(basename "$template")

# show TEXT: as it is; some shells' echo would read the backslashes of JSON.
show() { printf '%s\n' "$1"; }
# field NAME: a field of the JSON answer on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# A refusal is shown and ends the script.
get() { answer=$(curl -sS --fail-with-body "$@") || { show "$answer" >&2; exit 1; }; show "$answer"; }
post() { get -H 'Content-Type: application/json' "$base$1" -d "$2"; }

echo "1. upload $file"
get -F "file=@$template" -F category=automl -F "description=From the example script" -F overwrite=true \
    "$base/minio/upload-template"

echo "2. list the templates of category automl"
get "$base/minio/list-templates?category=automl"

echo "3. create a notebook from it"
created=$(post /create-from-template "{\"template_name\": \"automl/$file\", \"target_directory\": \"automl\",
    \"new_name\": \"run-$$.ipynb\", \"parameters\": $parameters}")
show "$created"
path=$(show "$created" | field new_notebook_path)

echo "4. execute it"
execution=$(post /execute-notebook "{\"notebook_path\": \"$path\", \"username\": \"${USER:-demo}\"}")
show "$execution"
id=$(show "$execution" | field execution_id)

echo "5. poll until it has ended"
while :; do
    current=$(get "$base/execution-status/$id")
    status=$(show "$current" | field status)
    case $status in
        success) show "$current"; exit 0 ;;
        failed | cancelled) show "$current"; exit 1 ;;
    esac
    sleep 1
done
