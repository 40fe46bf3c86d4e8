// Khronos glTF validator: prints the counts and the messages of each file as one JSON line.
import { readFileSync } from 'node:fs'
import validator from 'gltf-validator'

for (const path of process.argv.slice(2)) {
  const report = await validator.validateBytes(new Uint8Array(readFileSync(path)))
  const { numErrors, numWarnings, numInfos, numHints, messages } = report.issues
  console.log(JSON.stringify({ path, numErrors, numWarnings, numInfos, numHints, messages: messages.slice(0, 10) }))
}
