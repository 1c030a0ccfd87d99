#!/usr/bin/env bash
# The Debian packages that the tests use beside Python's: says what is missing and installs it (root with apt),
# or prints the one line to type and stops. `make demo` needs none of them.
set -euo pipefail

# command that must be there -> package that brings it
declare -A packages=(
  [docker-compose]=docker-compose # `docker-compose config` checks docker-compose.yml
  [sftp]=openssh-client           # hospitals' end of the SFTP server
  [chromium]=chromium             # opens reports as hospital staff do
  [xmlsec1]=xmlsec1               # an independent judge of our signatures
  [xmllint]=libxml2-utils # judges what we write by our XML Schemas
)

missing=()
for command in "${!packages[@]}"; do
  command -v "$command" >/dev/null 2>&1 || missing+=("${packages[$command]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "The tests need Debian packages that are missing here; installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  cat >&2 <<TEXT
Các kiểm thử cần thêm gói phần mềm. Hãy gõ dòng sau rồi chạy lại make test:
The tests need packages that are missing here. Type this line, then run make test again:

    sudo apt-get install -y --no-install-recommends ${missing[*]}

TEXT
  exit 1
fi
