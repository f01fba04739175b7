// A vitest reporter that names every test which only passed at a later attempt (vitest.config.ts says which may try
// again, and why). Naming it keeps a real defect from hiding. With MCBN_SECOND_ATTEMPTS=FILE also at the end of FILE,
// so that a run of many steps can tell all at its end.
import { appendFileSync } from 'node:fs'

export default class SecondAttempts {
  #named = []

  onTestCaseResult(test) {
    const retries = test.diagnostic()?.retryCount ?? 0
    if (retries === 0 || test.result().state !== 'passed') return
    const [first] = test.result().errors ?? []
    const file = test.module.relativeModuleId ?? test.module.moduleId
    this.#named.push(`  ${file} > ${test.fullName} (Node ${process.version})`)
    if (first?.message) this.#named.push(`      at first: ${first.message.split('\n')[0]}`)
  }

  onTestRunEnd() {
    if (this.#named.length === 0) return
    const text = `${this.#named.join('\n')}\n`
    console.log(`\nPassed only at a later attempt:\n${text}`)
    const { MCBN_SECOND_ATTEMPTS: file } = process.env
    if (file) appendFileSync(file, text)
  }
}
