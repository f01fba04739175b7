#!/bin/bash
# node-netflowv9 0.2.16 (npm) reads "one packet in 100" of NetFlow 5 as one in 16,484, and leaves a field of 9 out.
#
# Setting    a packet of NetFlow 5, whose sampling interval has the mode in its two highest bits and the interval in the
#            other 14 (Cisco, "NetFlow Export Datagram Format"), and one of NetFlow 9 with a template and a flow (RFC
#            3954 sections 5 and 8; field 46, MPLS_TOP_LABEL_TYPE, is a number of one byte). tshark 4.0.17 (Debian 12)
#            reads the same packets
# Behaviour  1. Mode and interval are one number: with mode 1, 100 is 16,484, with mode 2, 32,868.
#            2. Field 46 is taken for an IPv4 address, and since it has no four bytes it is not there.
# Seen       see `expected` below; nothing is raised. The flow itself is right
# Matters    the traffic of a router that samples is counted by multiplying with the interval: here 165 times too much.
#            Still so in the newest release.
#
# Needs Debian 12 with what tshark depends on, node and npm, and a package mirror. Ends with 1 when any of this is no
# longer so.
set -euo pipefail

readonly VERSION=4.0.17-0+deb12u3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in tshark wireshark-common libwireshark16 libwiretap13 libwsutil14 libwireshark-data; do
  apt-get download -qq "$package=$VERSION"
done
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$work"/root/usr/lib/*/libwireshark.so.16)
export LD_LIBRARY_PATH
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . node-netflowv9@0.2.16

cat >try.cjs <<'JS'
const { execFileSync } = require('node:child_process')
const { writeFileSync } = require('node:fs')
const NetFlow = require('node-netflowv9')

const bytes = (text) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const flow = `c0000201 c6336402 00000000 0001 0002 0000000a 000003e8 00000000 00000000
  1633 c350 00 10 11 00 0000 0000 18 18 0000`
const five = (sampling) => bytes(`0005 0001 00000000 692c3500 00000000 00000001 00 00 ${sampling} ${flow}`)
const nine = bytes(`0009 0002 00000000 692c3500 00000001 00000000
  0000 0014 0100 0003 0001 0004 0008 0004 002e 0001
  0100 0010 000003e8 c0000201 05 000000`)

const collector = new NetFlow({ cb: () => {} })
function tshark(packet, ...fields) {
  const udp = Buffer.concat([bytes('0807 0807'), Buffer.alloc(2), bytes('0000'), packet])
  udp.writeUInt16BE(udp.length, 4)
  const ip = bytes('45000000 00000000 40110000 7f000001 7f000001')
  ip.writeUInt16BE(ip.length + udp.length, 2)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(ip.length + udp.length)
  // Link type 101: packets begin with the header of IP.
  const file = [bytes('a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000065'), bytes('692c3500 00000000'), size, size]
  writeFileSync('flow.pcap', Buffer.concat([...file, ip, udp]))
  const words = ['-r', 'flow.pcap', '-d', 'udp.port==2055,cflow', '-T', 'fields']
  for (const field of fields) words.push('-e', field)
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
  return execFileSync('root/usr/bin/tshark', words, options).trim().split('\t').join(' ')
}
const read = (packet) => collector.nfPktDecode(packet, { address: '127.0.0.1', port: 2055, size: packet.length })
for (const sampling of ['0000', '0064', '4064', '8064']) {
  const { header, flows } = read(five(sampling))
  const right = tshark(five(sampling), 'cflow.samplingmode', 'cflow.samplerate', 'cflow.srcaddr', 'cflow.octets')
  console.log(`5, sampling ${sampling}: tshark ${right}`)
  console.log(`  package ${header.sampling_interval} ${flows[0].ipv4_src_addr} ${flows[0].in_bytes}`)
}
console.log(`9: tshark ${tshark(nine, 'cflow.octets', 'cflow.srcaddr', 'cflow.toplabeltype')}`)
const { in_bytes, ipv4_src_addr, mpls_top_label_type } = read(nine).flows[0]
console.log(`  package ${in_bytes} ${ipv4_src_addr} ${mpls_top_label_type}`)
collector.server.close()
JS

cat >expected <<'TEXT'
5, sampling 0000: tshark 0 0 192.0.2.1 1000
  package 0 192.0.2.1 1000
5, sampling 0064: tshark 0 100 192.0.2.1 1000
  package 100 192.0.2.1 1000
5, sampling 4064: tshark 1 100 192.0.2.1 1000
  package 16484 192.0.2.1 1000
5, sampling 8064: tshark 2 100 192.0.2.1 1000
  package 32868 192.0.2.1 1000
9: tshark 1000 192.0.2.1 5
  package 1000 192.0.2.1 undefined
TEXT
node --no-deprecation try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
