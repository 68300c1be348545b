import type { Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { MeshError } from '../../base/index.ts'
import { type Context, paint } from '../context.ts'
import type { AddCommand } from '../program.ts'
import { addUserCodeCommands } from './user-codes.ts'

const roles = ['owner', 'operator', 'viewer', 'agent'] as const
type RoleName = (typeof roles)[number]

/** @throws ERR_USAGE */
function roleFrom(text: string): RoleName {
  const role = roles.find((name) => name === text)
  if (role === undefined) throw new MeshError('ERR_USAGE', `'${text}' is no role`, { hint: roles.join(', ') })
  return role
}

const minute = (ms: number | null): string => (ms === null ? 'never' : `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`)

/** Makes a one-time link and shows it. */
async function invite({ client, print, signal }: Context, role: RoleName, name?: string): Promise<void> {
  const body = { role, ...(name === undefined ? {} : { name }) }
  print('user-invite', await (await client()).inviteUser(body, { signal }), ({ url, expiresAt }) =>
    [
      ...(process.stdout.isTTY ? [renderUnicodeCompact(url)] : []),
      url,
      paint('dim', `opened in a browser of this machine it makes a passkey for ${name ?? 'somebody'} as ${role}, once, until ${minute(expiresAt)}`),
    ].join('\n'),
  )
}

export function addUserCommands(program: Command, add: AddCommand): void {
  const user = program.command('user').description('people of this node: who they are, how they log in, what they may')
  add<readonly [], { readonly role: string }>(
    user,
    'invite',
    'make a one-time link with which somebody makes a passkey',
    (command) => command.requiredOption('--role <role>', roles.join(', ')),
    async (context, _args, { role }) => await invite(context, roleFrom(role)),
  )
  add<readonly [string], { readonly role: string }>(
    user,
    'add <name>',
    'make a one-time link for somebody whose name is given here',
    (command) => command.requiredOption('--role <role>', roles.join(', ')),
    async (context, [name], { role }) => await invite(context, roleFrom(role), name),
  )
  add(
    user,
    'list',
    'people, and links that are open',
    (command) => command,
    async ({ client, print, signal }) => {
      const api = await client()
      const [{ users }, { invites }] = await Promise.all([api.users({ signal }), api.userInvites({ signal })])
      const withFactors = await Promise.all(
        users.map(async (one) => {
          const { totp, recoveryCodesLeft } = await api.factors({ user: one.id }, { signal })
          return { ...one, totp, recoveryCodesLeft }
        }),
      )
      print(
        'user-list',
        { users: withFactors, invites },
        (all) =>
          [
            ...all.users.map(
              ({ id, name, role, lastLoginAt, totp, recoveryCodesLeft }) =>
                `${name}  ${role}  last login ${minute(lastLoginAt)}  ${totp ? 'app' : 'no app'}  ${recoveryCodesLeft} recovery codes  ${paint('dim', id)}`,
            ),
            ...all.invites.map(({ id, name, role, expiresAt }) => `link for ${name ?? 'somebody'}  ${role}  until ${minute(expiresAt)}  ${paint('dim', id)}`),
          ].join('\n') || 'nobody yet: `kindmesh up` prints a link for the owner',
      )
    },
  )
  addUserCodeCommands(user, add)
  add<readonly [string | undefined], { readonly revoke?: string }>(
    user,
    'sessions [name]',
    'who is logged in',
    (command) => command.option('--revoke <id>', 'end one session'),
    async ({ client, print, signal }, [name], { revoke }) => {
      const api = await client()
      if (revoke !== undefined) {
        print('user-session', await api.revokeUserSession(revoke, { signal }), ({ id }) => `${id}  ended`)
        return
      }
      const { sessions } = await api.userSessions({ user: name ?? 'all' }, { signal })
      const names = new Map((await api.users({ signal })).users.map((one) => [one.id, one.name]))
      print(
        'user-sessions',
        { sessions: sessions.map((session) => ({ ...session, name: names.get(session.userId) ?? null })) },
        (all) =>
          all.sessions
            .map(
              ({ id, name: whose, role, device, factors, lastSeenAt }) =>
                `${whose ?? '?'}  ${role}  ${device}  ${factors.join('+')}  seen ${minute(lastSeenAt)}  ${paint('dim', id)}`,
            )
            .join('\n') || 'nobody is logged in',
      )
    },
  )
  add<readonly [string, string]>(
    user,
    'role <name> <role>',
    'give somebody another role; sessions end',
    (command) => command,
    async ({ client, print, signal }, [name, role]) => {
      print('user-role', await (await client()).setUserRole({ user: name, role: roleFrom(role) }, { signal }), (one) => `${one.name}  ${one.role}`)
    },
  )
  add<readonly [string]>(
    user,
    'remove <name>',
    'remove somebody, with passkeys, codes and sessions; or, by its id, a link',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const api = await client()
      const link = (await api.userInvites({ signal })).invites.find(({ id }) => id === name)
      if (link !== undefined) {
        print('user-invite-revoked', await api.revokeUserInvite(link.id, { signal }), ({ id }) => `${id}  withdrawn`)
        return
      }
      print('user-remove', await api.removeUser(name, { signal }), (one) => `${one.name}  removed`)
    },
  )
  add<readonly [string], { readonly remove?: string; readonly enable?: string }>(
    user,
    'passkeys <name>',
    'passkeys of somebody',
    (command) => command.option('--remove <id>', 'take one away').option('--enable <id>', 'use one again whose counter went back'),
    async ({ client, print, signal }, [name], { remove, enable }) => {
      const api = await client()
      if (remove !== undefined) {
        print('user-passkey', await api.removePasskey(remove, { signal }), ({ label }) => `${label}  removed`)
        return
      }
      if (enable !== undefined) {
        print('user-passkey', await api.enablePasskey(enable, { signal }), ({ label }) => `${label}  in use again`)
        return
      }
      print('user-passkeys', await api.passkeys(name, { signal }), ({ passkeys }) =>
        passkeys
          .map(
            ({ id, label, createdAt, lastUsedAt, disabled }) =>
              `${label}  since ${minute(createdAt)}  used ${minute(lastUsedAt)}${disabled ? '  not in use' : ''}  ${paint('dim', id)}`,
          )
          .join('\n'),
      )
    },
  )
}
