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

# field NAME: a field of the JSON answer on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
post() { curl -sS --fail-with-body -H 'Content-Type: application/json' "$base$1" -d "$2"; }

echo "1. upload $file"
curl -sS --fail-with-body -F "file=@$template" -F category=automl -F "description=From the example script" \
    -F overwrite=true "$base/minio/upload-template"
echo

echo "2. list the templates of category automl"
curl -sS --fail-with-body "$base/minio/list-templates?category=automl"
echo

echo "3. create a notebook from it"
created=$(post /create-from-template "{\"template_name\": \"automl/$file\", \"target_directory\": \"automl\",
    \"new_name\": \"run-$$.ipynb\", \"parameters\": $parameters}")
echo "$created"
path=$(echo "$created" | field new_notebook_path)

echo "4. execute it"
execution=$(post /execute-notebook "{\"notebook_path\": \"$path\", \"username\": \"${USER:-demo}\"}")
echo "$execution"
id=$(echo "$execution" | field execution_id)

echo "5. poll until it has ended"
while :; do
    answer=$(curl -sS --fail-with-body "$base/execution-status/$id")
    status=$(echo "$answer" | field status)
    case $status in
        success) echo "$answer"; exit 0 ;;
        failed | cancelled) echo "$answer"; exit 1 ;;
    esac
    sleep 1
done
