#!/bin/sh
# Ask the gateway with curl, print the answer, and say that it was good. GATEWAY and KEY may be set; jq is not needed.
set -eu
gateway="${GATEWAY:-http://127.0.0.1:8787/v1}"
question=$(printf '%s' "${1:-Where is my order?}" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr '\n\t' '  ')
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

curl --silent --show-error --fail-with-body --dump-header "$headers" "$gateway/chat/completions" \
    --header "authorization: Bearer ${KEY:-none}" \
    --header "content-type: application/json" \
    --header "x-continuum-conversation-id: ${CONVERSATION:-shell-$$}" \
    --data "{\"model\": \"gpt-4o-mini\", \"messages\": [{\"role\": \"user\", \"content\": \"$question\"}]}"
echo

id=$(sed -n 's/^x-continuum-interaction-id: *//ip' "$headers" | tr -d '\r')
curl --silent --show-error --fail-with-body "$gateway/feedback" \
    --header "authorization: Bearer ${KEY:-none}" \
    --header "content-type: application/json" \
    --data "{\"interaction_id\": \"$id\", \"score\": 5, \"label\": \"good\"}"
echo
