#!/bin/sh
# NAME_FILE names the file that holds NAME: a secret is mounted, and no description of a container shows it.
set -eu

for name in PGPASSWORD OPENAI_API_KEY CONTINUUM_JUDGE_API_KEY CONTINUUM_UPSTREAM_API_KEY CONTINUUM_SERVING_API_KEY \
    CONTINUUM_USER_KEY CONTINUUM_APPROVAL_WEBHOOK CONTINUUM_NOTIFY_WEBHOOK CONTINUUM_NOTIFY_SLACK; do
    eval "file=\${${name}_FILE:-}"
    [ -n "$file" ] || continue
    if [ ! -r "$file" ]; then
        echo "${name}_FILE names $file, which user $(id -u) cannot read; mount the secret there, readable (chmod 0444)" >&2
        exit 78
    fi
    export "$name=$(cat "$file")"
done

exec "$@"
