#!/bin/sh
# Write constraints.txt anew: every package of the runtime and of the chores, with its version and the hashes of its
# files. Versions stay as they are unless they are named: `sh tools/pin.sh aiohttp uv`.
set -eu
cd "$(dirname "$0")/.."

upgrade=
for name in "$@"; do upgrade="$upgrade --upgrade-package $name"; done
# shellcheck disable=SC2086 # one word for each package
printf 'pillow\nsetuptools\n' | .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --extra dev --extra postgresql $upgrade \
    pyproject.toml - --output-file constraints.txt
