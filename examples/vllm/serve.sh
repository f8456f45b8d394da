#!/bin/sh
# Start vLLM as Continuum needs it: serve.sh [FILE], by default vllm.env beside this script.
set -eu
. "${1:-$(dirname "$0")/vllm.env}"

if [ ! -d "$CHECKPOINTS" ]; then
    echo "CHECKPOINTS is $CHECKPOINTS, which is no folder here; mount the checkpoints under the path that Continuum has them at" >&2
    exit 78
fi
if [ -n "${API_KEY_FILE:-}" ]; then
    # In the environment, where a list of processes does not show it.
    VLLM_API_KEY=$(cat "$API_KEY_FILE")
    export VLLM_API_KEY
fi
# Without it vLLM leaves out the routes by which a new version is loaded.
export VLLM_ALLOW_RUNTIME_LORA_UPDATING=True
exec vllm serve "$BASE_MODEL" --host 0.0.0.0 --port "$PORT" \
    --enable-lora --max-lora-rank "$MAX_LORA_RANK" --max-loras "$MAX_LORAS" --max-cpu-loras "$MAX_CPU_LORAS"
