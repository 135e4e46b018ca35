#!/bin/sh
# Runs in the guest, when it has started: makes the sandboxes' image, or runs the tests, and writes the result down.
set -u
result=$(mktemp -d)

finish() {
    echo "$1" >"$result/status"
    sync
    tar -cf /dev/disk/by-id/virtio-result -C "$result" .
    exit 0
}

about() {
    uname -r
    docker info --format '{{.ServerVersion}} {{.CgroupDriver}} {{.CgroupVersion}} {{.Driver}} {{.SecurityOptions}}'
    .venv/bin/python --version
    swapon --show --noheadings
    .venv/bin/faas doctor | grep -E ' (docker|sandboxes) '
}

kind=$(sed -n 's/.*faas\.guest=\([a-z]*\).*/\1/p' /proc/cmdline)
if [ "$kind" = make ]; then
    FAAS_DATA_DIR=/var/lib/faas-image .venv/bin/faas image
    finish $?
fi
mkswap /dev/disk/by-id/virtio-swap >/dev/null && swapon /dev/disk/by-id/virtio-swap
about 2>&1 | tee "$result/about"
# Without arguments: the tests of what differs on such a host.
if [ -s .guest-arguments ]; then
    set --
    while IFS= read -r argument; do set -- "$@" "$argument"; done <.guest-arguments
else
    set -- -m docker tests/docker/test_sandbox_contract.py tests/docker/test_limits_stay.py tests/docker/test_memory_in_use.py \
        tests/hostile/test_kernel.py
fi
# Everything takes ten times as long as elsewhere, or more.
export TEST_PATIENCE=10
.venv/bin/python -m pytest --color=no -v -p no:cacheprovider --timeout 1800 --junitxml "$result/junit.xml" "$@" 2>&1
finish $?
