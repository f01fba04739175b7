#!/bin/bash
# mqtt-pattern 2.1.1, mqtt-match 3.0.0, mqtt-wildcard 3.0.9 (npm) match other topics than a broker.
#
# Setting    retained messages of six topics: which of them mosquitto 2.0.11 (Debian 12) delivers for a filter, and
#            which match by the packages. MQTT 5.0 section 4.7.1.3: "+" stands for one level, an empty one too; section
#            4.7.2: a filter that begins with a wildcard matches no topic that begins with "$"
# Behaviour  1. mqtt-pattern: "+" does not match an empty level. "sport/+" and "sport/", and "+/+" and "/finance", are
#               examples of the standard.
#            2. All three: "#" and "+/..." match topics that begin with "$".
# Seen       see `expected` below; nothing is raised
# Matters    a client that picks its handler by such a filter drops messages that the broker delivered for that filter,
#            or takes what the broker says about itself for a measurement. Still so in the newest releases.
#
# Needs Debian 12 with what mosquitto depends on, node and npm, and a package mirror. Ends with 1 when any of this is no
# longer so.
set -euo pipefail

readonly VERSION=2.0.11-1.2+deb12u2
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "mosquitto=$VERSION" "mosquitto-clients=$VERSION" "libmosquitto1=$VERSION" libcjson1 libdlt2
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname root/usr/lib/*/libmosquitto.so.1)
export LD_LIBRARY_PATH
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  mqtt-pattern@2.1.1 mqtt-match@3.0.0 mqtt-wildcard@3.0.9

port=$((20000 + RANDOM % 20000))
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >mosquitto.conf
root/usr/sbin/mosquitto -c mosquitto.conf >mosquitto.log 2>&1 &
broker=$!
# The broker itself publishes the sixth, $SYS/broker/version.
for topic in sport sport/ /finance a//b a/x/b; do
  for _ in {1..50}; do
    root/usr/bin/mosquitto_pub -p "$port" -r -q 1 -t "$topic" -m x 2>/dev/null && break
    sleep 0.1
  done
done

cat >try.cjs <<'JS'
const { execFileSync } = require('node:child_process')
const match = require('mqtt-match')
const pattern = require('mqtt-pattern')
const wildcard = require('mqtt-wildcard')

const topics = ['sport', 'sport/', '/finance', 'a//b', 'a/x/b', '$SYS/broker/version']
const delivered = (filter) => {
  const options = ['-p', process.argv[2], '-t', filter, '--retained-only', '-F', '%t', '-W', '1']
  try {
    return execFileSync('root/usr/bin/mosquitto_sub', options, { encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    return error.stdout // it ends with 27 when its time is over
  }
}
const packages = {
  'mqtt-pattern': (filter, topic) => pattern.matches(filter, topic),
  'mqtt-match': (filter, topic) => (match.default ?? match)(filter, topic),
  'mqtt-wildcard': (filter, topic) => wildcard(topic, filter) !== null,
}
for (const filter of ['sport/#', 'sport/+', '+/+', 'a/+/b', '+/broker/version', '#']) {
  const right = delivered(filter).split('\n')
  console.log(`${filter}: mosquitto ${topics.filter((topic) => right.includes(topic)).join(' ') || 'none'}`)
  for (const name in packages) {
    const matched = topics.filter((topic) => packages[name](filter, topic))
    const wrong = topics.filter((topic) => matched.includes(topic) !== right.includes(topic))
    const shown = wrong.map((topic) => `${matched.includes(topic) ? 'and' : 'not'} ${topic}`)
    if (wrong.length > 0) console.log(`  ${name}: ${shown.join(', ')}`)
  }
}
JS

cat >expected <<'TEXT'
sport/#: mosquitto sport sport/
sport/+: mosquitto sport/
  mqtt-pattern: not sport/
+/+: mosquitto sport/ /finance
  mqtt-pattern: not sport/, not /finance
a/+/b: mosquitto a//b a/x/b
  mqtt-pattern: not a//b
+/broker/version: mosquitto none
  mqtt-pattern: and $SYS/broker/version
  mqtt-match: and $SYS/broker/version
  mqtt-wildcard: and $SYS/broker/version
#: mosquitto sport sport/ /finance a//b a/x/b
  mqtt-pattern: and $SYS/broker/version
  mqtt-match: and $SYS/broker/version
  mqtt-wildcard: and $SYS/broker/version
TEXT
timeout 60 node try.cjs "$port" >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
