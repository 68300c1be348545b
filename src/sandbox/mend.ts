import { readFileSync } from 'node:fs'

/** What Ubuntu's own profile for other programs looks like. */
const profile =
  "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  userns,\\n}\\n' > /etc/apparmor.d/bwrap && apparmor_parser -r /etc/apparmor.d/bwrap"

/** Settings that keep a user who is not root from making name spaces: file, value, command that mends it. */
const settings: readonly (readonly [file: string, value: string, fix: string])[] = [
  ['/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1', profile],
  ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sysctl -w kernel.unprivileged_userns_clone=1'],
  ['/proc/sys/user/max_user_namespaces', '0', 'sysctl -w user.max_user_namespaces=15000'],
]

const readSetting = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'latin1').trim()
  } catch {
    return undefined
  }
}

/** The command that lets bubblewrap make name spaces, when this is what it failed for. */
export function mendOf(message: string, read: (file: string) => string | undefined = readSetting): string | undefined {
  if (!/bwrap: .*(?:permission|permitted|uid map|namespace|No space left)/i.test(message)) return undefined
  return settings.find(([file, value]) => read(file) === value)?.[2] ?? 'allow unprivileged user name spaces on this system'
}
