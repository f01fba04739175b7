// A vitest reporter that names every test which only passed at a later attempt. A second attempt keeps
// one busy moment of a shared machine from failing a whole run; naming it keeps a real defect from hiding.

export default class SecondAttempts {
  #named = []

  onTestCaseResult(test) {
    const retries = test.diagnostic()?.retryCount ?? 0
    if (retries === 0 || test.result().state !== 'passed') return
    const [first] = test.result().errors ?? []
    this.#named.push(`${test.module.relativeModuleId ?? test.module.moduleId} > ${test.fullName}`)
    if (first?.message) this.#named.push(`    at first: ${first.message.split('\n')[0]}`)
  }

  onTestRunEnd() {
    if (this.#named.length === 0) return
    console.log(
      `\nPassed only at a later attempt:\n${this.#named.map((name) => `  ${name}`).join('\n')}`,
    )
  }
}
