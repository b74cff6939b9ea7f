#!/bin/sh
# Find a Python 3.11 and run it in the checkout's root: sh tools/python311.sh -m tools.bootstrap
# Needs nothing but a POSIX shell. PYTHON names the interpreter to use; without it the usual names are tried.
set -u
cd "$(dirname -- "$0")/.." || exit 1

venv=.venv

# 0: a Python 3.11 that can make environments; 3: another version; 4: no venv or ensurepip in it; else: doesn't run.
probe() {
  "$1" -c '
import sys
if sys.version_info[:2] != (3, 11):
    print("%d.%d" % sys.version_info[:2])
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(4)
' 2>/dev/null
}

fail() {
  echo "set-up: $1" >&2
  exit 2
}

if [ -n "${PYTHON:-}" ]; then
  command -v "$PYTHON" >/dev/null 2>&1 || fail "PYTHON=$PYTHON is no program: name a Python 3.11, or leave PYTHON out."
  found=$(probe "$PYTHON")
  case $? in
    0) python=$PYTHON ;;
    3) fail "PYTHON=$PYTHON is Python $found, but Python 3.11 is needed (pyarrow 14 and petastorm have no newer one)." ;;
    4) fail "PYTHON=$PYTHON has no venv module: install it (Debian, Ubuntu: the package python3.11-venv)." ;;
    *) fail "PYTHON=$PYTHON does not run: name a Python 3.11, or leave PYTHON out." ;;
  esac
else
  python='' seen='' crippled=''
  # The environment's own interpreter first: an environment that works needs no other Python any more.
  for candidate in "$venv/bin/python" python3.11 python3 python; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    found=$(probe "$candidate")
    case $? in
      0) python=$candidate; break ;;
      3) seen="$seen, $candidate is $found" ;;
      4) crippled=$candidate ;;
    esac
  done
  if [ -z "$python" ]; then
    [ -z "$crippled" ] || fail "$crippled has no venv module: install it (Debian, Ubuntu: the package python3.11-venv)."
    fail "Python 3.11 is needed and none was found${seen:+ (${seen#, })}: install it (Debian 12: python3.11 and \
python3.11-venv; macOS: brew install python@3.11; anywhere: pyenv, conda, uv), or name one with PYTHON=/path/to/python3.11."
  fi
fi

unset PYTHONPATH PYTHONHOME
exec "$python" "$@"
