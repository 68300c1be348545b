import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import { setting, settingBody, settingsQuery } from './config-schemas.ts'
import type { Route } from './routes.ts'

type SettingNow = ReturnType<MeshNode['settings']['setting']>
const plainSetting = ({ value, lockedBy, ...rest }: SettingNow) => ({ ...rest, value: value ?? null, lockedBy: lockedBy ?? null })

/** What others may here, how people show who they are, and who decides whom the node trusts. */
const guarded = /^(?:policy|auth|trust)\./

/** Settings of the node: which layer says what, and which one is heard. */
export function configRoutes(node: MeshNode): readonly Route[] {
  return [
    {
      method: 'GET',
      url: '/v1/config',
      right: '/api/read',
      summary: 'Every setting: its value, where it comes from, and who said something else',
      query: settingsQuery,
      reply: z.object({ settings: z.array(setting) }),
      handle: async ({ query }) => ({ settings: node.settings.settings(query as z.infer<typeof settingsQuery>).map(plainSetting) }),
    },
    {
      method: 'POST',
      url: '/v1/config',
      right: '/api/config',
      stepUp: ({ body }) => guarded.test((body as z.infer<typeof settingBody>).key),
      summary: 'Change a setting in a layer; refused where a layer above has locked it',
      body: settingBody,
      reply: setting,
      async handle({ body }) {
        const { key, value, ...rest } = body as z.infer<typeof settingBody>
        return plainSetting(await node.settings.set({ key, value, ...rest }))
      },
    },
    {
      method: 'POST',
      url: '/v1/config/reload',
      right: '/api/config',
      summary: 'Read the files of all layers anew',
      body: z.object({}),
      reply: z.object({ changed: z.array(z.string()) }),
      handle: async () => ({ changed: [...(await node.settings.reload())] }),
    },
  ]
}
