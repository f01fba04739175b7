// Reads what the sanitizers wrote while node ran with the addon, and keeps what is mcbn's.
//
//   node scripts/sanitizer-reports.mjs <folder> <sanitized mcbn.node>      exit 1 if anything is left
//
// Node itself leaves thousands of small allocations at exit. They are not suppressed by function
// name anywhere on the stack: every call into the addon has node's and V8's frames below it, so that
// would hide our leaks too. A leak is ours when its stack comes from the addon and does not pass
// through V8 on the way to the allocation: what V8 keeps for itself, V8 has to free. Any error that
// is no leak counts, whatever made it.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [folder, binary] = process.argv.slice(2)
const files = readdirSync(folder)
/** What addr2line has said, by module and offset. */
const places = new Map()
// The same defect is seen once in every process that meets it.
const distinct = new Set(
  files.flatMap((file) => findingsIn(readFileSync(join(folder, file), 'utf8'))),
)
for (const finding of distinct) console.error(`${finding}\n`)
console.log(`sanitizers: ${files.length} process reports, ${distinct.size} findings of mcbn's`)
process.exitCode = distinct.size === 0 ? 0 : 1

function findingsIn(report) {
  const paragraphs = report.split(/\n\s*\n/)
  const leaks = paragraphs
    .filter((text) => /leak of \d+ byte/.test(text) && text.includes(basename(binary)))
    .map(withNames)
    .filter((text) => !throughV8(text))
  const errors = paragraphs
    .filter((text) => /ERROR: (?!LeakSanitizer)\w+Sanitizer|runtime error:/.test(text))
    .map(withNames)
  return [...leaks, ...errors]
}

/** The addon's own frames name its files; what stands above the first of them is the allocation. */
function throughV8(leak) {
  const frames = leak.split('\n').filter((line) => /^\s+#\d+ /.test(line))
  const first = frames.findIndex((frame) => frame.includes(' [mcbn]'))
  return frames.slice(0, first).some((frame) => /#\d+ v8::/.test(frame))
}

/** The reports hold bare offsets: naming all of node's frames takes longer than the tests. */
function withNames(text) {
  return text
    .trim()
    .replace(/^==\d+==/gm, '')
    .replace(
      /0x[\da-f]+ +(?:\(<unknown module>\)|\((\S+)\+(0x[\da-f]+)\))/g,
      (_, module, offset) => (module ? place(module, offset) : 'compiled JavaScript'),
    )
}

function place(module, offset) {
  const key = `${module}+${offset}`
  if (!places.has(key)) places.set(key, looked(module, offset))
  return places.get(key)
}

function looked(module, offset) {
  const mark = module.endsWith(`/${basename(binary)}`) ? ' [mcbn]' : ''
  try {
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 64e6 }
    const name = execFileSync('addr2line', ['-C', '-f', '-p', '-e', module, offset], options).trim()
    return `${name}${mark}`
  } catch {
    return `${basename(module)}+${offset}${mark}`
  }
}
