#!/bin/bash
# fast-cidr-tools 0.3.4, pad-ipv6 1.0.2, isipaddress 0.0.2 and others (npm) read or write valid IPv6 addresses wrong.
#
# Setting    addresses of RFC 4291 section 2.2 in their texts beside Python's ipaddress. "::" stands for one or more
#            groups of zeros, anywhere; RFC 5952 section 4.2.2: written, it never stands for a single one; RFC 4007
#            section 11.2: the zone follows "%"
# Behaviour  1. Where "::" stands for a single group at the end, fast-cidr-tools makes a number of more than 128 bits of
#               the address; pad-ipv6 gives nine groups for it, at the front too.
#            2. fast-cidr-tools, ipaddress 0.2.11 and @se-oss/ip-address 1.1.1 write "::" for a single group.
#            3. isipaddress says that :: and ::1 are no IPv6 addresses.
#            4. ip-ptr 3.0.0 puts the zone into the name for a reverse look-up, letter by letter.
# Seen       see `expected` below; nothing is raised
# Matters    two texts of one address are compared as texts in lists of hosts, names in DNS and the names of sessions; a
#            network is matched for the wrong hosts, and a server on loopback is no address. Still so in the newest
#            releases.
#
# Needs python3, node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  fast-cidr-tools@0.3.4 pad-ipv6@1.0.2 isipaddress@0.0.2 ipaddress@0.2.11 @se-oss/ip-address@1.1.1 ip-ptr@3.0.0

cat >right.py <<'PYTHON'
import ipaddress, sys

for text in sys.argv[1:]:
    address = ipaddress.IPv6Address(text)
    print(address, address.exploded, int(address))
PYTHON
cat >try.mjs <<'JS'
import { execFileSync } from 'node:child_process'
import * as seOss from '@se-oss/ip-address'
import * as tools from 'fast-cidr-tools'
import ptr from 'ip-ptr'
import * as ipaddress from 'ipaddress'
import isIpAddress from 'isipaddress'
import padIpv6 from 'pad-ipv6'

const read = (texts) => execFileSync('python3', ['right.py', ...texts], { encoding: 'utf8' }).trim().split('\n')
const texts = ['2001:db8::1', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '2001:db8:0:1:1:1:1:1', '::1', '::']
for (const [index, line] of read(texts).entries()) {
  const text = texts[index]
  const [short, long, number] = line.split(' ')
  const packages = {
    'fast-cidr-tools, number': [tools.ip2bigint(text)[0] ?? tools.ip2bigint(text), number],
    'pad-ipv6': [padIpv6(text), long],
    isipaddress: [isIpAddress.v6(text), true],
    ipaddress: [(ipaddress.IPAddress ?? ipaddress.default).parse(text).to_s(), short],
    '@se-oss/ip-address': [seOss.parseIP(text).toString(), short],
    'fast-cidr-tools': [tools.bigint2ip(BigInt(number), 6), short],
  }
  const wrong = Object.entries(packages).filter(([, [got, right]]) => String(got) !== String(right))
  console.log(`${text} is ${short}${wrong.length === 0 ? ' by all' : ''}`)
  for (const [name, [got]] of wrong) console.log(`  ${name}: ${got}`)
}
console.log(`fe80::1%eth0 is, by ip-ptr, ${ptr('fe80::1%eth0')}`)
JS

cat >expected <<'TEXT'
2001:db8::1 is 2001:db8::1 by all
1:2:3:4:5:6:7:: is 1:2:3:4:5:6:7:0
  fast-cidr-tools, number: 340292751752344856456938548970230120448
  pad-ipv6: 0001:0002:0003:0004:0005:0006:0007:0000:0000
  ipaddress: 1:2:3:4:5:6:7::
  @se-oss/ip-address: 1:2:3:4:5:6:7::
  fast-cidr-tools: 1:2:3:4:5:6:7::
::2:3:4:5:6:7:8 is 0:2:3:4:5:6:7:8
  pad-ipv6: 0000:0000:0002:0003:0004:0005:0006:0007:0008
  ipaddress: ::2:3:4:5:6:7:8
  @se-oss/ip-address: ::2:3:4:5:6:7:8
  fast-cidr-tools: ::2:3:4:5:6:7:8
2001:db8:0:1:1:1:1:1 is 2001:db8:0:1:1:1:1:1
  ipaddress: 2001:db8::1:1:1:1:1
  @se-oss/ip-address: 2001:db8::1:1:1:1:1
  fast-cidr-tools: 2001:db8::1:1:1:1:1
::1 is ::1
  isipaddress: false
:: is ::
  isipaddress: false
fe80::1%eth0 is, by ip-ptr, 0.h.t.e.%.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa
TEXT
node try.mjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
