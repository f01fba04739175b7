#!/bin/bash
# psktool (GnuTLS 3.7.9) writes a name that begins with '#' into a key file in which GnuTLS cannot find it.
#
# Setting    psktool makes a key for a name, gnutls-serv reads the file, gnutls-cli connects under that name with that
#            key; TLS 1.2 with PSK; all of GnuTLS 3.7.9 (Debian 12)
# Behaviour  in these files '#' says that the name follows in hexadecimal. psktool uses it for a name with a colon
#            ("a:b" becomes "#613a62"), but leaves a leading '#' of the name itself as it is. For the server the line
#            "#lead:<key>" is then another name, and the client who has the right key is told "Bad record MAC".
# Seen       name "#lead": written as "#lead", not connected; name "a:b": written as "#613a62", connected
# Matters    key files are made by psktool for qemu, nbdkit and others; other readers (mosquitto) take such a line for a
#            comment.
#
# Needs Debian 12 and a package mirror. Ends with 1 when any of this is no longer so.
set -euo pipefail

readonly VERSION=3.7.9-2+deb12u7
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "gnutls-bin=$VERSION" "libgnutls30=$VERSION" "libgnutls-dane0=$VERSION"
for package in ./*.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu PATH=$work/root/usr/bin:$PATH
export GNUTLS_SYSTEM_PRIORITY_FILE=/dev/null
psktool --version | head -n 1

readonly PRIORITY=NORMAL:-KX-ALL:+PSK:-VERS-TLS1.3
status=0
# try NAME WRITTEN RESULT
try() {
  local port=$((20000 + RANDOM % 20000)) written key server result
  rm -f keys
  psktool --username "$1" --pskfile keys --keysize 16 >/dev/null 2>&1
  written=$(sed 's/:[0-9a-f]*$//' keys)
  key=$(sed 's/.*://' keys)
  timeout 8 gnutls-serv --port "$port" --pskpasswd keys --priority "$PRIORITY" --echo >server.log 2>&1 &
  server=$!
  for _ in {1..50}; do grep -q ready server.log && break; sleep 0.1; done
  timeout 4 gnutls-cli 127.0.0.1 --port "$port" --pskusername "$1" --pskkey "$key" --priority "$PRIORITY" \
    </dev/null >client.log 2>&1 || true
  result=$(grep -oE 'Handshake was completed|Bad record MAC' client.log | head -n 1)
  echo "name $1: written as $written; $result"
  [ "$written; $result" = "$2; $3" ] || { echo "  expected: $2; $3"; status=1; }
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
try 'a:b' '#613a62' 'Handshake was completed'
try '#lead' '#lead' 'Bad record MAC'
exit $status
