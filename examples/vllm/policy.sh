#!/bin/sh
# Tell a task that vLLM serves its tuned models: policy.sh TASK URL
set -eu
task=${1:?the task} url=${2:?the base URL of vLLM, such as http://models:8000/v1}

# One adapter line of rank 16, as vllm.env allows; a canary of 5 % whose steps take two hours at least and evidence always.
exec continuum tasks set "$task" \
    deployment.backend=vllm "deployment.backend_url=$url" \
    deployment.strategy=canary deployment.initial_traffic=0.05 'deployment.ramp_schedule=[0.05,0.25,0.5,1.0]' \
    deployment.ramp_interval_hours=2 deployment.rollback_on_quality_drop=0.05 \
    training.lora_rank=16
