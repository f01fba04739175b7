#!/bin/bash
# parse-prometheus-text-format 1.1.1 (npm) keeps one histogram of several, without its labels, its sum and its count.
#
# Setting    Prometheus' text exposition format 0.0.4, section on histograms and summaries: one series of buckets, with
#            `_sum` and `_count`, for each set of labels; what prom-client writes for a histogram with a label
# Behaviour  1. The buckets of all series of one name are laid over each other: what is returned as one metric without
#               labels has the numbers of the last series alone. Summaries and their quantiles likewise.
#            2. `_sum` and `_count` with a label are dropped. Without any label both are there.
#            3. Counters and gauges keep their labels, so that a first try looks right.
# Seen       see `expected` below; nothing is raised
# Matters    a test or a dashboard on mcbn's key look-ups, a histogram with the label `outcome`, sees the last outcome
#            only. Known to the project since 2019, still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . parse-prometheus-text-format@1.1.1

cat >bare.txt <<'TEXT'
# TYPE wait histogram
wait_bucket{le="0.1"} 8
wait_bucket{le="+Inf"} 10
wait_sum 1.5
wait_count 10
TEXT
cat >labelled.txt <<'TEXT'
# TYPE wait histogram
wait_bucket{le="0.1",outcome="found"} 8
wait_bucket{le="+Inf",outcome="found"} 10
wait_sum{outcome="found"} 1.5
wait_count{outcome="found"} 10
wait_bucket{le="0.1",outcome="failed"} 1
wait_bucket{le="+Inf",outcome="failed"} 3
wait_sum{outcome="failed"} 90
wait_count{outcome="failed"} 3
# TYPE size summary
size{quantile="0.5",outcome="found"} 16
size_sum{outcome="found"} 160
size_count{outcome="found"} 10
size{quantile="0.5",outcome="failed"} 32
size_sum{outcome="failed"} 96
size_count{outcome="failed"} 3
# TYPE open gauge
open{outcome="found"} 1
open{outcome="failed"} 2
TEXT
cat >try.cjs <<'JS'
const parse = require('parse-prometheus-text-format').default ?? require('parse-prometheus-text-format')
for (const file of ['bare.txt', 'labelled.txt'])
  for (const { name, metrics } of parse(require('node:fs').readFileSync(file, 'utf8')))
    console.log(file, name, JSON.stringify(metrics))
JS

cat >expected <<'TEXT'
bare.txt wait [{"buckets":{"0.1":"8","+Inf":"10"},"count":"10","sum":"1.5"}]
labelled.txt wait [{"buckets":{"0.1":"1","+Inf":"3"}}]
labelled.txt size [{"quantiles":{"0.5":"32"}}]
labelled.txt open [{"value":"1","labels":{"outcome":"found"}},{"value":"2","labels":{"outcome":"failed"}}]
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
