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
export const pages: readonly Page[] = [{ path: '', title: 'Overview', group: 'Here', icon: 'home', key: 'h', load: () => import('./pages/home.svelte') }]

export const groups: readonly PageGroup[] = ['Here', 'Mesh', 'Work', 'Keep']

export const findPage = (path: string): Page | undefined => pages.find((page) => page.path === path)
