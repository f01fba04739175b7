#!/bin/bash
# tar-stream 3.2.2 (npm) writes a time after 19 January 2038 as another one, and misreads times that GNU tar wrote.
#
# Setting    archives between tar-stream and GNU tar 1.34 (Debian 12). A ustar header has eleven octal digits of
#            seconds, enough until 2242, and a pax record `mtime` overrides it (POSIX.1-2017, utility pax). GNU's own
#            format has base-256 numbers, in two's complement below zero (GNU tar's manual, "Extensions")
# Behaviour  1. Written: the seconds are cut to 32 bits with a sign. 2300 becomes 2027; 2040 is negative then, and goes
#               into the header as the highest octal number, which is in 2242.
#            2. Read, pax: `mtime` is not looked at. What a header cannot hold, a time before 1970 or after 2242, is
#               1 January 1970; a fraction of a second is lost.
#            3. Read, GNU: a time before 1970 is one second late.
# Seen       see `expected` below; nothing is raised
# Matters    images that are built again and compared byte by byte differ in the times of their layers. archiver and
#            tar-fs are made of this package. Still so in the newest release.
#
# Needs Debian 12 with node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . tar-stream@3.2.2
tar --version | head -n 1

cat >write.cjs <<'JS'
const pack = require('tar-stream').pack()
for (const name of ['2037-01-01T00:00:00Z', '2040-01-01T00:00:00Z', '2300-01-01T00:00:00Z'])
  pack.entry({ name, mtime: new Date(name) }, 'x')
pack.finalize()
pack.pipe(process.stdout)
JS
cat >read.cjs <<'JS'
const extract = require('tar-stream').extract()
const [format] = process.argv.slice(2)
extract.on('entry', ({ name, mtime }, stream, next) => {
  console.log(`${format}, read by tar-stream: ${name} is ${mtime.toISOString()}`)
  stream.on('end', next).resume()
})
process.stdin.pipe(extract)
JS

{
  node write.cjs >written.tar
  # The owner and the size stand between the rights and the time.
  TZ=UTC tar --full-time -tvf written.tar | awk '{ print "written by tar-stream: " $6 " is " $4 "T" $5 "Z" }'
  for time in 2037-01-01T00:00:00Z 2300-01-01T00:00:00Z 1969-12-31T23:59:58Z 2020-01-01T00:00:00.75Z; do
    touch "$time"
    for format in pax gnu; do tar --format=$format --mtime="$time" -rf $format.tar "$time"; done
  done
  for format in pax gnu; do node read.cjs $format <$format.tar; done
} >seen
cat seen
cat >expected <<'TEXT'
written by tar-stream: 2037-01-01T00:00:00Z is 2037-01-01T00:00:00Z
written by tar-stream: 2040-01-01T00:00:00Z is 2242-03-16T12:56:31Z
written by tar-stream: 2300-01-01T00:00:00Z is 2027-10-18T11:03:28Z
pax, read by tar-stream: 2037-01-01T00:00:00Z is 2037-01-01T00:00:00.000Z
pax, read by tar-stream: 2300-01-01T00:00:00Z is 1970-01-01T00:00:00.000Z
pax, read by tar-stream: 1969-12-31T23:59:58Z is 1970-01-01T00:00:00.000Z
pax, read by tar-stream: 2020-01-01T00:00:00.75Z is 2020-01-01T00:00:00.000Z
gnu, read by tar-stream: 2037-01-01T00:00:00Z is 2037-01-01T00:00:00.000Z
gnu, read by tar-stream: 2300-01-01T00:00:00Z is 2300-01-01T00:00:00.000Z
gnu, read by tar-stream: 1969-12-31T23:59:58Z is 1969-12-31T23:59:59.000Z
gnu, read by tar-stream: 2020-01-01T00:00:00.75Z is 2020-01-01T00:00:00.000Z
TEXT
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
