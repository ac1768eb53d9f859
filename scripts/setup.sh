# Sourced by scripts/test and scripts/demo: makes a fresh clone ready, does nothing when it is.
# Whoever sources it stands in the project's root and has `set -euo pipefail`.

# Modules are compiled once, and not by each of the hundreds of processes that demo and tests begin.
unset PYTHONDONTWRITEBYTECODE

# What the tests want beside Python: foreign programs that judge our octets (tests/peers), our units and our scripts,
# and networks of their own.
TEST_PACKAGES=(tshark ffmpeg sox libsox-fmt-base gstreamer1.0-tools gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad baresip-core openssl iproute2
    sip-tester kamailio softhsm2 systemd shellcheck)

say() { printf '== %s\n' "$*" >&2; }

retry() { # the network and other people's apt locks come and go
    local try
    for try in 1 2 3 4; do
        "$@" && return 0
        say "failed ($try of 4): $*"
        sleep $((try * 5))
    done
    return 1
}

# Debian packages that are not there are installed when we may; otherwise it is said which are missing.
# Status 1: we may not, 2: it failed.
need_debian() (
    missing=()
    command -v dpkg-query >/dev/null || {
        say "not a Debian system; this would be installed there: $*"
        return 1
    }
    for package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        say "missing; as root: apt-get install --no-install-recommends ${missing[*]}"
        return 1
    fi
    say "installing Debian packages: ${missing[*]}"
    # No service may start because we install a tool; a policy that the host already has stays as it is.
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    export DEBIAN_FRONTEND=noninteractive
    install() {
        apt-get update -qq &&
            apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
    }
    retry install </dev/null || exit 2
)

# The first Python that is new enough; PYTHON=... chooses another one.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(find_python) || { need_debian python3 python3-venv && python=$(find_python); } || {
        say "Python 3.11 or newer is needed"
        return 1
    }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_debian python3-venv
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

# setup run|dev: .venv with the locked packages and this project in it, editable. The stamp is the digest of
# everything that decides the result, so that a second run costs nothing.
setup() {
    local kind=$1 stamp digest
    make_venv
    stamp=.venv/.installed-$kind
    digest=$({ .venv/bin/python --version; cat requirements/build.txt "requirements/$kind.txt" pyproject.toml; } |
        sha256sum)
    [[ -f $stamp && $(<"$stamp") == "$digest" ]] && return
    say "installing requirements/$kind.txt into .venv"
    # The lock files are complete: nothing is left to resolve. What is never imported need not be compiled.
    retry .venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile --require-hashes --no-deps \
        -r requirements/build.txt -r "requirements/$kind.txt"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation \
        --no-index -e .
    printf '%s\n' "$digest" >"$stamp"
}
