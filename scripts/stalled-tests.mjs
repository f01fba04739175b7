// A vitest reporter that says, while it still runs, which test file has ended nothing for minutes, and where its
// process stands: the time limit of a whole step (.ci/run) would end all of it without a word. vitest's limit of a
// test cannot help there: it needs the event loop of the very process that stands still.
// With gdb installed, the C stacks of all threads too; else what the kernel says of each.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const lookEveryMs = 30_000
const patienceMs = Number(process.env['MCBN_STALLED_AFTER_MS'] ?? 240_000)

export default class StalledTests {
  /** By module: since when nothing ended, the tests under way, and whether it has been told. */
  #running = new Map()
  #timer

  onTestRunStart() {
    this.#timer = setInterval(() => this.#look(), lookEveryMs)
    this.#timer.unref()
  }

  onTestModuleStart(module) {
    this.#running.set(module, { since: Date.now(), tests: new Set(), told: false })
  }

  onTestCaseReady(test) {
    this.#running.get(test.module)?.tests.add(test.fullName)
  }

  onTestCaseResult(test) {
    const run = this.#running.get(test.module)
    if (!run) return
    run.tests.delete(test.fullName)
    run.since = Date.now()
    run.told = false
  }

  onTestModuleEnd(module) {
    this.#running.delete(module)
  }

  onTestRunEnd() {
    clearInterval(this.#timer)
  }

  #look() {
    const stalled = [...this.#running].filter(
      ([, { since, told }]) => !told && Date.now() - since > patienceMs,
    )
    if (stalled.length === 0) return
    for (const [module, run] of stalled) {
      run.told = true
      const minutes = ((Date.now() - run.since) / 60_000).toFixed(1)
      const tests = [...run.tests].join('; ') || 'none: a hook, or the file itself'
      console.log(
        `\n!!! ${module.relativeModuleId ?? module.moduleId}: no test ended for ${minutes} minutes`,
      )
      console.log(`    under way: ${tests}`)
    }
    for (const line of descendants(process.pid)) console.log(line)
  }
}

/** All processes that this one started, with their threads. */
function descendants(root) {
  const table = output('ps', ['-eo', 'pid=,ppid=,stat=,etimes=,args=', '-ww'])
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter(Boolean)
    .map(([, pid, parent, state, seconds, args]) => ({ pid, parent, state, seconds, args }))
  const lines = []
  const walk = (parent, depth) => {
    for (const each of table.filter((row) => row.parent === parent)) {
      if (/^ps -eo/.test(each.args)) continue
      const indent = ' '.repeat(4 + 2 * depth)
      lines.push(`${indent}${each.pid} ${each.state} ${each.seconds} s: ${each.args.slice(0, 160)}`)
      for (const line of stacks(each)) lines.push(`${indent}    ${line}`)
      walk(each.pid, depth + 1)
    }
  }
  walk(String(root), 0)
  return lines
}

function stacks({ pid, args }) {
  // Only where the addon can be: other programs have no names for their frames.
  const c =
    /\bnode\b|vitest/.test(args) &&
    output('gdb', ['-p', pid, '-batch', '-nx', '-ex', 'thread apply all bt 16'])
  if (c)
    return c
      .split('\n')
      .filter((line) => /^(#|Thread)/.test(line))
      .map((line) => line.slice(0, 150))
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => {
      const of = (name) => readFileSync(`/proc/${pid}/task/${thread}/${name}`, 'utf8').trim()
      return `${of('comm')}: ${of('wchan')}, ${of('syscall')}`
    })
  } catch {
    return []
  }
}

function output(command, args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return ''
  }
}
