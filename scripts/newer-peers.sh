#!/usr/bin/env bash
# Unpacks libraries that are newer than this Debian's into build/newer-peers/, for the interop tests of
# DTLS 1.3: wolfSSL and NSS's tools, of the versions and bytes that newer-peers.lock names.
#
#   bash scripts/newer-peers.sh [--if-here]        prints the folder; --if-here: only if it was made before
#     DIR/run PROGRAM ARG…    runs a program of these packages, or a path, on their own loader and libraries
#     DIR/cc ARG…             the system's compiler with their headers and libraries; start the result with `run`
#
# Nothing is installed: packages are unpacked, no script of theirs runs, and the system's loader and C library
# stay what they are. They come from the mirror that apt uses already. Debian keeps a version there for a few
# weeks only: where one cannot be had the exit code is 3, and the tests pass over these peers and say so.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
readonly LOCK=scripts/newer-peers.lock
readonly SUITE_DIR=usr/lib/x86_64-linux-gnu

absent() {
  echo "newer-peers: $*" >&2
  exit 3
}

mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | sed 's#/* *$##'
}

# fetch DIR: every package of the lock file, each checked by apt against its hash.
fetch() {
  local from hash path
  from=$(mirror)
  [ -n "$from" ] || absent 'apt has no Debian mirror'
  while read -r hash path; do
    /usr/lib/apt/apt-helper -qq download-file "$from/${path//+/%2b}" "$1/${path##*/}" "SHA256:$hash" >/dev/null 2>&1 ||
      absent "$from has no $path with this hash any more"
  done < <(grep -v '^#' "$LOCK")
}

# unpack DIR: into DIR/root, where bin, sbin and lib are links as on any merged system.
unpack() {
  local folder package
  for folder in bin sbin lib lib64; do
    mkdir -p "$1/root/usr/$folder" && ln -sfn "usr/$folder" "$1/root/$folder" || return
  done
  for package in "$1"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1/root" --keep-directory-symlink --no-same-owner || return
  done
  rm -f "$1"/*.deb
}

# wrap DIR FINAL: writes DIR/run and DIR/cc, which know where they will be.
wrap() {
  local lib=$2/root/$SUITE_DIR
  cat >"$1/run" <<RUN || return
#!/bin/sh
program=\$1
shift
case \$program in */*) ;; *) program=$2/root/usr/bin/\$program ;; esac
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$lib/nss" "\$program" "\$@"
RUN
  cat >"$1/cc" <<CC || return
#!/bin/sh
exec cc -isystem "$2/root/usr/include" "\$@" -L "$lib" -lwolfssl -Wl,--allow-shlib-undefined
CC
  chmod +x "$1/run" "$1/cc"
}

[ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || absent 'the packages are for Linux on amd64'
for needed in dpkg-deb tar /usr/lib/apt/apt-helper; do
  command -v "$needed" >/dev/null || absent "$needed is not here"
done
folder=$PWD/build/newer-peers/$(sha256sum "$LOCK" scripts/newer-peers.sh | sha256sum | cut -c1-16)
if [ ! -d "$folder" ]; then
  [ "${1:-}" != --if-here ] || absent 'not unpacked yet: bash scripts/newer-peers.sh'
  mkdir -p build/newer-peers
  made=$(mktemp -d build/newer-peers/unpacking-XXXXXX) || exit 1
  trap 'rm -rf "$made"' EXIT
  fetch "$made"
  unpack "$made" && wrap "$made" "$folder" || exit 1
  # Whole or not at all; another process may have been faster.
  mv -T "$made" "$folder" 2>/dev/null || [ -d "$folder" ] || exit 1
fi
echo "$folder"
