import type { Component } from 'svelte'
import type { IconName } from './ui/icons.ts'

export type PageGroup = 'Here' | 'Mesh' | 'Work' | 'Keep'

/** A page of the console, at `#/<path>`; what comes after it in the fragment is the page's own affair (`router.place`). */
export interface Page {
  readonly path: string
  readonly title: string
  readonly group: PageGroup
  readonly icon: IconName
  /** `g` and then this letter leads here. */
  readonly key: string
  /** Loaded when it is first seen. */
  readonly load: () => Promise<{ readonly default: Component }>
  /** Left out of the navigation: reached from elsewhere. */
  readonly isHidden?: boolean
}

/** In the order of the navigation. */
export const pages: readonly Page[] = [
  { path: '', title: 'Overview', group: 'Here', icon: 'home', key: 'h', load: () => import('./pages/home.svelte') },
  { path: 'mesh', title: 'Mesh', group: 'Mesh', icon: 'mesh', key: 'm', load: () => import('./pages/mesh.svelte') },
  { path: 'peers', title: 'Peers', group: 'Mesh', icon: 'peers', key: 'p', load: () => import('./pages/peers.svelte') },
  { path: 'trust', title: 'Trust', group: 'Mesh', icon: 'trust', key: 't', load: () => import('./pages/trust.svelte') },
  { path: 'invites', title: 'Invites', group: 'Mesh', icon: 'invite', key: 'i', load: () => import('./pages/invites.svelte') },
  { path: 'pending', title: 'Pending', group: 'Mesh', icon: 'pending', key: 'w', load: () => import('./pages/pending.svelte') },
  { path: 'names', title: 'Names', group: 'Mesh', icon: 'users', key: 'n', load: () => import('./pages/names.svelte') },
  { path: 'proofs', title: 'Proofs', group: 'Mesh', icon: 'check', key: 'o', load: () => import('./pages/proofs.svelte') },
  { path: 'tasks', title: 'Tasks', group: 'Work', icon: 'tasks', key: 'r', load: () => import('./pages/tasks.svelte') },
  { path: 'messages', title: 'Messages', group: 'Work', icon: 'messages', key: 'e', load: () => import('./pages/messages.svelte') },
  { path: 'files', title: 'Files', group: 'Work', icon: 'file', key: 'f', load: () => import('./pages/files.svelte') },
  { path: 'agents', title: 'Agents', group: 'Work', icon: 'agent', key: 'a', load: () => import('./pages/agents.svelte') },
  { path: 'audit', title: 'Audit log', group: 'Keep', icon: 'audit', key: 'l', load: () => import('./pages/audit.svelte') },
  { path: 'account', title: 'Account', group: 'Keep', icon: 'account', key: 'y', load: () => import('./pages/account.svelte'), isHidden: true },
  { path: 'vault', title: 'Vault', group: 'Keep', icon: 'vault', key: 'v', load: () => import('./pages/vault.svelte') },
  { path: 'users', title: 'Users', group: 'Keep', icon: 'users', key: 'u', load: () => import('./pages/users.svelte') },
  { path: 'grants', title: 'Grants', group: 'Keep', icon: 'key', key: 'g', load: () => import('./pages/grants.svelte') },
  { path: 'tokens', title: 'Tokens', group: 'Keep', icon: 'tokens', key: 'k', load: () => import('./pages/tokens.svelte') },
  { path: 'security', title: 'Security', group: 'Keep', icon: 'security', key: 'x', load: () => import('./pages/security.svelte') },
  { path: 'settings', title: 'Settings', group: 'Keep', icon: 'settings', key: 's', load: () => import('./pages/settings.svelte') },
  { path: 'doctor', title: 'Doctor', group: 'Keep', icon: 'doctor', key: 'd', load: () => import('./pages/doctor.svelte') },
]

export const groups: readonly PageGroup[] = ['Here', 'Mesh', 'Work', 'Keep']

export const findPage = (path: string): Page | undefined => pages.find((page) => page.path === path)
