// mcbn image: images that anybody can build again, and compare.

import { Command } from 'commander'
import type { Finish } from './exit.js'
import { attestSubcommand, ruleSubcommand } from './image/attest.js'
import { buildSubcommand } from './image/build.js'
import {
  diffSubcommand,
  digestSubcommand,
  unpackSubcommand,
  verifySubcommand,
} from './image/inspect.js'
import { signSubcommand, verifySignatureSubcommand } from './image/signing.js'

export function imageCommand(finish: Finish): Command {
  return new Command('image')
    .summary('build container images whose digest anybody can reproduce')
    .description(
      'Build the image of a client, a server or a participant as an OCI layout, without daemon or root. What goes\n' +
        'in is in image.lock and in package-lock.json, by its hash: the digest is the same on every machine.',
    )
    .addCommand(buildSubcommand())
    .addCommand(digestSubcommand())
    .addCommand(verifySubcommand(finish))
    .addCommand(diffSubcommand(finish))
    .addCommand(unpackSubcommand())
    .addCommand(attestSubcommand())
    .addCommand(ruleSubcommand())
    .addCommand(signSubcommand())
    .addCommand(verifySignatureSubcommand(finish))
    .addHelpText('after', HELP)
}

const HELP = `
The digest is what participants agree on (mcbn ceremony plan --server-image LAYOUT), and what a platform attests.
docs/IMAGES.md tells what is in an image, and what its digest depends on.

Examples:
  mcbn image build server --app my-server --out server.oci
  mcbn image verify server.oci --app my-server
  mcbn image attest server.oci --app my-server --key me.pem
  mcbn image verify-signature server.oci --key builder.pub.pem
  skopeo copy oci:server.oci docker://registry.example/server`
