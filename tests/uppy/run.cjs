// Drives Chromium through the typical uses of Uppy and checks the store of each gateway.
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
const workDir = fs.mkdtempSync(path.join(os.tmpdir(), 'upload-uppy-'))
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
async function until(event, find) {
  for (let i = 0; i < 600; i++) {
    const found = await find()
    if (found) return found
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`timed out waiting for ${event}`)
}
function assertEqual(name, actual, expected) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${name}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`)
}

// A bucket, with requests signed by AWS Signature Version 4.
class Bucket {
  constructor(endpoint, bucket, access, secret) {
    Object.assign(this, { endpoint: endpoint.replace(/\/$/, ''), bucket, access, secret })
  }
  async request(method, query, body = '') {
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
    const response = await fetch(url, { method, headers, body: body || undefined })
    const responseText = await response.text()
    if (!response.ok) throw new Error(`${method} ${query}: ${response.status} ${responseText}`)
    return responseText
  }
  async keys() {
    const keys = [...(await this.request('GET', 'list-type=2')).matchAll(/<Key>(.*?)<\/Key>/g)].map((found) => found[1])
    return keys.filter((key) => key.includes('uploads/'))
  }
  async openUploads() {
    return [...(await this.request('GET', 'uploads')).matchAll(/<UploadId>/g)].length
  }
}

class Gateway {
  static async start(name, args, more = {}) {
    const home = path.join(workDir, name)
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
  async get(path) {
    const response = await fetch(`${this.url}${path}`, { headers: this.token ? { authorization: `Bearer ${this.token}` } : {} })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  async newest() {
    return (await this.get('/v1/uploads')).uploads[0]
  }
  stop() {
    this.child.kill('SIGKILL')
  }
}

// Asserts the state of the page and of the store: one more object, byte for byte, and no open upload.
async function assertArrived(world, file, before) {
  await until('the upload to end', () => world.page.evaluate(() => state.success.length === 1 || state.errors.length > 0))
  const pageState = await world.page.evaluate(() => state)
  assertEqual('errors', pageState.errors, [])
  const upload = await until('the upload to be ready', async () => {
    const newest = await world.gateway.newest()
    return newest.state === 'ready' && newest
  })
  assertEqual('size', [upload.size, upload.receipt.size, upload.receipt.proof], [file.length, file.length, 'none'])
  const { url } = await world.gateway.get(`/v1/uploads/${upload.id}/url`)
  const object = Buffer.from(await (await fetch(url)).arrayBuffer())
  assertEqual('bytes', sha256(object), sha256(file))
  const keys = await world.bucket.keys()
  assertEqual('objects', keys.length, before + 1)
  if (!keys.includes(pageState.success[0] && decodeURIComponent(new URL(pageState.success[0]).pathname).replace(/^\/[^/]*\//, ''))) {
    throw new Error(`${pageState.success[0]} is not the URL of the object`)
  }
  assertEqual('open multipart uploads', await world.bucket.openUploads(), 0)
}

const scenarios = {
  async 'a small file with the default form'(world, go) {
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
    assertEqual('failures', failed, 2)
  },
  async 'pause and resume'(world, go) {
    await go({ length: 12 * MIB, multipart: true }, async () => {
      await until('a part to be sent', () => world.page.evaluate(() => state.parts >= 1 && (uppy.pauseAll(), true)))
      await world.page.evaluate(() => new Promise((done) => setTimeout(done, 300)))
      assertEqual('successes while paused', await world.page.evaluate(() => state.success.length), 0)
      await world.page.evaluate(() => uppy.resumeAll())
    })
  },
  async 'reload and resume'(world, go) {
    const sent = []
    let hold = true
    await world.intercept((request) => {
      const number = request.method() === 'PUT' && /partNumber=(\d+)/.exec(request.url())?.[1]
      if (number) sent.push(number)
      // The second part stays unanswered until the page is reloaded.
      return number === '2' && hold
    })
    const options = { length: 12 * MIB, multipart: true }
    await go(options, async (begin) => {
      await until('a part to be sent', () => world.page.evaluate(() => state.parts === 1))
      const resumeState = await until('the state of the upload', () => world.page.evaluate(() => window.resumeState()))
      await until('the second part to be sent', () => sent.includes('2'))
      hold = false
      await world.open()
      await begin({ ...options, resumeState: { uploadId: resumeState.uploadId, key: resumeState.key } })
    })
    assertEqual('parts sent', sent, ['1', '2', '2', '3'])
  },
  async 'cancel'(world, go, before) {
    let held = false
    await world.intercept((request) => {
      const second = request.method() === 'PUT' && request.url().includes('partNumber=2')
      held ||= second
      return second
    })
    await go({ length: 12 * MIB, multipart: true }, async () => {
      await until('the second part to be sent', () => held)
      await world.page.evaluate(() => uppy.cancelAll())
      await until('the upload to be aborted', async () => (await world.gateway.newest()).state === 'aborted')
      assertEqual('objects', (await world.bucket.keys()).length, before)
      assertEqual('open multipart uploads', await world.bucket.openUploads(), 0)
      return 'no object'
    })
  },
  async 'a lost response to complete'(world, go) {
    // Older versions begin again instead of repeating the complete.
    if (world.version < 6) return 'not with this version'
    let lost = 0
    await world.intercept((request) => {
      if (request.method() !== 'POST' || !request.url().includes('/complete') || lost) return false
      lost += 1
      const headers = { 'content-type': 'application/json' }
      fetch(request.url(), { method: 'POST', headers, body: request.postData() }).then(() => request.abort('connectionreset'))
      return true
    })
    await go({ length: 6 * MIB, multipart: true }, async () => {
      await until('an error', () => world.page.evaluate(() => state.errors.length === 1))
      await world.page.evaluate(() => { state.errors = []; uppy.retryAll() })
    })
  },
  async 'a wrong token is rejected'(world, go, before) {
    if (!world.gateway.token) return 'not without tokens'
    const all = (await world.gateway.get('/v1/uploads')).uploads.length
    for (const multipart of [false, true]) {
      await world.open()
      await go({ length: 1000, multipart, token: 'upl_none_at_all' }, async () => {
        await until('an error', () => world.page.evaluate(() => state.errors.length > 0))
        assertEqual('successes', await world.page.evaluate(() => state.success), [])
        assertEqual('uploads', (await world.gateway.get('/v1/uploads')).uploads.length, all)
        return 'no object'
      })
    }
  },
}

async function runScenarios(browser, site, version, store) {
  let seed = Number(version)
  for (const [name, scenario] of Object.entries(scenarios)) {
    const context = await browser.createBrowserContext()
    const page = await context.newPage()
    const consoleLines = []
    page.on('console', (line) => consoleLines.push(line.text()))
    page.on('pageerror', (error) => consoleLines.push(String(error)))
    const world = { ...store, page, version: Number(version) }
    world.open = async () => {
      await page.goto(`${site}/${version}`)
      await until('the page to load', () => page.evaluate(() => window.ready))
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
      const note = meanwhile && (await meanwhile(begin))
      if (!note) await assertArrived(world, file, before)
    }
    try {
      await world.open()
      const note = await scenario(world, go, before)
      console.log(`ok: Uppy ${version}, ${store.name}: ${name}${note ? ` (${note})` : ''}`)
    } catch (error) {
      console.error(`FAILED: Uppy ${version}, ${store.name}: ${name}: ${error.message}`)
      console.error(JSON.stringify(await page.evaluate(() => window.state).catch(() => null)))
      console.error(consoleLines.join('\n'))
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

  const credentials = path.join(workDir, 'credentials')
  const embedded = await Gateway.start('embedded', ['--allow-origin', site, '--auth', 'tokens', '--store-credentials', credentials])
  const field = (file, name) => new RegExp(`^${name}\\s*=\\s*(.*)$`, 'm').exec(fs.readFileSync(file, 'utf8'))[1].trim()
  const bucketOf = (file) => new Bucket(field(file, 'endpoint_url'), 'embedded', field(file, 'aws_access_key_id'), field(file, 'aws_secret_access_key'))
  embedded.token = embedded.newToken('page')
  const stores = [{ name: 'embedded', gateway: embedded, bucket: bucketOf(credentials) }]

  const openCredentials = path.join(workDir, 'open-credentials')
  const loopback = await Gateway.start('loopback', ['--allow-origin', site, '--store-credentials', openCredentials])
  stores.push({ name: 'embedded, without tokens', gateway: loopback, bucket: bucketOf(openCredentials) })

  const { UPLOAD_TEST_S3_ENDPOINT: endpoint, UPLOAD_TEST_S3_ACCESS_KEY: access, UPLOAD_TEST_S3_SECRET_KEY: secret } = env
  const bucket = new Bucket(endpoint, `uppy-${process.pid}-${Date.now()}`, access, secret)
  await bucket.request('PUT', '')
  // The rules that docs/uppy.md recommends.
  await bucket.request('PUT', 'cors', `<CORSConfiguration><CORSRule><AllowedOrigin>${site}</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>` +
    '<AllowedMethod>POST</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><ExposeHeader>Location</ExposeHeader>' +
    '<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>')
  const keys = { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: secret }
  const args = ['--allow-origin', site, '--auth', 'tokens', '--store', `s3://${bucket.bucket}/incoming`, '--s3-endpoint', endpoint, '--s3-region', 'us-east-1', '--s3-path-style']
  const s3 = await Gateway.start('s3', args, keys)
  s3.token = s3.newToken('page')
  stores.push({ name: 'LocalStack', gateway: s3, bucket })

  const browser = await puppeteer.launch({
    executablePath: env.CHROMIUM, headless: true, userDataDir: path.join(workDir, 'browser'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  try {
    for (const version of versions) for (const store of stores) await runScenarios(browser, site, version, store)
    // With Uppy 6 the token is in paths; no log may contain it.
    for (const { gateway } of stores) if (gateway.token && gateway.log().includes(gateway.token)) throw new Error('a token is in the log')
    console.log('all scenarios passed')
  } finally {
    await browser.close()
    for (const { gateway } of stores) gateway.stop()
    server.close()
    fs.rmSync(workDir, { recursive: true, force: true })
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
