import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'

const chromiumPath = '/usr/bin/chromium'

export interface TabOptions {
  readonly width?: number
  readonly height?: number
  readonly scheme?: 'light' | 'dark'
  /** Without a virtual authenticator, as on a machine that has none. */
  readonly hasAuthenticator?: boolean
}

/** A passkey as the virtual authenticator keeps it. */
export interface Passkey {
  readonly credentialId: string
  readonly rpId?: string
  readonly signCount: number
  readonly userHandle?: string
  readonly privateKey: string
  readonly isResidentCredential: boolean
}

/** One page in a browser profile of its own: its storage, passkeys and history are nobody else's. */
export interface Tab {
  readonly page: Page
  readonly context: BrowserContext
  /** Addresses of everything the page asked for. */
  readonly requests: readonly string[]
  /** What the browser complained about: thrown errors, console errors, breaches of the content policy. A test that expects one takes it out with `forgive`. */
  readonly faults: readonly string[]
  /** Takes faults that match out of the list, and gives how many there were. */
  forgive(pattern: RegExp): number
  passkeys(): Promise<readonly Passkey[]>
  /** Puts a passkey of another tab into this one's authenticator, as a synced one would be. */
  addPasskey(passkey: Passkey): Promise<void>
  /** Whether the user's finger fits from now on. */
  setVerified(isVerified: boolean): Promise<void>
  close(): Promise<void>
}

export interface TestBrowser extends AsyncDisposable {
  open(options?: TabOptions): Promise<Tab>
  /** What the browser as a whole, not only its pages, asked of any other machine. */
  readonly outside: readonly string[]
}

export interface BrowserOptions {
  /** Names that lead to this machine, as those of an attacker's DNS do once they are rebound. */
  readonly names?: readonly string[]
}

/**
 * Real Chromium without a window. Whatever is not on this machine goes to a proxy of ours that writes it down and refuses it.
 * @throws when Chromium is not installed: a test that needs it fails and is not skipped
 */
export async function openBrowser({ names = [] }: BrowserOptions = {}): Promise<TestBrowser> {
  if (!existsSync(chromiumPath)) {
    throw new Error(`no Chromium at ${chromiumPath}: on Debian, apt-get install chromium (or run scripts/setup.mjs --tests as root)`)
  }
  const outside: string[] = []
  const proxy = await startProxy(outside)
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
      `--proxy-server=127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      `--proxy-bypass-list=${['localhost', '127.0.0.1', '[::1]', ...names].join(';')}`,
      ...(names.length === 0
        ? []
        : [
            `--host-resolver-rules=${names.map((name) => `MAP ${name} 127.0.0.1`).join(',')}`,
            // Newer Chromium keeps pages of elsewhere from this machine by itself; what is tested must not lean on it.
            '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights',
          ]),
    ],
  })
  return {
    outside,
    open: async (options) => await openTab(await browser.newContext(contextOptions(options)), options),
    async [Symbol.asyncDispose]() {
      await browser.close()
      proxy.closeAllConnections()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

const contextOptions = ({ width = 1_280, height = 800, scheme = 'light' }: TabOptions = {}): object => ({
  viewport: { width, height },
  colorScheme: scheme,
  locale: 'en-GB',
  timezoneId: 'UTC',
})

/** Chromium looks for news of itself whatever it is told; that is refused like all else, and says nothing about our pages. */
const browserOwn = /^\S+ (?:https?:\/\/)?[\w-]+\.(?:googleapis|google|gvt1)\.com[:/]/

async function startProxy(outside: string[]): Promise<Server> {
  const note = (line: string): void => {
    if (!browserOwn.test(line)) outside.push(line)
  }
  const proxy = createServer((request, response) => {
    note(`${request.method ?? ''} ${request.url ?? ''}`)
    response.writeHead(403).end()
  })
  proxy.on('connect', (request, socket) => {
    note(`CONNECT ${request.url ?? ''}`)
    // Nobody else listens on a socket that was handed over: the browser may be gone before it has read the refusal.
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return proxy
}

async function openTab(context: BrowserContext, { hasAuthenticator = true }: TabOptions = {}): Promise<Tab> {
  const requests: string[] = []
  const faults: string[] = []
  context.on('request', (request) => requests.push(request.url()))
  context.on('weberror', (error) => faults.push(`thrown: ${error.error().message}`))
  context.on('console', (message) => {
    // A refused call is the console's to show; the browser's own line about it says nothing new.
    if (message.type() === 'error' && !/^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())) faults.push(message.text())
  })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const devtools = await context.newCDPSession(page)
  const authenticatorId = hasAuthenticator ? await addAuthenticator(devtools) : undefined
  const held = (): string => {
    if (authenticatorId === undefined) throw new Error('this tab has no authenticator')
    return authenticatorId
  }
  return {
    page,
    context,
    requests,
    faults,
    forgive(pattern) {
      const left = faults.filter((fault) => !pattern.test(fault))
      const forgiven = faults.length - left.length
      faults.splice(0, faults.length, ...left)
      return forgiven
    },
    async passkeys() {
      const { credentials } = (await devtools.send('WebAuthn.getCredentials', { authenticatorId: held() })) as { readonly credentials: readonly Passkey[] }
      return credentials
    },
    async addPasskey(credential) {
      await devtools.send('WebAuthn.addCredential', { authenticatorId: held(), credential })
    },
    async setVerified(isUserVerified) {
      await devtools.send('WebAuthn.setUserVerified', { authenticatorId: held(), isUserVerified })
    },
    close: () => context.close(),
  }
}

/** Built in, keeps passkeys, checks its user, and says yes when asked. */
async function addAuthenticator(devtools: CDPSession): Promise<string> {
  await devtools.send('WebAuthn.enable', { enableUI: false })
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      ctap2Version: 'ctap2_1',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
      hasPrf: true,
    },
  })
  return authenticatorId
}

/** Opens the node's one-time link, makes a passkey and ends up at the overview. `link` is what `up` or `user invite` printed. */
export async function enrol({ page }: Tab, link: string, name: string): Promise<void> {
  await page.goto(link)
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Create a passkey' }).click()
  await page.getByRole('heading', { name: 'Account', level: 1 }).waitFor()
}

/** Logs in with the passkey the tab holds, from the front page. */
export async function login({ page }: Tab, api: string): Promise<void> {
  await page.goto(`${api}/`)
  await page.getByRole('button', { name: 'Log in with a passkey' }).click()
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
}
