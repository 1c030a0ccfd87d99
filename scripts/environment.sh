#!/usr/bin/env bash
# Makes .venv and brings it to one of the lock files: environment.sh runtime|dev
# The machine's own settings for pip and uv (PIP_*, UV_*, pip.conf) are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3.11}
uv_version=${UV_VERSION:?set by the Makefile}

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
  cat >&2 <<'TEXT'
Cần Python 3.11 (lệnh python3.11). Cài đặt rồi chạy lại, hoặc chỉ đường dẫn: make PYTHON=/duong/dan/python3.11 ...
Python 3.11 is needed (the command python3.11). Install it and run again, or name it: make PYTHON=/path/to/python3.11 ...
TEXT
  exit 1
fi

if ! [ -x .venv/bin/python ]; then
  echo "Making .venv with $("$python" --version)"
  if ! "$python" -m venv .venv; then
    rm -rf .venv
    echo "python3.11 cannot make a virtual environment; on Debian: apt-get install python3.11-venv" >&2
    exit 1
  fi
fi

if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  .venv/bin/python -m pip install --quiet "uv==$uv_version"
fi

# uv does not read pip's configuration: hand on an index that this machine prefers.
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
  index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
fi

export VIRTUAL_ENV=$PWD/.venv
case ${1:-} in
  runtime) .venv/bin/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock ;;
  dev) .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements-dev.lock ;;
  *)
    echo "usage: environment.sh runtime|dev" >&2
    exit 2
    ;;
esac

# The command `.venv/bin/giamdinh`, and our packages for whatever runs in this environment.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
printf '%s\n' "$PWD" "$PWD/plugins" > "$site/giamdinh.pth"
cat > .venv/bin/giamdinh <<'COMMAND'
#!/bin/sh
exec "$(dirname "$0")/python" -m giamdinh "$@"
COMMAND
chmod +x .venv/bin/giamdinh
