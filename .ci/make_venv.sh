#!/usr/bin/env bash
# Makes a virtual environment from requirements.txt: bash .ci/make_venv.sh .venv
# Finds a Python 3.11 (python3.11, pyenv, uv) and says how to get one where there is none.
set -euo pipefail
venv=$1

is_311() { "$@" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

make_with_uv() {
  command -v uv >/dev/null || return 1
  uv venv --quiet --seed --python 3.11 "$venv"
}

make_venv() {
  local python
  for python in python3.11 python3 python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python; do
    if is_311 "$python"; then
      "$python" -m venv "$venv" && return 0
      echo "$python has no working 'venv' module; on Debian or Ubuntu: apt install python3.11-venv" >&2
    fi
  done
  make_with_uv
}

if ! is_311 "$venv/bin/python"; then
  rm -rf "$venv"
  if ! make_venv; then
    cat >&2 <<'TEXT'
No Python 3.11 was found (TensorFlow 2.15 has no wheels for 3.12 and later). Get one with any of
  apt install python3.11 python3.11-venv     Debian 12, Ubuntu 22.04 (deadsnakes elsewhere)
  brew install python@3.11                   macOS
  pyenv install 3.11                         https://github.com/pyenv/pyenv
  uv python install 3.11                     https://docs.astral.sh/uv
and run make again.
TEXT
    exit 1
  fi
fi

echo "installing requirements.txt into $venv (about 3 GB, a few minutes)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
  -r requirements.txt

# Wheels bring all but these system libraries; a missing one shows only when a module is loaded.
for module in cv2 mediapipe av; do
  if ! message=$("$venv/bin/python" -c "import $module" 2>&1); then
    library=$(grep -o 'lib[A-Za-z0-9_.+-]*\.so[.0-9]*' <<<"$message" | head -n 1 || true)
    echo "import $module failed: ${library:-$(tail -n 1 <<<"$message")}" >&2
    echo "OpenCV and MediaPipe need libGL, libEGL and GLib; on Debian or Ubuntu:" >&2
    echo "  apt install libgl1 libegl1 libgles2 libglib2.0-0" >&2
    exit 1
  fi
done
