import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/**
 * The setting that spares node-gyp and cmake-js a download: Node's headers, where its installers put
 * them, beside the running node (<prefix>/include/node).
 *
 * @returns {Record<string, string>} to be added to a child's environment; empty when the user has
 * set it already or the headers are not there, and the tools then fetch them their own way.
 */
export function headersBesideNode() {
  const already = Object.keys(process.env).some((name) => /^npm_config_nodedir$/i.test(name))
  const prefix = resolve(dirname(process.execPath), '..')
  const found = existsSync(join(prefix, 'include', 'node', 'node_api.h'))
  return !already && found ? { npm_config_nodedir: prefix } : {}
}
