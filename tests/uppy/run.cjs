// Drives Chromium through what people do with Uppy, and looks at the stores behind the gateway when they are done.
//   run.cjs TARGET VERSION...     UPLOAD_BIN, CHROMIUM and UPLOAD_TEST_S3_* name the program, the browser and an S3 store
const { createHash, createHmac } = require('node:crypto')
const { spawn, execFileSync } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const esbuild = require('esbuild')
const puppeteer = require('puppeteer-core')

const [target, ...versions] = process.argv.slice(2)
const MIB = 1 << 20
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'upload-uppy-'))
const env = process.env

function bytes(seed, length) {
  const all = Buffer.alloc(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    all[i] = state >>> 24
  }
  return all
}
const sha256 = (data) => createHash('sha256').update(data).digest('hex')
const hmac = (key, text) => createHmac('sha256', key).update(text).digest()
async function until(what, look) {
  for (let i = 0; i < 600; i++) {
    const seen = await look()
    if (seen) return seen
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`waited in vain for ${what}`)
}
function same(what, is, expected) {
  if (JSON.stringify(is) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(is)} and not ${JSON.stringify(expected)}`)
}

// A bucket, asked with the keys themselves (AWS Signature Version 4).
class Bucket {
  constructor(endpoint, bucket, access, secret) {
    Object.assign(this, { endpoint: endpoint.replace(/\/$/, ''), bucket, access, secret })
  }
  async ask(method, query, body = '') {
    const url = new URL(`${this.endpoint}/${this.bucket}${query ? `?${query}` : ''}`)
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
    const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`
    const headers = {
      'content-md5': createHash('md5').update(body).digest('base64'),
      host: url.host, 'x-amz-content-sha256': sha256(body), 'x-amz-date': time,
    }
    const names = Object.keys(headers).join(';')
    const sorted = (query ? query.split('&') : []).map((pair) => (pair.includes('=') ? pair : `${pair}=`)).sort().join('&')
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('')
    const canonical = [method, url.pathname, sorted, lines, names, sha256(body)].join('\n')
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`
    const key = scope.split('/').reduce(hmac, `AWS4${this.secret}`)
    headers.authorization = `AWS4-HMAC-SHA256 Credential=${this.access}/${scope}, SignedHeaders=${names}, Signature=${hmac(key, text).toString('hex')}`
    delete headers.host
    const answer = await fetch(url, { method, headers, body: body || undefined })
    const said = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${query}: ${answer.status} ${said}`)
    return said
  }
  async keys() {
    const keys = [...(await this.ask('GET', 'list-type=2')).matchAll(/<Key>(.*?)<\/Key>/g)].map((found) => found[1])
    return keys.filter((key) => key.includes('uploads/'))
  }
  async open() {
    return [...(await this.ask('GET', 'uploads')).matchAll(/<UploadId>/g)].length
  }
}

