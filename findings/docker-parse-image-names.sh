#!/bin/bash
# docker-parse-image 3.0.1 (npm) puts "library/" into names on other registries, and reads a digest as a tag.
#
# Setting    names of images as Docker and Podman take them. Of a name, what stands before the first slash is a registry
#            if it has a dot or a colon or is "localhost"; after it come one or more parts; "library/" is added on
#            Docker Hub alone; a tag has no colon, what follows "@" is a digest (OCI Distribution Specification,
#            "Pulling manifests": <reference> is a digest or a tag). parse-docker-image-name 3.0.0 reads the same names
# Behaviour  1. The full name of an image of one part on any registry has "library/" in it.
#            2. A digest is the tag, and without another tag the names have ":" before it: no program takes them.
#            3. The first of three parts is a registry, whatever it is; "localhost" before two parts is none.
#            4. Names of more than three parts give null.
# Seen       see `expected` below; nothing is raised
# Matters    a deployment that pins its images by digest, or has its own registry, pulls another image or none. Still so
#            in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  docker-parse-image@3.0.1 parse-docker-image-name@3.0.0

cat >try.cjs <<'JS'
const parse = require('docker-parse-image')
const parts = require('parse-docker-image-name')

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
const short = (text) => String(text ?? '-').replaceAll(digest, 'sha256:0123...')
for (const name of [
  'alpine:3',
  'registry.example.com/gateway:3',
  `alpine@${digest}`,
  `registry.example.com/team/gateway:3@${digest}`,
  'localhost/gateway',
  'team/group/gateway',
  'registry.example.com/team/group/gateway:3',
]) {
  const right = (parts.default ?? parts)(name)
  const fields = [right.domain, right.path, right.tag, right.digest].map(short)
  console.log(`${short(name)}: ${fields.join(' | ')}`)
  const got = parse(name)
  if (got === null) {
    console.log('  package null')
    continue
  }
  const path = [got.namespace, got.repository].filter(Boolean).join('/')
  const place = [got.registry, path, got.tag].map(short).join(' | ')
  console.log(`  package ${place}, in full ${short(got.fullname)}`)
}
JS

cat >expected <<'TEXT'
alpine:3: - | alpine | 3 | -
  package - | alpine | 3, in full library/alpine:3
registry.example.com/gateway:3: registry.example.com | gateway | 3 | -
  package registry.example.com | gateway | 3, in full registry.example.com/library/gateway:3
alpine@sha256:0123...: - | alpine | - | sha256:0123...
  package - | alpine | sha256:0123..., in full library/alpine:sha256:0123...
registry.example.com/team/gateway:3@sha256:0123...: registry.example.com | team/gateway | 3 | sha256:0123...
  package registry.example.com | team/gateway | 3@sha256:0123..., in full registry.example.com/team/gateway:3@sha256:0123...
localhost/gateway: localhost | gateway | - | -
  package - | localhost/gateway | -, in full localhost/gateway:latest
team/group/gateway: - | team/group/gateway | - | -
  package team | group/gateway | -, in full team/group/gateway:latest
registry.example.com/team/group/gateway:3: registry.example.com | team/group/gateway | 3 | -
  package null
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
