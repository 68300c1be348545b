/** Where the user is: `#/trust/did:key:z6Mk…?scope=/task/run`. */
export interface Place {
  /** `trust`; empty at home. */
  readonly path: string
  /** The parts after it, decoded. */
  readonly rest: readonly string[]
  readonly query: URLSearchParams
}

/** Takes a fragment apart; what cannot be decoded is taken as it is. */
export function parsePlace(fragment: string): Place {
  const [path = '', query = ''] = fragment.replace(/^#\/?/, '').split(/\?(.*)/s)
  const [first = '', ...rest] = path.split('/').map(decode)
  return { path: first, rest, query: new URLSearchParams(query) }
}

/** A link to a page: `hrefOf('trust', [did], { scope })`. */
export function hrefOf(path: string, rest: readonly string[] = [], query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString()
  return `#/${[path, ...rest].map(encodeURIComponent).join('/')}${search === '' ? '' : `?${search}`}`
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

class Router {
  place: Place = $state.raw(parsePlace(location.hash))

  constructor() {
    addEventListener('hashchange', () => {
      this.place = parsePlace(location.hash)
    })
  }

  go(href: string): void {
    location.hash = href
  }

  /** The same, without a way back: for what must not stay in the history, such as a one-time link. */
  replace(href: string): void {
    history.replaceState(null, '', href)
    this.place = parsePlace(href)
  }
}

export const router = new Router()
