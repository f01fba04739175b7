#!/bin/bash
# fast-toml 0.5.4 (npm) names the table `[ server ]` " server ", and reads nan as false.
#
# Setting    valid TOML beside js-toml 2.0.1; fast-toml counts itself among the parsers for TOML 0.5.0. In that version
#            blanks around the name of a table and around the dots of a key are ignored (sections "Table" and "Keys"),
#            nan and +nan are numbers ("Float"), \U has eight digits, and a backslash at the end of a line takes the
#            blanks after it away ("String")
# Behaviour  1. Blanks within the brackets of a table, and around the dots of a key, are part of the names.
#            2. nan is false, +nan is text.
#            3. \U0001F511 is U+F511, another character: four digits are left.
#            4. A backslash at the end of a line takes the line end away and leaves the blanks.
# Seen       see `expected` below; nothing is raised
# Matters    an operator who writes `[ server ]` in the configuration of a device gets the defaults for all that stands
#            in it. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . fast-toml@0.5.4 js-toml@2.0.1

cat >try.mjs <<'JS'
import fast from 'fast-toml'
import { load } from 'js-toml'

// JSON has no nan, and the characters of \U are easier told apart by their numbers.
const plain = (_, value) => (Number.isNaN(value) ? 'not a number' : value)
const shown = (value) => JSON.stringify(value, plain).replace(/[^ -~]/gu, (c) => `<${c.codePointAt(0).toString(16)}>`)
for (const text of [
  '[server]\nport = 5684',
  '[ server ]\nport = 5684',
  '[[ share ]]\nindex = 1',
  '[ server . psk ]\nfile = "keys"',
  'server . port = 5684',
  'limit = nan',
  'limit = +nan',
  'name = "\\u00e9"',
  'name = "\\U0001F511"',
  'text = """one \\\n    two"""',
])
  console.log(`${JSON.stringify(text)}: js-toml ${shown(load(text))}, fast-toml ${shown(fast.parse(text))}`)
JS

cat >expected <<'TEXT'
"[server]\nport = 5684": js-toml {"server":{"port":5684}}, fast-toml {"server":{"port":5684}}
"[ server ]\nport = 5684": js-toml {"server":{"port":5684}}, fast-toml {" server ":{"port":5684}}
"[[ share ]]\nindex = 1": js-toml {"share":[{"index":1}]}, fast-toml {" share ":[{"index":1}]}
"[ server . psk ]\nfile = \"keys\"": js-toml {"server":{"psk":{"file":"keys"}}}, fast-toml {" server ":{" psk ":{"file":"keys"}}}
"server . port = 5684": js-toml {"server":{"port":5684}}, fast-toml {"server ":{" port":5684}}
"limit = nan": js-toml {"limit":"not a number"}, fast-toml {"limit":false}
"limit = +nan": js-toml {"limit":"not a number"}, fast-toml {"limit":"+nan"}
"name = \"\\u00e9\"": js-toml {"name":"<e9>"}, fast-toml {"name":"<e9>"}
"name = \"\\U0001F511\"": js-toml {"name":"<1f511>"}, fast-toml {"name":"<f511>"}
"text = \"\"\"one \\\n    two\"\"\"": js-toml {"text":"one two"}, fast-toml {"text":"one     two"}
TEXT
node try.mjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
