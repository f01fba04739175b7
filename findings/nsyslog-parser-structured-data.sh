#!/bin/bash
# nsyslog-parser 0.10.1 (npm) takes timeQuality and origin of a syslog message for text, and no IPv6 address for a host.
#
# Setting    messages of RFC 5424 beside rsyslog 8.2302 (Debian 12), which reads them from a Unix socket and prints
#            host, program, structured data and text. Section 7 has the names timeQuality, origin and meta, without "@";
#            section 6.3.3 escapes a quote in a value, section 6.3.1 allows an element without values, section 6.2.4 has
#            IPv6 addresses for a host, section 6.2.7 every printing character for an id
# Behaviour  1. If the first element has no "@", its name is dropped and its values are the text. If an element with "@"
#               follows, that is read, and the text is lost.
#            2. With an escaped quote, or an element without values, all structured data becomes text.
#            3. Of two values with one name the last is left; origin has one for each address of a host.
#            4. An IPv6 address gives the host "", no program, and the whole rest as text; an id with a colon is text.
# Seen       see `expected` below; nothing is raised, as the package promises for malformed messages
# Matters    `logger --rfc5424` of Debian begins its structured data with timeQuality. What a device says about the
#            state of its clock is shown as what happened. Still so in the newest release.
#
# Needs Debian 12 with what rsyslog depends on, node and npm, and a package mirror. Ends with 1 when any of this is no
# longer so.
set -euo pipefail

readonly VERSION=8.2302.0-1+deb12u2
work=$(mktemp -d)
collector=
trap '[ -z "$collector" ] || kill "$collector"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "rsyslog=$VERSION" libestr0 libfastjson4 liblognorm5
for package in ./*.deb; do dpkg -x "$package" root; done
lib=$(dirname "$work"/root/usr/lib/*/libestr.so.0)
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . nsyslog-parser@0.10.1

cat >rsyslog.conf <<CONF
global(workDirectory="$work")
module(load="imptcp")
template(name="parts" type="string" string="%hostname% | %app-name% | %structured-data% |%msg%\n")
input(type="imptcp" path="$work/in.sock")
if \$inputname == "imptcp" then action(type="omfile" file="$work/collected" template="parts")
CONF
LD_LIBRARY_PATH=$lib root/usr/sbin/rsyslogd -n -i "$work/pid" -f rsyslog.conf -M "$lib/rsyslog" >rsyslog.log 2>&1 &
collector=$!
for _ in {1..50}; do [ -S in.sock ] && break; sleep 0.1; done

cat >try.cjs <<'JS'
const { readFileSync } = require('node:fs')
const { connect } = require('node:net')
const parse = require('nsyslog-parser')

const messages = [
  'gw meter - ID47 [x@32473 a="1"] text',
  'gw meter - ID47 [timeQuality tzKnown="1" isSynced="0"] text',
  'gw meter - ID47 [meta sequenceId="29"][x@32473 a="1"] text',
  'gw meter - ID47 [x@32473 a="the \\"old\\" key"] text',
  'gw meter - ID47 [x@32473] text',
  'gw meter - ID47 [x@32473 a="1" a="2"] text',
  '2001:db8::1 meter - ID47 - text',
  'gw meter - ID:47 - text',
].map((rest) => `<165>1 2026-11-30T22:14:15.003Z ${rest}`)
const collected = () => {
  try {
    return readFileSync('collected', 'utf8').trimEnd().split('\n')
  } catch {
    return []
  }
}
const socket = connect('in.sock', () => socket.end(messages.map((message) => `${message}\n`).join('')))
const timer = setInterval(() => {
  if (collected().length < messages.length) return
  clearInterval(timer)
  for (const [index, line] of collected().entries()) {
    const { host, appName, structuredData, message } = parse(messages[index])
    const data = structuredData.map((element) => JSON.stringify(element)).join('') || '-'
    console.log(`rsyslog: ${line}\npackage: ${host} | ${appName} | ${data} |${message}`)
  }
}, 50)
JS

cat >expected <<'TEXT'
rsyslog: gw | meter | [x@32473 a="1"] |text
package: gw | meter | {"$id":"x@32473","a":"1"} |text
rsyslog: gw | meter | [timeQuality tzKnown="1" isSynced="0"] |text
package: gw | meter | - |tzKnown="1" isSynced="0"] text
rsyslog: gw | meter | [meta sequenceId="29"][x@32473 a="1"] |text
package: gw | meter | {"$id":"x@32473","a":"1"} |sequenceId="29"]
rsyslog: gw | meter | [x@32473 a="the \"old\" key"] |text
package: gw | meter | - |[x@32473 a="the \"old\" key"] text
rsyslog: gw | meter | [x@32473] |text
package: gw | meter | - |[x@32473] text
rsyslog: gw | meter | [x@32473 a="1" a="2"] |text
package: gw | meter | {"$id":"x@32473","a":"2"} |text
rsyslog: 2001:db8::1 | meter | - |text
package:  | undefined | - |2001:db8::1 meter - ID47 - text
rsyslog: gw | meter | - |text
package: gw | meter | - |ID:47 - text
TEXT
timeout 60 node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
