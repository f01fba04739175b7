#!/bin/bash
# tshark 4.0.17 (Debian 12), given the key, decrypts no ChaCha20-Poly1305 on DTLS 1.2, and does not say so.
#
# Setting    `openssl s_client` and `s_server` (3.0) over DTLS 1.2 on loopback with a pre-shared key, captured by dumpcap,
#            read by tshark with `-o dtls.psk:<key>`; one suite each time
# Behaviour  with PSK-AES128-GCM-SHA256, PSK-AES128-CCM8 and PSK-AES128-CBC-SHA256 the application data is shown in the
#            clear. With PSK-CHACHA20-POLY1305 (RFC 7905, which is for DTLS 1.2 too) the session is dissected, the suite
#            is named, and the data stays encrypted without a warning.
# Seen       number of application data records in the clear: GCM 1, CCM8 1, CBC 1, ChaCha20 0
# Matters    who looks for a fault with Wireshark believes that the key is wrong. Capture with an AES suite instead.
#
# Needs Debian 12 with openssl, what tshark depends on, a package mirror, and the right to capture on lo (root).
# Ends with 1 when any of this is no longer so.
set -euo pipefail

readonly VERSION=4.0.17-0+deb12u3 KEY=42424242424242424242424242424242
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in tshark wireshark-common libwireshark16 libwiretap13 libwsutil14 libwireshark-data; do
  apt-get download -qq "$package=$VERSION"
done
for package in ./*.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu PATH=$work/root/usr/bin:$PATH
tshark --version 2>/dev/null | head -n 1
openssl version

status=0
# expect SUITE RECORDS
expect() {
  local port=$((20000 + RANDOM % 20000)) capture server records
  timeout 10 dumpcap -q -i lo -f "udp port $port" -w "$1.pcap" >/dev/null 2>capture.log &
  capture=$!
  for _ in {1..50}; do grep -q Capturing capture.log && break; sleep 0.1; done
  # s_server and s_client end with their standard input.
  sleep 5 | timeout 6 openssl s_server -dtls1_2 -accept "$port" -nocert -psk_identity client -psk $KEY \
    -cipher "$1:@SECLEVEL=0" >server.log 2>&1 &
  server=$!
  for _ in {1..50}; do grep -q ACCEPT server.log && break; sleep 0.1; done
  { echo hello; sleep 1; } | timeout 4 openssl s_client -dtls1_2 -connect "127.0.0.1:$port" -psk_identity client \
    -psk $KEY -cipher "$1:@SECLEVEL=0" >client.log 2>&1 || true
  for _ in {1..50}; do grep -q hello server.log && break; sleep 0.1; done
  grep -q hello server.log || { echo "$1: the two did not connect"; status=1; }
  sleep 1
  kill -INT "$capture" && wait "$capture" || true
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  records=$(tshark -r "$1.pcap" -d "udp.port==$port,dtls" -o "dtls.psk:$KEY" -T fields -e data.data 2>/dev/null |
    grep -c "$(printf 'hello\n' | od -An -tx1 | tr -d ' \n')" || true)
  echo "$1: $records in the clear"
  [ "$records" = "$2" ] || { echo "  expected: $2"; status=1; }
  rm -f server.log capture.log
}
expect PSK-AES128-GCM-SHA256 1
expect PSK-AES128-CCM8 1
expect PSK-AES128-CBC-SHA256 1
expect PSK-CHACHA20-POLY1305 0
exit $status
