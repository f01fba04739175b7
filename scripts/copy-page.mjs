// The participant's page is not compiled: browsers run it as it is written.
import { cpSync } from 'node:fs'
import { join } from 'node:path'

const PAGE = join('consent', 'participant', 'web', 'page')

/**
 * Copies the page from the sources to where they were compiled to.
 * @param {string} source - the folder `src`
 * @param {string} target - the folder `dist`
 */
export function copyPage(source, target) {
  cpSync(join(source, PAGE), join(target, PAGE), {
    recursive: true,
    filter: (file) => !file.endsWith('tsconfig.json'),
  })
}