class Gateway {
  static async start(name, args, more = {}) {
    const home = path.join(place, name)
    fs.mkdirSync(home, { recursive: true })
    const gateway = new Gateway()
    gateway.env = {
      PATH: env.PATH, HOME: home, XDG_CONFIG_HOME: `${home}/config`, XDG_STATE_HOME: `${home}/state`, XDG_DATA_HOME: `${home}/data`, ...more,
    }
    const all = ['serve', '--listen', '127.0.0.1:0', '--companion', '/', '--sweep-every', '200ms', ...args]
    gateway.child = spawn(env.UPLOAD_BIN, all, { env: gateway.env, stdio: ['ignore', 'ignore', 'pipe'] })
    process.once('exit', () => gateway.stop())
    let log = ''
    gateway.child.stderr.on('data', (data) => { log += data })
    gateway.log = () => log
    gateway.url = await until('the gateway', () => {
      if (gateway.child.exitCode !== null) throw new Error(log)
      return /listening on (\S+)/.exec(log)?.[1]
    })
    return gateway
  }
  newToken(name) {
    return execFileSync(env.UPLOAD_BIN, ['serve', 'token', 'add', name], { env: this.env }).toString().trim()
  }
  async ask(path) {
    const answer = await fetch(`${this.url}${path}`, { headers: this.token ? { authorization: `Bearer ${this.token}` } : {} })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  async newest() {
    return (await this.ask('/v1/uploads')).uploads[0]
  }
  stop() {
    this.child.kill('SIGKILL')
  }
}

// What is on the page at the end, and in the store: one object more, byte for byte, and nothing that is open.
async function arrived(world, file, before) {
  await until('the end', () => world.page.evaluate(() => state.success.length === 1 || state.errors.length > 0))
  const seen = await world.page.evaluate(() => state)
  same('errors', seen.errors, [])
  const upload = await until('ready', async () => {
    const newest = await world.gateway.newest()
    return newest.state === 'ready' && newest
  })
  same('size', [upload.size, upload.receipt.size, upload.receipt.proof], [file.length, file.length, 'none'])
  const { url } = await world.gateway.ask(`/v1/uploads/${upload.id}/url`)
  const object = Buffer.from(await (await fetch(url)).arrayBuffer())
  same('bytes', sha256(object), sha256(file))
  const keys = await world.bucket.keys()
  same('objects', keys.length, before + 1)
  if (!keys.includes(seen.success[0] && decodeURIComponent(new URL(seen.success[0]).pathname).replace(/^\/[^/]*\//, ''))) {
    throw new Error(`${seen.success[0]} leads nowhere`)
  }
  same('open multipart uploads', await world.bucket.open(), 0)
}

const scenarios = {
  async 'a small file, as Uppy does it by itself'(world, go) {
    await go({ length: 1000 })
  },
  async 'a small file in one part'(world, go) {
    await go({ length: 1000, multipart: true })
  },
  async 'three parts'(world, go) {
    await go({ length: 12 * MIB, multipart: true, name: 'Über uns (1).bin' })
  },
  async 'a part that fails twice'(world, go) {
    let failed = 0
    await world.intercept((request) => {
      if (request.method() !== 'PUT' || !request.url().includes('partNumber=2') || failed === 2) return false
      failed += 1
      request.respond({ status: 503, headers: { 'access-control-allow-origin': '*' }, body: 'not now' })
      return true
    })
    await go({ length: 12 * MIB, multipart: true })
    same('failures', failed, 2)
  },
  async 'pause and go on'(world, go) {
    await go({ length: 12 * MIB, multipart: true }, async () => {
      await until('a part', () => world.page.evaluate(() => state.parts >= 1 && (uppy.pauseAll(), true)))
      await world.page.evaluate(() => new Promise((done) => setTimeout(done, 300)))
      same('while it is paused', await world.page.evaluate(() => state.success.length), 0)
      await world.page.evaluate(() => uppy.resumeAll())
    })
  },
  async 'reload and go on'(world, go) {
    const sent = []
    let hold = true
    await world.intercept((request) => {
      const number = request.method() === 'PUT' && /partNumber=(\d+)/.exec(request.url())?.[1]
      if (number) sent.push(number)
      // Nothing comes of the second part before the page is gone.
      return number === '2' && hold
    })
    const options = { length: 12 * MIB, multipart: true }
    await go(options, async (begin) => {
      await until('a part', () => world.page.evaluate(() => state.parts === 1))
      const left = await until('what is left', () => world.page.evaluate(() => window.left()))
      await until('the second part', () => sent.includes('2'))
      hold = false
      await world.open()
      await begin({ ...options, left: { uploadId: left.uploadId, key: left.key } })
    })
    same('parts sent', sent, ['1', '2', '2', '3'])
  },
  async 'cancel'(world, go, before) {
    let held = false
    await world.intercept((request) => {
      const second = request.method() === 'PUT' && request.url().includes('partNumber=2')
      held ||= second
      return second
    })
    await go({ length: 12 * MIB, multipart: true }, async () => {
      await until('the second part', () => held)
      await world.page.evaluate(() => uppy.cancelAll())
      await until('aborted', async () => (await world.gateway.newest()).state === 'aborted')
      same('objects', (await world.bucket.keys()).length, before)
      same('open multipart uploads', await world.bucket.open(), 0)
      return 'nothing arrives'
    })
  },
  async 'an answer to complete that is lost'(world, go) {
    // Older ones begin anew then, which is theirs to do.
    if (world.version < 6) return 'not with this one'
    let lost = 0
    await world.intercept((request) => {
      if (request.method() !== 'POST' || !request.url().includes('/complete') || lost) return false
      lost += 1
      const headers = { 'content-type': 'application/json' }
      fetch(request.url(), { method: 'POST', headers, body: request.postData() }).then(() => request.abort('connectionreset'))
      return true
    })
    await go({ length: 6 * MIB, multipart: true }, async () => {
      await until('the error', () => world.page.evaluate(() => state.errors.length === 1))
      await world.page.evaluate(() => { state.errors = []; uppy.retryAll() })
    })
  },
  async 'nobody is let in without a token'(world, go, before) {
    if (!world.gateway.token) return 'not without tokens'
    const all = (await world.gateway.ask('/v1/uploads')).uploads.length
    for (const multipart of [false, true]) {
      await world.open()
      await go({ length: 1000, multipart, token: 'upl_none_at_all' }, async () => {
        await until('the error', () => world.page.evaluate(() => state.errors.length > 0))
        same('successes', await world.page.evaluate(() => state.success), [])
        same('uploads', (await world.gateway.ask('/v1/uploads')).uploads.length, all)
        return 'nothing arrives'
      })
    }
  },
}

async function play(browser, site, version, store) {
  let seed = Number(version)
  for (const [name, scenario] of Object.entries(scenarios)) {
    const context = await browser.createBrowserContext()
    const page = await context.newPage()
    const said = []
    page.on('console', (line) => said.push(line.text()))
    page.on('pageerror', (error) => said.push(String(error)))
    const world = { ...store, page, version: Number(version) }
    world.open = async () => {
      await page.goto(`${site}/${version}`)
      await until('the page', () => page.evaluate(() => window.ready))
    }
    world.intercept = async (decide) => {
      await page.setRequestInterception(true)
      page.on('request', (request) => { if (!decide(request)) request.continue() })
    }
    const before = (await store.bucket.keys()).length
    const go = async (options, meanwhile) => {
      const file = bytes(++seed, options.length)
      const begin = (options) => page.evaluate((options) => window.begin(options), {
        version: Number(version), gateway: store.gateway.url, token: store.gateway.token, name: 'file.bin', seed, ...options,
      })
      await begin(options)
      const other = meanwhile && (await meanwhile(begin))
      if (!other) await arrived(world, file, before)
    }
    try {
      await world.open()
      const not = await scenario(world, go, before)
      console.log(`ok: Uppy ${version}, ${store.name}: ${name}${not ? ` (${not})` : ''}`)
    } catch (error) {
      console.error(`FAILED: Uppy ${version}, ${store.name}: ${name}: ${error.message}`)
      console.error(JSON.stringify(await page.evaluate(() => window.state).catch(() => null)))
      console.error(said.join('\n'))
      console.error(store.gateway.log())
      throw error
    } finally {
      await context.close()
    }
  }
}

async function main() {
  const pages = Object.fromEntries(versions.map((version) => {
    const built = esbuild.buildSync({
      entryPoints: [path.join(__dirname, 'page.js')], bundle: true, write: false, format: 'iife', logLevel: 'error',
      nodePaths: [path.join(target, version, 'node_modules')],
    })
    return [version, built.outputFiles[0].text]
  }))
  const server = http.createServer((request, response) => {
    const script = pages[request.url.replace(/^\/|\.js$/g, '')]
    response.statusCode = script ? 200 : 404
    response.setHeader('content-type', request.url.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8')
    response.end(request.url.endsWith('.js') ? script : `<!doctype html><script src="${request.url}.js"></script>`)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const site = `http://127.0.0.1:${server.address().port}`

  const credentials = path.join(place, 'credentials')
  const embedded = await Gateway.start('embedded', ['--allow-origin', site, '--auth', 'tokens', '--store-credentials', credentials])
  const field = (file, name) => new RegExp(`^${name}\\s*=\\s*(.*)$`, 'm').exec(fs.readFileSync(file, 'utf8'))[1].trim()
  const own = (file) => new Bucket(field(file, 'endpoint_url'), 'embedded', field(file, 'aws_access_key_id'), field(file, 'aws_secret_access_key'))
  embedded.token = embedded.newToken('page')
  const stores = [{ name: 'embedded', gateway: embedded, bucket: own(credentials) }]

  const loose = path.join(place, 'loose')
  const loopback = await Gateway.start('loopback', ['--allow-origin', site, '--store-credentials', loose])
  stores.push({ name: 'embedded, nobody asked', gateway: loopback, bucket: own(loose) })

  const { UPLOAD_TEST_S3_ENDPOINT: endpoint, UPLOAD_TEST_S3_ACCESS_KEY: access, UPLOAD_TEST_S3_SECRET_KEY: secret } = env
  const bucket = new Bucket(endpoint, `uppy-${process.pid}-${Date.now()}`, access, secret)
  await bucket.ask('PUT', '')
  // As docs/uppy.md has it.
  await bucket.ask('PUT', 'cors', `<CORSConfiguration><CORSRule><AllowedOrigin>${site}</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>` +
    '<AllowedMethod>POST</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><ExposeHeader>Location</ExposeHeader>' +
    '<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>')
  const keys = { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: secret }
  const args = ['--allow-origin', site, '--auth', 'tokens', '--store', `s3://${bucket.bucket}/incoming`, '--s3-endpoint', endpoint, '--s3-region', 'us-east-1', '--s3-path-style']
  const s3 = await Gateway.start('s3', args, keys)
  s3.token = s3.newToken('page')
  stores.push({ name: 'LocalStack', gateway: s3, bucket })

  const browser = await puppeteer.launch({
    executablePath: env.CHROMIUM, headless: true, userDataDir: path.join(place, 'browser'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  try {
    for (const version of versions) for (const store of stores) await play(browser, site, version, store)
    // Tokens are in paths with Uppy 6: no log may have them.
    for (const { gateway } of stores) if (gateway.token && gateway.log().includes(gateway.token)) throw new Error('a token is in the log')
    console.log('all is well')
  } finally {
    await browser.close()
    for (const { gateway } of stores) gateway.stop()
    server.close()
    fs.rmSync(place, { recursive: true, force: true })
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
