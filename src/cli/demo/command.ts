// mcbn demo: the whole story on one machine, in one run, with a clear end.

import { Command } from 'commander'
import { EXIT, type Finish, oneLine } from '../exit.js'
import { onStopSignal, signalExitCode } from '../signals.js'
import { JsonReporter, TextReporter } from './report.js'
import { runSteps } from './steps.js'
import { STORY, Story } from './story.js'

interface DemoFlags {
  readonly json?: boolean
}

export function demoCommand(finish: Finish): Command {
  return new Command('demo')
    .description('show on this machine how shares become keys and keys become connections')
    .option('--json', 'one JSON object a step, and one for the whole')
    .addHelpText('after', HELP)
    .action(async ({ json }: DemoFlags) => {
      const code = await demo(json === true, finish)
      finish(code)
    })
}

const HELP = `
Shares of Alice, Bob and Carol are made, a server process and a client process derive their keys from
them, and connect over TLS 1.3 and DTLS 1.2. Then it is tried without Carol's share and with a wrong
one. Everything stays on 127.0.0.1 and is gone at the end; nothing is written to disk.

Ends with 0 only if every step held, else with 1.`

async function demo(json: boolean, finish: Finish): Promise<number> {
  const reporter = json ? new JsonReporter() : new TextReporter()
  const story = new Story()
  // Whatever ends this process, its children see the channel close and end too; this is the fast way.
  process.once('exit', () => story.stop())
  onStopSignal((signal) => {
    reporter.stop()
    story.stop()
    finish(signalExitCode(signal))
  })
  const began = performance.now()
  const results = await runSteps(STORY, story, reporter)
  story.stop()
  reporter.summary(results, Math.round(performance.now() - began))
  const failed = results.find(({ outcome }) => outcome === 'failed')
  if (failed === undefined) return EXIT.ok
  const { step, name, detail } = failed
  process.stderr.write(`mcbn: demo: step ${step} (${name}) failed: ${oneLine(detail)}\n`)
  return EXIT.failure
}
