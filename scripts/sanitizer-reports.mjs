// Reads what the sanitizers wrote while node ran with the addon, and keeps what is mcbn's.
//
//   node scripts/sanitizer-reports.mjs <folder> <sanitized mcbn.node>      exit 1 if anything is left
//
// Node itself leaves thousands of small allocations at exit. They are not suppressed by function
// name: every call into the addon has node's and V8's frames below it, so that would hide our leaks
// too. Only leaks whose stack passes through the addon count; any other error counts in any case.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [folder, binary] = process.argv.slice(2)
const files = readdirSync(folder)
const findings = files.flatMap((file) => findingsIn(readFileSync(join(folder, file), 'utf8')))
// The same defect is seen once in every process that meets it.
const distinct = [...new Set(findings)]
for (const finding of distinct) console.error(`${finding}\n`)
console.log(`sanitizers: ${files.length} process reports, ${distinct.length} findings of mcbn's`)
process.exitCode = distinct.length === 0 ? 0 : 1

function findingsIn(report) {
  const paragraphs = report.split(/\n\s*\n/)
  const leaks = paragraphs.filter((text) => /leak of \d+ byte/.test(text))
  const others = paragraphs.filter((text) =>
    /ERROR: (?!LeakSanitizer)\w+Sanitizer|runtime error:/.test(text),
  )
  const ours = leaks.filter((text) => text.includes(basename(binary)))
  return [...ours, ...others].map(symbolized)
}

/** The reports hold bare offsets: symbolizing all of node's leaks takes longer than the tests. */
function symbolized(text) {
  return text
    .trim()
    .replace(/^==\d+==/gm, '')
    .replace(/^(\s+#\d+) 0x[\da-f]+/gm, '$1')
    .replace(/\(\S*\/mcbn\.node\+(0x[\da-f]+)\)/g, (_, offset) => place(offset))
}

function place(offset) {
  try {
    const where = execFileSync('addr2line', ['-C', '-f', '-p', '-e', binary, offset], {
      encoding: 'utf8',
    })
    return where.trim()
  } catch {
    return `mcbn.node+${offset}`
  }
}
