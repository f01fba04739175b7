#!/bin/bash
# dns-zonefile 0.3.2 (npm) gives records of a zone to another host, leaves some out, and cuts SRV records short.
#
# Setting    a master file (RFC 1035 section 5.1): a line that begins with a blank has the last stated owner, TTL and
#            class come in either order, parentheses carry a record over a line end. The package says that it is
#            compliant with RFC 1035
# Behaviour  1. A blank owner is taken for that of the last record of the same type, not of the last record. The AAAA of
#               gw1 goes to gw0, which has it beside its own; its TXT, the first in the zone, to `@`, the zone itself.
#            2. "IN 600 A" is left out; "600 IN A" is read.
#            3. Of an SRV in parentheses only the first line is read: target "60", port 10, no priority.
# Seen       see `expected` below; nothing is raised, and `generate()` writes the wrong zone out
# Matters    a client that finds its gateways by such a zone asks the wrong host, or one named 60. Still so in the
#            newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . dns-zonefile@0.3.2

cat >zone <<'ZONE'
$ORIGIN example.com.
$TTL 3600
@     IN SOA ns1 host ( 1 7200 3600 1209600 300 )
@     IN NS ns1
ns1   IN A 192.0.2.53
gw0   IN AAAA 2001:db8::10
gw1   IN A 192.0.2.1
      IN AAAA 2001:db8::1
      IN TXT "rt=temperature"
gw2   IN 600 A 192.0.2.2
gw3   600 IN A 192.0.2.3
_coaps._udp IN SRV 10 60 5684 gw1
            IN SRV 20 60 5684 gw2
_coap._udp  IN SRV ( 10 60
                     5683 gw1 )
ZONE
cat >try.cjs <<'JS'
const { parse } = require('dns-zonefile').default ?? require('dns-zonefile')
const zone = parse(require('node:fs').readFileSync('zone', 'utf8'))
for (const type of ['a', 'aaaa', 'txt', 'srv'])
  for (const record of zone[type]) console.log(type, JSON.stringify(record))
JS

cat >expected <<'TEXT'
a {"name":"ns1","ip":"192.0.2.53"}
a {"name":"gw1","ip":"192.0.2.1"}
a {"name":"gw3","ip":"192.0.2.3","ttl":600}
aaaa {"name":"gw0","ip":"2001:db8::10"}
aaaa {"name":"gw0","ip":"2001:db8::1"}
txt {"name":"@","txt":"\"rt=temperature\""}
srv {"name":"_coaps._udp","target":"gw1","priority":10,"weight":60,"port":5684}
srv {"name":"_coaps._udp","target":"gw2","priority":20,"weight":60,"port":5684}
srv {"name":"_coap._udp","target":"60","priority":null,"weight":null,"port":10}
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
