#!/bin/sh
# Set up this checkout: a virtual environment with pinned packages, Docker where it can be had, and the base image.
# Safe to run again and in parallel; quick and without network when nothing is missing.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

newest_python() {
    for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

have_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null &&
        apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends "$@" >/dev/null
}

install_venv_package() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    can_install ||
        fail "Python $version has no venv module: install python3-venv (Debian, Ubuntu: apt-get install python$version-venv)"
    apt_install "python$version-venv"
}

make_venv() {
    newest_python >/dev/null || ! can_install || apt_install python3 python3-venv || :
    python=$(newest_python) || fail "Python 3.11 or newer is needed, and none was found"
    have_venv "$python" || install_venv_package "$python"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

inputs_digest() { { pwd; cat pyproject.toml constraints.txt; } | sha256sum | cut -d ' ' -f 1; }

pip() { .venv/bin/python -m pip "$@" --quiet --disable-pip-version-check; }

install_packages() {
    stamp=.venv/.installed
    wanted=$(inputs_digest)
    [ "$(cat "$stamp" 2>/dev/null || :)" = "$wanted" ] && return
    .venv/bin/python -c '' 2>/dev/null && .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
    say "installing the pinned packages"
    pip install --require-hashes --requirement constraints.txt
    # Our own package has no hash; all that it needs is there, the tool that builds it included.
    pip install --no-index --no-deps --no-build-isolation --editable .
    echo "$wanted" >"$stamp.$$" && mv "$stamp.$$" "$stamp"
}

engine_answers() { sh tools/docker.sh answers; }

make_image() { FAAS_DATA_DIR=${FAAS_DATA_DIR:-$PWD/.faas} .venv/bin/faas image >/dev/null; }

# The base image is built with mmdebstrap only where none is there and none can be pulled: the second try has it.
ensure_image() {
    engine_answers && [ "${FAAS_ENGINE:-auto}" != process ] || return 0
    make_image && return
    if can_install && ! command -v mmdebstrap >/dev/null 2>&1; then
        apt_install mmdebstrap && make_image && return
    fi
    say "WARNING: no base image for containers: \`faas up\` needs one, or FAAS_ENGINE=process, which isolates nothing"
    [ "${FAAS_REQUIRE_DOCKER:-0}" != 1 ]
}

# The tests of clocks that jump compile a few lines of C.
ensure_compiler() {
    for name in cc gcc clang tcc; do
        ! command -v "$name" >/dev/null 2>&1 || return 0
    done
    if can_install && apt_install tcc; then return; fi
    say "WARNING: no C compiler: the tests of clocks that jump will fail (Debian, Ubuntu: apt-get install tcc)"
}

# The tests of the page look at it in a real browser, with a font.
ensure_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        ! command -v "$name" >/dev/null 2>&1 || return 0
    done
    if can_install && apt_install chromium fonts-liberation; then return; fi
    say "WARNING: no Chromium: the tests of the page will fail (Debian, Ubuntu: apt-get install chromium)"
}

# One set-up at a time in one checkout; the lock falls with the process.
mkdir -p .faas
exec 9>.faas/setup.lock
if command -v flock >/dev/null 2>&1; then flock 9; fi
install_packages
sh tools/docker.sh ensure 9>&-
ensure_image
ensure_compiler
ensure_browser
