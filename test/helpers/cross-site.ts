/** What a hostile page tries, each in the page itself: they are sent there as source and see nothing outside. */
export interface Target {
  /** Such as `http://localhost:4180`. */
  readonly api: string
  /** The token of api.json: the guards hold even where it has leaked. */
  readonly token: string
}

type Vector = (target: Target, mark: string) => Promise<unknown>

const all: Readonly<Record<string, Vector | string>> = {
  'fetch with JSON and the token': ({ api, token }, mark) =>
    fetch(`${api}/v1/auth/login/begin?${mark}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{}',
    }),
  'fetch of what is read, with the token': ({ api, token }, mark) => fetch(`${api}/v1/status?${mark}`, { headers: { authorization: `Bearer ${token}` } }),
  'fetch of what is open': ({ api }, mark) => fetch(`${api}/healthz?${mark}`),
  'no-cors fetch of what is open': ({ api }, mark) => fetch(`${api}/openapi.json?${mark}`, { mode: 'no-cors', credentials: 'include' }),
  'no-cors fetch of the front page': ({ api }, mark) => fetch(`${api}/?${mark}`, { mode: 'no-cors' }),
  'no-cors post of text/plain': ({ api }, mark) => fetch(`${api}/v1/auth/login/begin?${mark}`, { method: 'POST', mode: 'no-cors', body: '{}' }),
  'no-cors post of a form': ({ api }, mark) =>
    fetch(`${api}/v1/auth/login/begin?${mark}`, { method: 'POST', mode: 'no-cors', body: new URLSearchParams({ name: 'x' }) }),
  'fetch kept alive': ({ api }, mark) => fetch(`${api}/healthz?${mark}`, { keepalive: true, mode: 'no-cors' }),
  XMLHttpRequest: inPage(`new Promise((resolve) => {
    const asked = new XMLHttpRequest()
    asked.open('POST', target.api + '/v1/auth/login/begin?' + mark)
    asked.addEventListener('loadend', resolve)
    asked.send('{}')
  })`),
  ...forms(),
  ...elements(),
  EventSource: ({ api }, mark) =>
    new Promise((resolve) => {
      const source = new EventSource(`${api}/v1/events?${mark}`)
      source.addEventListener('error', () => {
        source.close()
        resolve(undefined)
      })
    }),
  WebSocket: ({ api }, mark) =>
    new Promise((resolve) => {
      new WebSocket(`${api.replace('http', 'ws')}/v1/events?${mark}`).addEventListener('close', resolve)
    }),
  'sendBeacon of text': inPage(`navigator.sendBeacon(target.api + '/v1/auth/login/begin?' + mark, '{}')`),
  'sendBeacon that says it is JSON': inPage(
    `navigator.sendBeacon(target.api + '/v1/auth/login/begin?' + mark, new Blob(['{}'], { type: 'application/json' }))`,
  ),
  'a module of the API': inPage(`import(target.api + '/openapi.json?' + mark)`),
  'a worker that asks for it': inPage(`new Promise((resolve) => {
    const source = 'fetch("' + target.api + '/healthz?' + mark + '", { mode: "no-cors" }).then(() => postMessage(1), () => postMessage(0))'
    new Worker(URL.createObjectURL(new Blob([source]))).addEventListener('message', resolve)
  })`),
}

/** Source of a function of target and mark; what it gives resolves or rejects when the browser says how it ended. */
export const vectors: Readonly<Record<string, string>> = Object.fromEntries(Object.entries(all).map(([name, vector]) => [name, vector.toString()]))

/** A vector as source, where the tests' own compiler would rewrite it or does not know the page's words. */
function inPage(expression: string): string {
  return `(target, mark) => ${expression}`
}

/** Posts as forms do, without a word of script in between. */
function forms(): Readonly<Record<string, string>> {
  const post = (enctype: string): string =>
    inPage(
      `new Promise((resolve) => {
        const frame = document.createElement('iframe')
        frame.name = 'frame' + mark
        document.body.append(frame)
        const form = document.createElement('form')
        form.method = 'POST'
        form.enctype = '${enctype}'
        form.target = frame.name
        form.action = target.api + '/v1/auth/login/begin?' + mark
        const field = document.createElement('input')
        field.name = '{"name":"'
        field.value = '"}'
        form.append(field)
        document.body.append(form)
        frame.addEventListener('load', resolve)
        form.submit()
      })`,
    )
  return Object.fromEntries(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data'].map((type) => [`form of ${type}`, post(type)]))
}

/** Whatever a page can include. */
function elements(): Readonly<Record<string, string>> {
  const include = (tag: string, attribute: string, path: string, extra = ''): string =>
    inPage(
      `new Promise((resolve) => {
        const element = document.createElement('${tag}')
        ${extra}
        for (const event of ['load', 'error', 'suspend', 'loadeddata']) element.addEventListener(event, resolve)
        element.setAttribute('${attribute}', target.api + '${path}?' + mark)
        document.body.append(element)
      })`,
    )
  return {
    'iframe of the console': include('iframe', 'src', '/'),
    'iframe of a call': include('iframe', 'src', '/healthz'),
    'object of the console': include('object', 'data', '/'),
    'embed of the console': include('embed', 'src', '/'),
    image: include('img', 'src', '/healthz'),
    script: include('script', 'src', '/openapi.json'),
    'style sheet': include('link', 'href', '/healthz', `element.rel = 'stylesheet'`),
    preload: include('link', 'href', '/healthz', `element.rel = 'preload'; element.as = 'fetch'; element.crossOrigin = 'anonymous'`),
    video: include('video', 'src', '/healthz', `element.preload = 'auto'`),
    track: include('audio', 'src', '/openapi.json', `element.preload = 'auto'`),
  }
}
