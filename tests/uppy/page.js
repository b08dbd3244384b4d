// The page: one Uppy of the bundled version, and the state that the driver reads.
import Uppy from '@uppy/core'
import AwsS3 from '@uppy/aws-s3'

// Bytes from a seed and a length, the same as the driver's.
function bytes(seed, length) {
  const all = new Uint8Array(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    all[i] = state >>> 24
  }
  return all
}

const state = { parts: 0, success: [], errors: [], complete: 0 }
window.state = state

window.begin = ({ version, gateway, token, name, seed, length, multipart, resumeState }) => {
  const uppy = new Uppy({ autoProceed: false })
  const shared = { limit: 1, ...(multipart === undefined ? {} : { shouldUseMultipart: multipart }) }
  if (version >= 6) {
    // Uppy 6 cannot send headers, so the token is in the path.
    const endpoint = token ? `${gateway}/t/${token}` : gateway
    uppy.use(AwsS3, { ...shared, companionEndpoint: endpoint })
  } else {
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    uppy.use(AwsS3, { ...shared, endpoint: gateway, headers })
  }
  uppy.on('s3-multipart:part-uploaded', () => { state.parts += 1 })
  uppy.on('upload-success', (file, response) => { state.success.push(response.uploadURL ?? null) })
  uppy.on('upload-error', (file, error) => { state.errors.push(String(error?.message ?? error)) })
  uppy.on('complete', () => { state.complete += 1 })
  const id = uppy.addFile({ name, type: 'application/x-test', data: new File([bytes(seed, length)], name, { type: 'application/x-test' }) })
  // The state that a page with Golden Retriever has after a reload.
  if (resumeState) uppy.setFileState(id, { s3Multipart: resumeState })
  window.uppy = uppy
  window.resumeState = () => uppy.getFile(id)?.s3Multipart
  uppy.upload().catch((error) => state.errors.push(String(error?.message ?? error)))
}
window.ready = true
