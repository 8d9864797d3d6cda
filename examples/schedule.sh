#!/bin/sh
# A schedule from its creation to its end, over HTTP: a notebook that runs every two seconds until it has run twice.
#
#   examples/schedule.sh [BASE_URL] [TEMPLATE.ipynb]
#
# Needs curl and python3 (to read the answers). The service must be running: `bindery serve`.
set -eu

base=${1:-http://127.0.0.1:8002}
template=${2:-templates/quickstart/hello.ipynb}
file=$(basename "$template")

# show TEXT: as it is; some shells' echo would read the backslashes of JSON.
show() { printf '%s\n' "$1"; }
# field NAME: a field of the JSON answer on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# succeeded: how many runs of the list on standard input have.
succeeded() { python3 -c 'import json, sys; print(sum(run["status"] == "success" for run in json.load(sys.stdin)["runs"]))'; }
# A refusal is shown and ends the script.
get() { answer=$(curl -sS --fail-with-body "$@") || { show "$answer" >&2; exit 1; }; show "$answer"; }
post() { get -H 'Content-Type: application/json' "$base$1" -d "$2"; }

echo "1. make a notebook"
get -F "file=@$template" -F category=scheduled -F overwrite=true "$base/minio/upload-template"
created=$(post /create-from-template "{\"template_name\": \"scheduled/$file\", \"target_directory\": \"scheduled\",
    \"new_name\": \"run-$$.ipynb\"}")
path=$(show "$created" | field new_notebook_path)

echo "2. what would run when"
get "$base/api/v1/schedules/preview?cron=0+2+*+*+*&time_zone=Europe/Berlin&count=3"

echo "3. schedule it"
schedule=$(post /api/v1/schedules "{\"name\": \"example $$\", \"cron\": \"*/2 * * * * *\", \"time_zone\": \"Europe/Berlin\",
    \"execution\": {\"notebook_path\": \"$path\", \"username\": \"${USER:-demo}\",
        \"output_path\": \"scheduled/run-$$-{scheduled_time:%H%M%S}.ipynb\"}}")
show "$schedule"
id=$(show "$schedule" | field schedule_id)

echo "4. wait until it has run twice"
waited=0
while [ "$(get "$base/api/v1/schedules/$id/runs" | succeeded)" -lt 2 ]; do
    waited=$((waited + 1))
    [ "$waited" -lt 60 ] || { echo "it does not run" >&2; exit 1; }
    sleep 1
done

echo "5. pause it, see what became of its times, and forget it"
post "/api/v1/schedules/$id/pause" '{}'
get "$base/api/v1/schedules/$id/runs?limit=3"
get -X DELETE "$base/api/v1/schedules/$id"
