// mcbn demo: the whole story on one machine, in one run, with a clear end.

import { Command } from 'commander'
import { EXIT, type Finish, oneLine } from '../exit.js'
import { onStopSignal, signalExitCode } from '../signals.js'
import { runLive } from './live.js'
import { type DemoReporter, JsonReporter, TextReporter } from './report.js'
import { Stage } from './stage.js'
import { runSteps } from './steps.js'
import { STORY } from './story.js'

interface DemoFlags {
  readonly json?: boolean
  readonly web?: boolean
}

export function demoCommand(finish: Finish): Command {
  return new Command('demo')
    .description('show on this machine how consent becomes a connection, and how it ends')
    .option('--json', 'one JSON object a step, and one for the whole')
    .option('--web', "then leave all running, with the participants' pages open to look at")
    .addHelpText('after', HELP)
    .action(async ({ json = false, web = false }: DemoFlags) => {
      finish(await demo(json ? new JsonReporter() : new TextReporter(), web, finish))
    })
}

const HELP = `
Alice, Bob and Carol hold shares; a server and a client may connect only when enough of them agree. Each
runs in its own process, and every byte between them goes through Frank, the operator, who records,
alters and replays. Shares and keys never leave the process that has them. Tokens are real, signed by a
stand-in for the hardware vendor: nothing here measures anything.

Everything stays on 127.0.0.1. Files are in a temporary folder, gone at the end. It takes half a minute.

Ends with 0 only if every step held, else with 1. With --web: runs until Ctrl-C.`

async function demo(reporter: DemoReporter, web: boolean, finish: Finish): Promise<number> {
  const stage = new Stage()
  // Whatever ends this process, its children see the channel close and end too; this is the fast way.
  process.once('exit', () => stage.stopNow())
  let stopped = false
  onStopSignal(async (signal) => {
    stopped = true
    reporter.stop()
    await stage.stop()
    finish(web && signal === 'SIGINT' && reporter.open ? EXIT.ok : signalExitCode(signal))
  })
  const began = performance.now()
  const results = await runSteps(STORY, stage, reporter)
  // What fails because it was stopped is not a failure: the signal's own end is on its way.
  if (stopped) return await forever()
  const failed = results.find(({ outcome }) => outcome === 'failed')
  if (failed !== undefined || !web) await stage.stop()
  reporter.summary(results, Math.round(performance.now() - began))
  if (failed !== undefined) {
    const { step, name, detail } = failed
    process.stderr.write(`mcbn: demo: step ${step} (${name}) failed: ${oneLine(detail)}\n`)
    return EXIT.failure
  }
  return web ? await show(stage, reporter, () => stopped) : EXIT.ok
}

function forever(): Promise<never> {
  return new Promise(() => {})
}

/** Runs until a signal, or until something breaks. */
async function show(stage: Stage, reporter: DemoReporter, stopped: () => boolean): Promise<number> {
  try {
    return await runLive(stage, reporter)
  } catch (error) {
    if (stopped()) return await forever()
    await stage.stop()
    const why = error instanceof Error ? error.message : String(error)
    process.stderr.write(`mcbn: demo: ${oneLine(why)}\n`)
    return EXIT.failure
  }
}
