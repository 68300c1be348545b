/** Writes `protocols/<name>/v1/vectors/*.json` from fixed keys, times and chance: twice the same. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { approvalVectors } from './vectors/approvals.ts'
import { attSyncVectors } from './vectors/att-sync.ts'
import { factorVectors } from './vectors/factors.ts'
import { grantVectors } from './vectors/grant.ts'
import { groupSealVectors, groupVectors, topicVectors } from './vectors/group.ts'
import { identityVectors } from './vectors/identity.ts'
import { klpVectors } from './vectors/klp.ts'
import { sessionVectors } from './vectors/sessions.ts'
import { joinVectors } from './vectors/join.ts'
import { mailboxVectors } from './vectors/mailbox.ts'
import { meetingVectors } from './vectors/meeting.ts'
import { netVectors } from './vectors/net.ts'
import { auditVectors, messageVectors, taskVectors, trustVectors } from './vectors/others.ts'
import { messageTypeVectors } from './vectors/message-types.ts'
import { sandboxVectors } from './vectors/sandbox.ts'
import { signedJsonVectors } from './vectors/signed-json.ts'
import { streamVectors } from './vectors/stream.ts'
import { vaultVectors } from './vectors/vault.ts'
import { plain } from './vectors/world.ts'

/** Every vector as the text of its file, by path from the root of the repository. */
export async function makeVectors(): Promise<ReadonlyMap<string, string>> {
  const rooms = {
    identity: await identityVectors(),
    net: netVectors(),
    klp: { ...(await klpVectors()), ...(await sessionVectors()), ...groupSealVectors() },
    'signed-json': signedJsonVectors(),
    topic: topicVectors(),
    message: { ...messageVectors(), ...messageTypeVectors() },
    group: groupVectors(),
    trust: { ...trustVectors(), ...attSyncVectors(), ...meetingVectors() },
    auth: { ...factorVectors(), ...approvalVectors() },
    join: joinVectors(),
    grant: grantVectors(),
    task: await taskVectors(),
    mailbox: await mailboxVectors(),
    stream: streamVectors(),
    sandbox: await sandboxVectors(),
    audit: await auditVectors(),
    vault: await vaultVectors(),
  }
  return new Map(
    Object.entries(rooms).flatMap(([room, vectors]) =>
      Object.entries(vectors).map(
        ([name, vector]) => [`protocols/${room}/v1/vectors/${name}.json`, `${JSON.stringify(plain(vector), undefined, 2)}\n`] as const,
      ),
    ),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const files = await makeVectors()
  const folders = new Set([...files.keys()].map((path) => path.slice(0, path.lastIndexOf('/'))))
  for (const folder of folders) {
    rmSync(root + folder, { recursive: true, force: true })
    mkdirSync(root + folder, { recursive: true })
  }
  for (const [path, text] of files) writeFileSync(root + path, text)
  process.stdout.write(`${files.size} vectors written\n`)
}
