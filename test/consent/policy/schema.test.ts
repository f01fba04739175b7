import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { POLICY_DEFAULTS } from '../../../src/consent/policy/defaults.js'
import { POLICY_SCHEMA } from '../../../src/consent/policy/schema.js'
import { repositoryRoot } from '../../support/paths.js'

describe('policy/schema', () => {
  it('is the published docs/policy.schema.json, which the package ships', () => {
    const published = readFileSync(join(repositoryRoot, 'docs/policy.schema.json'), 'utf8')
    expect(JSON.parse(published)).toEqual(POLICY_SCHEMA)
    const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))
    expect(manifest.files).toContain('docs/policy.schema.json')
    expect(manifest.exports['./policy.schema.json']).toBe('./docs/policy.schema.json')
  })

  it('tells editors the defaults that the evaluation uses', () => {
    const role = POLICY_SCHEMA.properties.roles.properties.client.properties
    expect({
      hardware: role.hardware.default,
      software: role.software.default,
      support: role.support.default,
      atLeast: role.signedImages.items.properties.atLeast.default,
      rootsOfTrust: role.rootsOfTrust.default,
      instances: role.instances.default,
      approval: role.approval.default,
      leaseSeconds: POLICY_SCHEMA.properties.leaseSeconds.default,
      tokenAgeSeconds: POLICY_SCHEMA.properties.tokenAgeSeconds.default,
    }).toEqual(POLICY_DEFAULTS)
  })
})
