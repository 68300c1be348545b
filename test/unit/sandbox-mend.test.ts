import { expect, test } from 'vitest'
import { mendOf } from '../../src/sandbox/mend.ts'

const failure = 'bubblewrap: ended before it was ready: bwrap: setting up uid map: Permission denied'

test.each([
  ['AppArmor', '/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1', /profile bwrap .*userns,.*apparmor_parser -r/],
  ['Debian', '/proc/sys/kernel/unprivileged_userns_clone', '0', /unprivileged_userns_clone=1/],
  ['a count of none', '/proc/sys/user/max_user_namespaces', '0', /max_user_namespaces=/],
] as const)('where %s keeps users from making name spaces, the command that mends it is named', (_, file, value, fix) => {
  expect(mendOf(failure, (asked) => (asked === file ? value : '7'))).toMatch(fix)
})

test('other failures are not blamed on name spaces', () => {
  expect(mendOf('bubblewrap: not ready after 30000 ms', () => '1')).toBeUndefined()
  expect(mendOf(failure, () => undefined)).toMatch(/user name spaces/)
})
